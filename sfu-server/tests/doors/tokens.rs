//! Tokens at every door: what attackers send is refused in the same words, what keys signed does
//! what it says.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sfu_server::config::{AuthSettings, KeySettings, Secret, Settings};

use crate::harness::{Client, TestServer, assert_problem, body, in_the_same_words};

const KEY: &str = "key1";
const SECRET: &str = "a secret of thirty-two bytes ...";
pub(crate) const ADMIN: &str = "the administrator's own secret key";

pub(crate) async fn keyed_server() -> TestServer {
    keyed_server_with(|_| {}).await
}

pub(crate) async fn keyed_server_with(change: impl FnOnce(&mut Settings)) -> TestServer {
    let key = |secret| KeySettings { secret: Secret::new(secret), room_prefix: String::new() };
    let keys = [(KEY.to_owned(), key(SECRET)), ("key2".to_owned(), key(ADMIN))];
    let admin_key = Some(Secret::new(ADMIN));
    let auth = AuthSettings { keys: keys.into(), admin_key, ..AuthSettings::default() };
    TestServer::start_with(|settings| {
        settings.auth = auth;
        change(settings);
    })
    .await
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of these parts, signed with HMAC-SHA256 whatever the header says.
fn raw(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Claims that pass, with `change` merged into them; `null` takes a claim out.
fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": KEY, "sub": "ann", "nbf": now() - 10, "exp": now() + 600,
        "video": {"roomJoin": true, "room": "r"},
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

pub(crate) fn token(change: Value) -> String {
    raw(HEADER, &claims(change).to_string(), SECRET.as_bytes())
}

/// A token of `identity` for room `r` with more in its grant.
pub(crate) fn granting(identity: &str, grant: Value) -> String {
    let mut video = json!({"roomJoin": true, "room": "r"});
    for (name, value) in grant.as_object().unwrap() {
        video[name] = value.clone();
    }
    token(json!({"sub": identity, "video": video}))
}

/// The same bytes by other letters: the last one of 43 has two bits to spare.
fn respelt(token: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let at = LETTERS.find(last).unwrap();
    assert_eq!(at % 4, 0, "it was spelt as it should be");
    format!("{rest}{}", &LETTERS[at + 1..at + 2])
}

fn attacks() -> Vec<(&'static str, String)> {
    let good = claims(json!({})).to_string();
    let secret = SECRET.as_bytes();
    let header = |header: &str| raw(header, &good, secret);
    let video = |video: Value| token(json!({"video": video}));
    let whole = token(json!({}));
    let unsigned = whole.rsplit_once('.').unwrap().0.to_owned();
    let twice = |claim: &str| {
        raw(HEADER, &format!("{{{claim},{}", good.strip_prefix('{').unwrap()), secret)
    };
    vec![
        ("nothing", String::new()),
        ("no token", "ann".into()),
        ("two parts", unsigned.clone()),
        ("no signature", format!("{unsigned}.")),
        ("four parts", format!("{whole}.x")),
        ("truncated", whole[..whole.len() - 1].into()),
        ("longer", format!("{whole}A")),
        ("padded", format!("{whole}=")),
        ("another spelling of the signature", respelt(&whole)),
        ("not base64", whole.replace('.', "!.")),
        ("alg none, signed", header(r#"{"alg":"none"}"#)),
        ("alg None", header(r#"{"alg":"None"}"#)),
        ("alg NONE", header(r#"{"alg":"NONE"}"#)),
        ("alg none, unsigned", {
            let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
            format!("{none}.{}.", unsigned.split_once('.').unwrap().1)
        }),
        ("alg HS384", header(r#"{"alg":"HS384"}"#)),
        ("alg HS512", header(r#"{"alg":"HS512"}"#)),
        ("alg RS256", header(r#"{"alg":"RS256"}"#)),
        ("alg ES256", header(r#"{"alg":"ES256"}"#)),
        ("alg EdDSA", header(r#"{"alg":"EdDSA"}"#)),
        ("alg hs256", header(r#"{"alg":"hs256"}"#)),
        ("no alg", header(r#"{"typ":"JWT"}"#)),
        ("alg twice", header(r#"{"alg":"none","alg":"HS256"}"#)),
        ("typ JWE", header(r#"{"alg":"HS256","typ":"JWE"}"#)),
        ("kid a path", header(r#"{"alg":"HS256","kid":"../../dev/null"}"#)),
        ("kid a path, empty key", raw(r#"{"alg":"HS256","kid":"/dev/null"}"#, &good, b"")),
        ("kid SQL", header(r#"{"alg":"HS256","kid":"' OR 1=1 --"}"#)),
        ("kid of another key", header(r#"{"alg":"HS256","kid":"key2"}"#)),
        ("kid long", header(&format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(4096)))),
        ("jku", header(r#"{"alg":"HS256","jku":"https://evil.test/keys"}"#)),
        ("x5u", header(r#"{"alg":"HS256","x5u":"https://evil.test/cert"}"#)),
        ("x5c", header(r#"{"alg":"HS256","x5c":["MIIB"]}"#)),
        ("jwk", header(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#)),
        ("crit", header(r#"{"alg":"HS256","crit":["exp"]}"#)),
        ("wrong key", raw(HEADER, &good, b"another secret of thirty-two byte")),
        ("empty key", raw(HEADER, &good, b"")),
        ("the key's name as key", raw(HEADER, &good, KEY.as_bytes())),
        ("another key's secret", raw(HEADER, &good, ADMIN.as_bytes())),
        ("no exp", token(json!({"exp": null}))),
        ("exp a string", token(json!({"exp": (now() + 600).to_string()}))),
        ("exp a fraction", token(json!({"exp": 1e12 + 0.5}))),
        ("exp negative", token(json!({"exp": -1}))),
        ("exp 2^63", token(json!({"exp": 1u64 << 63}))),
        ("exp 2^64 - 1", token(json!({"exp": u64::MAX}))),
        ("exp a list", token(json!({"exp": [now() + 600]}))),
        ("exp true", token(json!({"exp": true}))),
        ("expired", token(json!({"exp": now() - 60}))),
        ("good for too long", token(json!({"exp": now() + 48 * 3600}))),
        ("nbf to come", token(json!({"nbf": now() + 120}))),
        ("nbf a string", token(json!({"nbf": "0"}))),
        ("iat to come", token(json!({"iat": now() + 120}))),
        ("no iss", token(json!({"iss": null}))),
        ("iss unknown", token(json!({"iss": "nobody"}))),
        ("iss of another key", token(json!({"iss": "key2"}))),
        ("iss a list", token(json!({"iss": [KEY]}))),
        ("iss empty", token(json!({"iss": ""}))),
        ("aud of somebody else", token(json!({"aud": "https://bank.test"}))),
        ("exp twice", twice(r#""exp":9999999999"#)),
        ("video twice", twice(r#""video":{"roomJoin":true,"room":"s"}"#)),
        ("no identity", token(json!({"sub": null}))),
        ("identity empty", token(json!({"sub": ""}))),
        ("identity unprintable", token(json!({"sub": "a\nb"}))),
        ("identity long", token(json!({"sub": "x".repeat(257)}))),
        ("sub a number", token(json!({"sub": 7}))),
        ("no grant", token(json!({"video": null}))),
        ("other room", video(json!({"roomJoin": true, "room": "s"}))),
        ("no room", video(json!({"roomJoin": true}))),
        ("room empty", video(json!({"roomJoin": true, "room": ""}))),
        ("not to join", video(json!({"room": "r"}))),
        ("roomJoin a string", video(json!({"roomJoin": "true", "room": "r"}))),
        ("over 8 KiB", token(json!({"name": "x".repeat(8 * 1024)}))),
        ("deep", raw(HEADER, &"[".repeat(5000), secret)),
        ("claims a list", raw(HEADER, "[]", secret)),
        ("not UTF-8", {
            let bytes = URL_SAFE_NO_PAD.encode([0xff, 0xfe]);
            format!("{bytes}.{bytes}.{bytes}")
        }),
        ("the administrator's key", ADMIN.into()),
    ]
}

#[tokio::test]
async fn every_token_that_does_not_count_is_refused_in_the_same_words() {
    let server = keyed_server().await;
    let mut bodies = Vec::new();
    for (what, token) in attacks() {
        for path in ["/whip/r", "/whep/r", "/whep/r/0123456789abcdef"] {
            let request = server.request("POST", path).header("content-type", "application/sdp");
            let request = request.header("authorization", format!("Bearer {token}")).body("v=0");
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"sfu\"", "{what}");
            let problem = assert_problem(response, 401, "unauthorized", what).await;
            bodies.push(in_the_same_words(problem));
        }
        // In the join; its reply is the same, and the close code as well.
        let mut client = server.connect().await;
        let join = json!({"type": "join", "room": "r", "token": token});
        let mut reply = client.request(join).await;
        reply.as_object_mut().unwrap().remove("re");
        let want = json!({"type": "error", "code": "unauthorized",
                          "title": "A valid token is needed", "detail": "a valid token is needed"});
        assert_eq!(reply, want, "{what}");
        assert_eq!(client.closed().await, 4401, "{what}");
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(server.metric("sfu_rooms").await, 0.0);
    assert_eq!(server.metric("sfu_index_entries").await, 0.0);
    // What makes the table worth its rows: the token they all derive from passes.
    let (mut client, joined) = enter(&server, &token(json!({}))).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    client.request(json!({"type": "leave"})).await;
    server.server.stop().await;
}

#[tokio::test]
async fn the_api_refuses_them_too_and_no_token_as_well() {
    let server = keyed_server().await;
    let of_the_room = ["no grant", "other room", "no room", "room empty", "not to join"];
    let of_somebody = ["no identity", "identity empty", "identity unprintable", "identity long"];
    for (what, token) in attacks() {
        let is_admin = what == "the administrator's key";
        let counts = of_the_room.contains(&what) || of_somebody.contains(&what);
        let (status, code) = if counts { (403, "forbidden") } else { (401, "unauthorized") };
        for (method, path) in [("GET", "/api/v1/rooms"), ("DELETE", "/api/v1/rooms/r")] {
            let request = server.request(method, path);
            let request = request.header("authorization", format!("Bearer {token}"));
            let response = request.send().await.unwrap();
            if is_admin {
                assert_ne!(response.status(), 401);
                continue;
            }
            assert_problem(response, status, code, what).await;
        }
    }
    for authorization in [None, Some("Basic YTpi"), Some("Bearer"), Some("bearer ")] {
        let mut request = server.request("GET", "/api/v1/rooms");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_problem(response, 401, "unauthorized", &format!("{authorization:?}")).await;
    }
    server.server.stop().await;
}

/// Joins with a token in the URL, as a browser does.
pub(crate) async fn enter(server: &TestServer, token: &str) -> (Client, Value) {
    let url = format!("ws://{}/ws?access_token={token}", server.server.http_addr);
    let mut client = Client::open(&url).await;
    assert_eq!(client.next().await["type"], "hello");
    let joined = client.request(json!({"type": "join", "room": "r"})).await;
    (client, joined)
}

#[tokio::test]
async fn a_websocket_with_a_bad_token_is_not_opened() {
    let server = keyed_server().await;
    let path = format!("/ws?access_token={}", token(json!({"exp": 1})));
    let upgrade = |path: &str| {
        server
            .request("GET", path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    assert_problem(upgrade(&path).send().await.unwrap(), 401, "unauthorized", "query").await;
    let request = upgrade("/ws").header("authorization", "Bearer x");
    assert_problem(request.send().await.unwrap(), 401, "unauthorized", "header").await;
    let foreign = upgrade("/ws").header("origin", "https://good.com.evil");
    assert_problem(foreign.send().await.unwrap(), 403, "origin_refused", "origin").await;
    server.server.stop().await;
}

#[tokio::test]
async fn a_token_names_its_participant_and_says_what_it_may_do() {
    let server = keyed_server().await;
    let named = token(json!({"sub": "ann", "name": "Ann A.", "metadata": "{}"}));
    let (mut ann, joined) = enter(&server, &named).await;
    let everything = json!(["camera", "microphone", "screen", "screen_audio", "other"]);
    assert_eq!(joined["permissions"]["can_publish"], everything);

    let silent = granting("bob", json!({"canPublish": false, "canPublishData": false}));
    let (mut bob, joined) = enter(&server, &silent).await;
    assert_eq!(joined["participants"][0]["name"], "Ann A.");
    assert_eq!(joined["participants"][0]["metadata"], "{}");
    assert_eq!(joined["permissions"]["can_publish"], json!([]));
    assert_eq!(ann.event("participant_joined").await["participant"]["name"], "bob");
    let publish = json!({"type": "publish", "mid": "0", "source": "camera"});
    bob.refused(publish, "forbidden").await;
    bob.refused(json!({"type": "data", "payload": "hi"}), "forbidden").await;

    // Nobody hears of somebody hidden, who hears of everybody.
    let (mut eve, joined) = enter(&server, &granting("eve", json!({"hidden": true}))).await;
    assert_eq!(joined["participants"].as_array().unwrap().len(), 2);
    let (mut dan, joined) = enter(&server, &granting("dan", json!({}))).await;
    assert_eq!(joined["participants"].as_array().unwrap().len(), 2, "{joined}");
    assert_eq!(eve.event("participant_joined").await["participant"]["name"], "dan");
    assert_eq!(ann.event("participant_joined").await["participant"]["name"], "dan");
    drop(eve);
    server.until_metric("sfu_leaves_total", 1.0).await;
    dan.request(json!({"type": "leave"})).await;
    let left = ann.event("participant_left").await;
    assert_eq!(left["reason"], "left", "of dan, and of eve nothing: {left}");
    server.server.stop().await;
}

#[tokio::test]
async fn one_identity_is_one_participant() {
    let server = keyed_server().await;
    let (mut bob, _) = enter(&server, &granting("bob", json!({}))).await;
    let (mut first, joined) = enter(&server, &granting("ann", json!({}))).await;
    let (_second, _) = enter(&server, &granting("ann", json!({}))).await;
    assert_eq!(first.closed().await, 4409);
    let left = bob.event("participant_left").await;
    assert_eq!(
        (&left["participant"], &left["reason"]),
        (&joined["participant"], &json!("replaced"))
    );
    server.until_metric("sfu_participants{door=\"web_socket\"}", 2.0).await;
    server.server.stop().await;
}

/// An offer that WHIP takes.
fn publishing() -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 {}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
         a=msid:s audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n",
        ["AB"; 32].join(":")
    )
}

#[tokio::test]
async fn who_was_kicked_does_not_come_back_with_an_old_token() {
    let server = keyed_server().await;
    let old = granting("eve", json!({}));
    let (mut eve, joined) = enter(&server, &old).await;
    let id = joined["participant"].as_str().unwrap();
    let path = format!("/api/v1/rooms/r/participants/{id}");
    let kick = server.request("DELETE", &path).header("authorization", format!("Bearer {ADMIN}"));
    assert_eq!(kick.send().await.unwrap().status(), 204);
    assert_eq!(eve.closed().await, 4403);

    let (mut again, refused) = enter(&server, &old).await;
    assert_eq!(refused["code"], "unauthorized", "{refused}");
    assert_eq!(again.closed().await, 4401);
    let request = server.request("POST", "/whip/r").header("content-type", "application/sdp");
    let request = request.header("authorization", format!("Bearer {old}")).body(publishing());
    assert_problem(request.send().await.unwrap(), 401, "unauthorized", "by WHIP").await;

    let post = |token: String| {
        let request = server.request("POST", "/whip/r").header("content-type", "application/sdp");
        request.header("authorization", format!("Bearer {token}")).body(publishing()).send()
    };
    let listener = granting("lis", json!({"canPublish": false}));
    assert_problem(post(listener).await.unwrap(), 403, "forbidden", "WHIP, not to publish").await;
    assert_eq!(post(granting("obs", json!({}))).await.unwrap().status(), 201);

    let iat = token(json!({"sub": "eve", "iat": now() + 2}));
    let (_eve, joined) = enter(&server, &iat).await;
    assert_eq!(joined["type"], "joined", "a later token lets them in: {joined}");
    let (_ann, joined) = enter(&server, &granting("ann", json!({}))).await;
    assert_eq!(joined["type"], "joined", "and the others were never kept out: {joined}");
    server.server.stop().await;
}

/// What was made with a token is changed and ended with one. Who comes without, or with one that does
/// not count, learns nothing and changes nothing, also of the right URL.
#[tokio::test]
async fn c27_c28_sessions_ask_for_a_token_as_endpoints_do() {
    let server = keyed_server().await;
    let good = granting("ann", json!({}));
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let expired = token(json!({"exp": now() - 120}));
    let elsewhere = token(json!({"video": {"roomJoin": true, "room": "s"}}));
    for (endpoint, offer) in
        [("/whip/r", crate::whip::publisher()), ("/whep/r", crate::whip::viewer())]
    {
        let ask = |method: &'static str, path: String, authorization: Option<String>| {
            let (content_type, body) = match method {
                "POST" if path == endpoint => ("application/sdp", offer.clone()),
                "POST" => ("application/json", "[]".to_owned()),
                _ => (
                    "application/trickle-ice-sdpfrag",
                    crate::whip::fragment("EsAw", crate::whip::PASSWORD),
                ),
            };
            let mut request = server.request(method, &path).header("if-match", "*");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            request.header("content-type", content_type).body(body).send()
        };
        let made = ask("POST", endpoint.to_owned(), bearer(&good)).await.unwrap();
        assert_eq!(made.status(), 201);
        let location = made.headers()["location"].to_str().unwrap();
        let path = location.strip_prefix(&server.url("")).unwrap().to_owned();
        let mut routes = vec![("POST", endpoint.to_owned()), ("PATCH", path.clone())];
        routes.push(("DELETE", path.clone()));
        if endpoint == "/whep/r" {
            routes.push(("POST", format!("{path}/events")));
            routes.push(("POST", format!("{path}/layer")));
        }
        for (what, authorization) in [
            ("missing", None),
            ("no scheme", Some(good.clone())),
            ("another scheme", Some(format!("Basic {good}"))),
            ("malformed", bearer("a.b.c")),
            ("expired", bearer(&expired)),
            ("of another room", bearer(&elsewhere)),
            ("the administrator's", bearer(ADMIN)),
        ] {
            for (method, path) in &routes {
                let refused = ask(method, path.clone(), authorization.clone()).await.unwrap();
                assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"sfu\"");
                let what = format!("{what}: {method} {path}");
                assert_problem(refused, 401, "unauthorized", &what).await;
            }
        }
        assert_eq!(server.get(&path).await.status(), 204, "the session goes on");
        assert_eq!(ask("PATCH", path.clone(), bearer(&good)).await.unwrap().status(), 204);
        assert_eq!(ask("DELETE", path.clone(), bearer(&good)).await.unwrap().status(), 200);
    }
    server.server.stop().await;
}

/// A viewer by WHEP is of the same identity, and nobody sees it in a list.
#[tokio::test]
async fn a_kick_ends_what_its_identity_watches_as_well() {
    let server = keyed_server().await;
    let watching = |identity| {
        let token = granting(identity, json!({}));
        let request = server.request("POST", "/whep/r").header("content-type", "application/sdp");
        request
            .header("authorization", format!("Bearer {token}"))
            .body(crate::whip::viewer())
            .send()
    };
    let (mut eve, joined) = enter(&server, &granting("eve", json!({}))).await;
    let mut sessions = Vec::new();
    for identity in ["eve", "ann"] {
        let made = watching(identity).await.unwrap();
        assert_eq!(made.status(), 201);
        let location = made.headers()["location"].to_str().unwrap();
        sessions.push(location.strip_prefix(&server.url("")).unwrap().to_owned());
    }
    let path = format!("/api/v1/rooms/r/participants/{}", joined["participant"].as_str().unwrap());
    let kick = server.request("DELETE", &path).header("authorization", format!("Bearer {ADMIN}"));
    assert_eq!(kick.send().await.unwrap().status(), 204);
    assert_eq!(eve.closed().await, 4403);
    assert_eq!(server.get(&sessions[0]).await.status(), 404, "eve watches no more");
    assert_eq!(server.get(&sessions[1]).await.status(), 204, "ann does");
    assert_eq!(watching("eve").await.unwrap().status(), 401);
    server.server.stop().await;
}

#[tokio::test]
async fn without_keys_everybody_may_do_everything() {
    let server = TestServer::start().await;
    let (_ann, joined) = enter(&server, "any.old.thing").await;
    assert_eq!(joined["type"], "joined");
    assert_eq!(body(server.get("/api/v1/rooms").await).await["rooms"][0]["name"], "r");
    server.server.stop().await;
}
