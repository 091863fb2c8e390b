//! WHIP and WHEP without media: sessions are made, patched and deleted. The names are the rows of
//! the conformance table: C for both, I for WHIP (RFC 9725), E for WHEP (the draft).

use reqwest::Response;
use serde_json::json;

use crate::harness::{TestServer, assert_problem};

pub(crate) const SDP: &str = "application/sdp";
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
pub(crate) const UFRAG: &str = "EsAw";
pub(crate) const PASSWORD: &str = "P2uYro0UCOQ4zxjKXaWCBui1";

/// An offer with the given m-lines.
pub(crate) fn offer(lines: &[String]) -> String {
    let fingerprint = ["AB"; 32].join(":");
    let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PASSWORD}\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\n",
        mids.join(" ")
    );
    for (mid, line) in lines.iter().enumerate() {
        sdp.push_str(&line.replace("a=mid:?", &format!("a=mid:{mid}")));
    }
    sdp
}

pub(crate) fn audio(direction: &str) -> String {
    media("audio", "111", "opus/48000/2", direction, "stream")
}

pub(crate) fn video(direction: &str) -> String {
    media("video", "96", "VP8/90000", direction, "stream")
}

pub(crate) fn media(kind: &str, pt: &str, codec: &str, direction: &str, stream: &str) -> String {
    let msid = if direction.starts_with("send") {
        format!("a=msid:{stream} {kind}\r\n")
    } else {
        String::new()
    };
    format!(
        "m={kind} 9 UDP/TLS/RTP/SAVPF {pt}\r\nc=IN IP4 0.0.0.0\r\na=mid:?\r\na={direction}\r\n\
         {msid}a=rtcp-mux\r\na=rtpmap:{pt} {codec}\r\n"
    )
}

pub(crate) fn publisher() -> String {
    offer(&[audio("sendonly"), video("sendonly")])
}

pub(crate) fn viewer() -> String {
    offer(&[audio("recvonly"), video("recvonly")])
}

pub(crate) async fn post(server: &TestServer, path: &str, sdp: String) -> Response {
    server.request("POST", path).header("content-type", SDP).body(sdp).send().await.unwrap()
}

/// A session: its path and its entity tag.
pub(crate) async fn session(server: &TestServer, path: &str, sdp: String) -> (String, String) {
    let response = post(server, path, sdp).await;
    let headers = response.headers().clone();
    assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
    let location = headers["location"].to_str().unwrap();
    let path = location.strip_prefix(&server.url("")).expect("the location is absolute");
    (path.to_owned(), headers["etag"].to_str().unwrap().to_owned())
}

pub(crate) async fn patch(
    server: &TestServer,
    path: &str,
    if_match: Option<&str>,
    text: &str,
) -> Response {
    let mut request = server.request("PATCH", path).header("content-type", FRAGMENT);
    if let Some(if_match) = if_match {
        request = request.header("if-match", if_match);
    }
    request.body(text.to_owned()).send().await.unwrap()
}

pub(crate) fn fragment(ufrag: &str, password: &str) -> String {
    format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
         a=mid:0\r\na=candidate:1 1 sctp 99 no.such.name 9 typ host\r\na=end-of-candidates\r\n"
    )
}

#[tokio::test]
async fn c01_c09_c10_c14_c29_i01_a_publisher_is_answered() {
    let server = TestServer::start().await;
    let response = post(&server, "/whip/a%20room", publisher()).await;
    assert_eq!(response.status(), 201);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], SDP);
    let location = headers["location"].to_str().unwrap();
    let token = location.strip_prefix(&server.url("/whip/a%20room/")).unwrap();
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
    let etag = headers["etag"].to_str().unwrap();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let answer = response.text().await.unwrap();
    let port = server.server.udp_addrs[0].port();
    assert!(answer.contains(&format!(" 127.0.0.1 {port} typ host")), "{answer}");
    assert_eq!(answer.matches("\r\nm=").count(), 2);
    for line in ["a=recvonly", "a=rtcp-mux\r\n", "a=rtcp-mux-only"] {
        assert_eq!(answer.matches(line).count(), 2, "{line} in {answer}");
    }
    assert!(answer.contains("a=group:BUNDLE 0 1"), "{answer}");
    assert!(answer.contains("a=ice-lite"), "{answer}");
    assert!(!answer.contains("a=sendrecv") && !answer.contains("a=sendonly"), "{answer}");
    server.server.stop().await;
}

#[tokio::test]
async fn i01_sendrecv_is_answered_recvonly() {
    let server = TestServer::start().await;
    let sdp = offer(&[audio("sendrecv"), video("sendrecv")]);
    let answer = post(&server, "/whip/r", sdp).await.text().await.unwrap();
    assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
    server.server.stop().await;
}

#[tokio::test]
async fn e01_e04_a_viewer_may_wait_and_is_answered_sendonly_in_one_stream() {
    let server = TestServer::start().await;
    for (path, sdp) in
        [("/whep/r", viewer()), ("/whep/s", offer(&[audio("sendrecv"), video("sendrecv")]))]
    {
        let response = post(&server, path, sdp).await;
        assert_eq!(response.status(), 201);
        let answer = response.text().await.unwrap();
        assert_eq!(answer.matches("a=sendonly").count(), 2, "{answer}");
        let streams: Vec<&str> = answer
            .lines()
            .filter_map(|line| line.strip_prefix("a=msid:"))
            .filter_map(|msid| msid.split(' ').next())
            .collect();
        assert!(streams.len() == 2 && streams[0] == streams[1], "{answer}");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn c04_media_types_are_compared_not_strings() {
    let server = TestServer::start().await;
    for content_type in ["application/sdp; charset=utf-8", "Application/SDP", "application/sdp;x=y"]
    {
        let request = server.request("POST", "/whip/r").header("content-type", content_type);
        let response = request.body(publisher()).send().await.unwrap();
        assert_eq!(response.status(), 201, "{content_type}");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn c03_c11_c12_i02_e02_what_does_not_fit_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await;
    let unknown_codec = media("video", "96", "H261/90000", "sendonly", "stream");
    let other_stream = media("video", "96", "VP8/90000", "sendonly", "another");
    for (path, sdp, status) in [
        ("/whip/r", "v=0".to_owned(), 400),
        ("/whip/r", "hello".to_owned(), 400),
        ("/whip/r", publisher()[..200].to_owned(), 400),
        ("/whip/r", "\0".repeat(1000), 400),
        ("/whip/r", offer(&[audio("recvonly"), video("recvonly")]), 422),
        ("/whip/r", offer(&[audio("inactive")]), 422),
        ("/whip/r", offer(&[audio("sendonly"), audio("sendonly")]), 422),
        ("/whip/r", offer(&[video("sendonly"), video("sendonly")]), 422),
        ("/whip/r", offer(&[audio("sendonly"), other_stream]), 422),
        ("/whip/r", offer(&[audio("sendonly"), unknown_codec]), 422),
        ("/whep/r", publisher(), 422),
        ("/whep/r", offer(&[audio("inactive")]), 422),
        ("/whep/r", offer(&[audio("recvonly"), audio("recvonly")]), 422),
    ] {
        let what = format!("{path} {sdp}");
        let response = post(&server, path, sdp).await;
        let code = if status == 400 { "sdp_malformed" } else { "sdp_unsupported" };
        assert_problem(response, status, code, &what).await;
    }
    let request = server.request("POST", "/whip/r").header("content-type", SDP);
    let response = request.body(vec![0xff, 0xfe]).send().await.unwrap();
    assert_problem(response, 400, "sdp_malformed", "not UTF-8").await;
    for metric in ["sfu_rooms", "sfu_index_entries", "sfu_joins_total"] {
        assert_eq!(server.metric(metric).await, 0.0, "{metric}");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn c05_c25_c26_a_session_is_there_until_it_is_deleted() {
    let server = TestServer::start().await;
    for (endpoint, sdp) in [("/whip/r", publisher()), ("/whep/r", viewer())] {
        let (path, etag) = session(&server, endpoint, sdp).await;
        let look = server.get(&path).await;
        assert!(look.status().is_success());
        assert_eq!(look.text().await.unwrap(), "");
        let other_door = path.replace("/whip", "/WHIP").replace("/whep", "/whip");
        let other_door = other_door.replace("/WHIP", "/whep");
        for wrong in [other_door, path.replace("/r/", "/s/"), path.replace("/r/", "/r/0")] {
            let response = server.request("DELETE", &wrong).send().await.unwrap();
            assert_eq!(response.status(), 404, "{wrong}");
        }
        let delete = server.request("DELETE", &path).header("if-match", "\"other\"");
        assert_eq!(delete.send().await.unwrap().status(), 200);
        let twice = server.request("DELETE", &path).send().await.unwrap();
        assert_problem(twice, 404, "no_such_session", "twice").await;
        let late = patch(&server, &path, Some(&etag), &fragment(UFRAG, PASSWORD)).await;
        assert_problem(late, 404, "no_such_session", "PATCH after DELETE").await;
        for metric in ["sfu_rooms", "sfu_index_entries", "sfu_engine_rooms"] {
            server.until_metric(metric, 0.0).await;
        }
        server.until_metric("sfu_peers{state=\"other\"}", 0.0).await;
    }
    server.server.stop().await;
}

#[tokio::test]
async fn c15_c16_c17_c18_candidates_trickle_with_the_right_tag() {
    let server = TestServer::start().await;
    let (path, etag) = session(&server, "/whip/r", publisher()).await;
    let same = fragment(UFRAG, PASSWORD);
    let candidates_only = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=end-of-candidates\r\n";
    for (if_match, text) in
        [(&*etag, &*same), (etag.trim_matches('"'), &same), ("*", &same), (&etag, candidates_only)]
    {
        let response = patch(&server, &path, Some(if_match), text).await;
        assert_eq!(response.status(), 204, "{if_match} {text}");
        assert!(!response.headers().contains_key("etag"));
        assert_eq!(response.text().await.unwrap(), "");
    }
    let missing = patch(&server, &path, None, &same).await;
    assert_problem(missing, 428, "precondition_required", "no If-Match").await;
    let stale = patch(&server, &path, Some("\"other\""), &same).await;
    assert_problem(stale, 412, "precondition_failed", "stale").await;
    let weak = format!("W/{etag}");
    let weak = patch(&server, &path, Some(&weak), &same).await;
    assert_problem(weak, 412, "precondition_failed", "weak").await;

    let request = server.request("PATCH", &path).header("content-type", SDP);
    let wrong_type = request.header("if-match", &etag).body(publisher()).send().await.unwrap();
    assert_problem(wrong_type, 415, "unsupported_media_type", "SDP").await;
    for text in ["", "hello", "a=ice-ufrag:abcd\r\n"] {
        let response = patch(&server, &path, Some(&etag), text).await;
        assert_problem(response, 400, "sdp_malformed", text).await;
    }
    let still = patch(&server, &path, Some(&etag), &same).await;
    assert_eq!(still.status(), 204, "the session survived all of that");
    server.server.stop().await;
}

#[tokio::test]
async fn c19_c20_c22_c24_new_credentials_restart_ice_and_change_the_tag() {
    let server = TestServer::start().await;
    let (path, first) = session(&server, "/whip/r", publisher()).await;
    let mut before = first.clone();
    let mut ufrags = Vec::new();
    for (round, if_match) in ["*", "\"*\"", "*"].into_iter().enumerate() {
        let text = fragment(&format!("new{round}"), PASSWORD);
        let response = patch(&server, &path, Some(if_match), &text).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        assert_eq!(response.headers()["content-type"], FRAGMENT);
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        assert_ne!(etag, before);
        let answer = response.text().await.unwrap();
        let value = |key: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned()
        };
        ufrags.push(value("a=ice-ufrag:"));
        assert!(value("a=ice-pwd:").len() >= 22);
        assert!(answer.contains("a=ice-lite"), "{answer}");
        assert!(answer.contains("typ host"), "{answer}");
        let old = patch(&server, &path, Some(&before), &text).await;
        assert_problem(old, 412, "precondition_failed", "the tag from before").await;
        let trickle = patch(&server, &path, Some(&etag), &text).await;
        assert_eq!(trickle.status(), 204, "the new credentials are the present ones");
        before = etag;
    }
    ufrags.dedup();
    assert_eq!(ufrags.len(), 3, "{ufrags:?}");

    // Two restarts with one tag at a time: one passes.
    let (one, two) = (fragment("one1", PASSWORD), fragment("two2", PASSWORD));
    let (one, two) = tokio::join!(
        patch(&server, &path, Some(&before), &one),
        patch(&server, &path, Some(&before), &two)
    );
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    server.server.stop().await;
}

#[tokio::test]
async fn websocket_participants_see_publishers_and_not_viewers() {
    let server = TestServer::start().await;
    let (mut client, _) = server.join("r", "a").await;
    let (viewer_path, _) = session(&server, "/whep/r", viewer()).await;
    let (path, _) = session(&server, "/whip/r?name=Camera%201", publisher()).await;
    let joined = client.event("participant_joined").await;
    assert_eq!(joined["participant"]["name"], "Camera 1", "{joined}");
    let id = joined["participant"]["id"].as_str().unwrap().to_owned();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let published = client.event("track_published").await;
        assert_eq!(published["participant"], id);
        kinds.push(published["track"]["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["audio", "video"]);

    let list = server.get_json("/api/v1/rooms/r/participants").await;
    let doors: Vec<&str> = list["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|participant| participant["door"].as_str().unwrap())
        .collect();
    assert_eq!(doors.len(), 2, "{list}");
    assert!(doors.contains(&"web_socket") && doors.contains(&"whip"), "{list}");
    assert_eq!(server.metric("sfu_participants{door=\"whep\"}").await, 1.0);
    let room = server.get_json("/api/v1/rooms/r").await;
    assert_eq!((&room["viewers"], &room["tracks"]), (&json!(1), &json!(2)));

    let one = post(&server, &format!("/whep/r/{id}"), viewer()).await;
    assert_eq!(one.status(), 201, "a viewer of one participant");
    let nobody = post(&server, "/whep/r/0123456789abcdef", viewer()).await;
    assert_problem(nobody, 404, "no_such_participant", "a viewer of nobody").await;

    // Muted by an operator: a WHIP publisher has no other way to be told, everybody else is.
    let participant = server.get_json(&format!("/api/v1/rooms/r/participants/{id}")).await;
    let track = &participant["tracks"][0]["track"];
    let mute = json!({"track": track, "muted": true});
    let path_to_mute = format!("/api/v1/rooms/r/participants/{id}/mute");
    assert_eq!(server.post_json(&path_to_mute, &mute).await.status(), 204);
    let muted = client.event("track_muted").await;
    let want = json!({"type": "track_muted", "participant": id, "track": track, "muted": true});
    assert_eq!(muted, want);

    client.refused(json!({"type": "mute", "track": track}), "not_yours").await;
    let deleted = server.request("DELETE", &path).send().await.unwrap();
    assert_eq!(deleted.status(), 200);
    let left = client.event("participant_left").await;
    assert_eq!((&left["participant"], &left["reason"]), (&json!(id), &json!("left")));
    server.request("DELETE", &viewer_path).send().await.unwrap();
    client.request(json!({"type": "ping"})).await;
    assert!(client.events.iter().all(|event| event["type"] != "participant_left"));
    server.server.stop().await;
}

#[tokio::test]
async fn i04_publishers_of_one_name_are_two_participants() {
    let server = TestServer::start().await;
    session(&server, "/whip/r?name=x", publisher()).await;
    session(&server, "/whip/r?name=x", publisher()).await;
    let list = server.get_json("/api/v1/rooms/r/participants").await;
    assert_eq!(list["participants"].as_array().unwrap().len(), 2);
    server.server.stop().await;
}

#[tokio::test]
async fn kicked_publishers_lose_their_session() {
    let server = TestServer::start().await;
    let (path, _) = session(&server, "/whip/r", publisher()).await;
    let list = server.get_json("/api/v1/rooms/r/participants").await;
    let id = list["participants"][0]["id"].as_str().unwrap();
    let kick = server.request("DELETE", &format!("/api/v1/rooms/r/participants/{id}"));
    assert_eq!(kick.send().await.unwrap().status(), 204);
    assert_problem(server.get(&path).await, 404, "no_such_session", "after the kick").await;
    server.until_metric("sfu_index_entries", 0.0).await;
    server.server.stop().await;
}

#[tokio::test]
async fn names_in_the_query_are_checked() {
    let server = TestServer::start().await;
    let long = "x".repeat(257);
    let response = post(&server, &format!("/whip/r?name={long}"), publisher()).await;
    let problem = assert_problem(response, 400, "invalid_name", "a long name").await;
    assert!(problem["detail"].as_str().unwrap().contains("256"), "{problem}");
    server.server.stop().await;
}

#[tokio::test]
async fn c36_a_session_whose_ice_never_completes_is_reaped() {
    let server = TestServer::start().await;
    let (path, _) = session(&server, "/whip/r", publisher()).await;
    let (viewer_path, _) = session(&server, "/whep/r", viewer()).await;
    let (mut client, _) = server.join("r", "a").await;
    client.patience = sfu_core::limits::ICE_DEADLINE + crate::harness::PATIENCE;
    assert_eq!(client.event("participant_left").await["reason"], "lost");
    server.until_metric("sfu_participants{door=\"whep\"}", 0.0).await;
    for path in [path, viewer_path] {
        assert_problem(server.get(&path).await, 404, "no_such_session", &path).await;
    }
    let failed = "sfu_ice_connections_total{result=\"failed\",transport=\"none\"}";
    server.until_metric(failed, 2.0).await;
    server.server.stop().await;
}
