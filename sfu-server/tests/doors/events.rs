//! WHEP's core extensions: events and the choice of a layer, as a viewer finds and uses them.

use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestServer, assert_problem};
use crate::whip::{audio, offer, post, publisher, session, video, viewer};

const EVENTS: &str = "urn:ietf:params:whep:ext:core:server-sent-events";
const LAYER: &str = "urn:ietf:params:whep:ext:core:layer";

/// A stream of events that is being read.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn read(server: &TestServer, path: &str) -> Self {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next event and its data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = message.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| {
                    let line = message.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|line| line.trim().to_owned())
                };
                // Comments keep the connection up.
                let (Some(event), Some(data)) = (field("event:"), field("data:")) else { continue };
                return Some((event, serde_json::from_str(&data).unwrap()));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("the stream says nothing").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn expect(&mut self, event: &str, data: Value) {
        assert_eq!(self.next().await, Some((event.to_owned(), data)));
    }
}

/// Makes a stream of these events of a session, and returns its path.
async fn stream(server: &TestServer, session: &str, events: Value) -> String {
    let made = server.post_json(&format!("{session}/events"), &events).await;
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap();
    location.strip_prefix(&server.url("")).expect("the location is absolute").to_owned()
}

#[tokio::test]
async fn c34_e12_each_extension_has_a_link_and_layers_come_with_their_event() {
    let server = TestServer::start().await;
    let made = post(&server, "/whep/r", viewer()).await;
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let links = made.headers().get_all("link").iter().map(|link| link.to_str().unwrap());
    let links: Vec<&str> = links.collect();
    let events = "active,inactive,layers,reconnect,viewercount";
    let want = [
        format!("<{location}/events>; rel=\"{EVENTS}\"; events=\"{events}\""),
        format!("<{location}/layer>; rel=\"{LAYER}\""),
    ];
    assert_eq!(links, want);
    let made = post(&server, "/whip/r", publisher()).await;
    assert!(!made.headers().contains_key("link"), "WHIP has none of them");
    for url in [format!("{location}/events"), format!("{location}/layer")] {
        let path = url.strip_prefix(&server.url("")).unwrap();
        let options = server.request("OPTIONS", path).send().await.unwrap();
        assert_eq!(options.status(), 200);
        assert_eq!(options.headers()["allow"], "POST, OPTIONS");
        assert_eq!(options.headers()["accept-post"], "application/json");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn e09_a_stream_is_there_from_its_post_to_its_delete() {
    let server = TestServer::start().await;
    let (viewing, _) = session(&server, "/whep/r", viewer()).await;
    let path = format!("{viewing}/events");
    for wrong in [json!(["layers", "scte35"]), json!(["Active"]), json!({"events": []}), json!(7)] {
        let refused = server.post_json(&path, &wrong).await;
        assert_problem(refused, 400, "malformed", &wrong.to_string()).await;
    }
    let untyped = server.request("POST", &path).body("[]").send().await.unwrap();
    assert_problem(untyped, 415, "unsupported_media_type", "no type").await;
    let strange = format!("{}/events", viewing.replace("/r/", "/s/"));
    let refused = server.post_json(&strange, &json!(["layers"])).await;
    assert_problem(refused, 404, "no_such_session", "another room").await;

    // Nothing was created so far: there is room for as many as ever.
    let mut streams = vec![stream(&server, &viewing, json!(["layers"])).await];
    while streams.len() < sfu_server::limits::EVENT_STREAMS_MAX {
        streams.push(stream(&server, &viewing, json!([])).await);
    }
    let refused = server.post_json(&path, &json!(["layers"])).await;
    assert_problem(refused, 422, "limit", "one more").await;
    assert_eq!(server.request("DELETE", &streams[1]).send().await.unwrap().status(), 200);
    assert_problem(server.get(&streams[1]).await, 404, "no_such_session", "after DELETE").await;
    let twice = server.request("DELETE", &streams[1]).send().await.unwrap();
    assert_problem(twice, 404, "no_such_session", "DELETE twice").await;

    // Without a body: all events. With the session, its streams end.
    let made = server.request("POST", &path).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let all = made.headers()["location"].to_str().unwrap();
    let all = all.strip_prefix(&server.url("")).unwrap().to_owned();
    let mut events = Events::read(&server, &all).await;
    events.expect("viewercount", json!({"viewercount": 1})).await;
    let (other, _) = session(&server, "/whep/r", viewer()).await;
    events.expect("viewercount", json!({"viewercount": 2})).await;
    server.request("DELETE", &other).send().await.unwrap();
    events.expect("viewercount", json!({"viewercount": 1})).await;
    server.request("DELETE", &viewing).send().await.unwrap();
    assert_eq!(events.next().await, None);
    assert_problem(server.get(&all).await, 404, "no_such_session", "without a session").await;
    server.server.stop().await;
}

#[tokio::test]
async fn e08_e10_a_stream_begins_with_active_and_never_with_inactive() {
    let server = TestServer::start().await;
    let (viewing, _) = session(&server, "/whep/r", viewer()).await;
    let both = json!(["active", "inactive"]);
    let path = stream(&server, &viewing, both.clone()).await;
    let counted = stream(&server, &viewing, json!(["inactive", "viewercount"])).await;
    let mut events = Events::read(&server, &path).await;
    // Nothing of `inactive` comes before this.
    Events::read(&server, &counted).await.expect("viewercount", json!({"viewercount": 1})).await;
    let (publishing, _) = session(&server, "/whip/r", publisher()).await;
    events.expect("active", json!({})).await;
    // Who comes later begins with it as well.
    let late = stream(&server, &viewing, both).await;
    Events::read(&server, &late).await.expect("active", json!({})).await;
    server.request("DELETE", &publishing).send().await.unwrap();
    events.expect("inactive", json!({})).await;
    // The stream is read anew, by one reader at a time.
    let mut again = Events::read(&server, &path).await;
    assert_eq!(events.next().await, None, "the former reader is done");
    session(&server, "/whip/r", publisher()).await;
    again.expect("active", json!({})).await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_drain_tells_viewers_to_go_elsewhere() {
    let server = TestServer::start().await;
    let (viewing, _) = session(&server, "/whep/r", viewer()).await;
    let path = stream(&server, &viewing, json!(["reconnect"])).await;
    let mut events = Events::read(&server, &path).await;
    server.server.drain(std::time::Duration::ZERO).await;
    events.expect("reconnect", json!({})).await;
    server.server.stop().await;
}

#[tokio::test]
async fn e11_a_rid_can_be_chosen_and_the_choice_given_back() {
    let server = TestServer::start().await;
    let simulcast = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                     a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                     a=rid:l send\r\na=rid:h send\r\na=simulcast:send l;h\r\n";
    let (viewing, _) = session(&server, "/whep/r", viewer()).await;
    let path = format!("{viewing}/layer");
    let refused = server.post_json(&path, &json!({"rid": "h"})).await;
    assert_problem(refused, 409, "no_publisher", "nobody is there").await;
    let camera = video("sendonly") + simulcast;
    session(&server, "/whip/r", offer(&[audio("sendonly"), camera])).await;
    let all = stream(&server, &viewing, json!(["active"])).await;
    Events::read(&server, &all).await.expect("active", json!({})).await;
    for choice in [
        json!({"mediaId": "1", "rid": "l"}),
        json!({"rid": "h"}),
        json!({"maxWidth": 320, "maxHeight": 180}),
        json!({"maxSpatialLayerId": 0, "maxTemporalLayerId": 1}),
        json!({"mediaId": "1"}),
        json!({}),
    ] {
        let chosen = server.post_json(&path, &choice).await;
        assert_eq!(chosen.status(), 200, "{choice}: {}", chosen.text().await.unwrap());
    }
    for (choice, status, code) in [
        (json!({"rid": "q"}), 404, "no_such_layer"),
        (json!({"mediaId": "0", "rid": "h"}), 404, "no_such_layer"),
        (json!({"mediaId": "7"}), 404, "no_such_layer"),
        (json!({"temporalLayerId": 3}), 404, "no_such_layer"),
        (json!({"mediaId": 1}), 400, "malformed"),
        (json!({"maxWidth": -1}), 400, "malformed"),
        (json!({"heigth": 180}), 400, "malformed"),
        (json!([]), 400, "malformed"),
    ] {
        let refused = server.post_json(&path, &choice).await;
        assert_problem(refused, status, code, &choice.to_string()).await;
    }
    server.server.stop().await;
}
