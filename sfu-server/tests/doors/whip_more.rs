//! More rows of the conformance table: what is refused, what is limited, and what clients are told
//! beside the answer.

use sfu_server::config::Secret;

use crate::harness::{TestServer, assert_problem};
use crate::whip::{
    FRAGMENT, PASSWORD, SDP, UFRAG, audio, fragment, offer, patch, post, publisher, session, viewer,
};

#[tokio::test]
async fn c02_another_content_type_or_none_is_refused() {
    let server = TestServer::start().await;
    for path in ["/whip/r", "/whep/r"] {
        for content_type in [None, Some("text/plain"), Some("application/sdpx"), Some(FRAGMENT)] {
            let mut request = server.request("POST", path).body(publisher());
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let response = request.send().await.unwrap();
            assert_problem(response, 415, "unsupported_media_type", path).await;
        }
    }
    assert_eq!(server.metric("sfu_index_entries").await, 0.0);
    server.server.stop().await;
}

/// An ICE restart with credentials that are none, and what no fragment is: the session is as before.
#[tokio::test]
async fn c21_a_restart_that_cannot_be_served_changes_nothing() {
    let server = TestServer::start().await;
    let (path, etag) = session(&server, "/whip/r", publisher()).await;
    for (ufrag, password) in [("abc", PASSWORD), ("abcd", "short"), ("", ""), ("a b c", PASSWORD)] {
        let response = patch(&server, &path, Some("*"), &fragment(ufrag, password)).await;
        assert_problem(response, 400, "sdp_malformed", ufrag).await;
    }
    let still = patch(&server, &path, Some(&etag), &fragment(UFRAG, PASSWORD)).await;
    assert_eq!(still.status(), 204, "the tag and the credentials are the ones from before");
    server.server.stop().await;
}

#[tokio::test]
async fn c30_patches_are_limited_for_each_session() {
    let server = TestServer::start().await;
    let (path, etag) = session(&server, "/whip/r", publisher()).await;
    let (other, other_etag) = session(&server, "/whip/r", publisher()).await;
    let same = fragment(UFRAG, PASSWORD);
    let mut passed = 0;
    let refused = loop {
        let response = patch(&server, &path, Some(&etag), &same).await;
        if response.status() != 204 {
            break response;
        }
        passed += 1;
        assert!(passed < 1000, "nothing limits them");
    };
    assert!(passed >= sfu_server::limits::PATCHES_BURST, "{passed}");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_problem(refused, 429, "rate_limited", "a burst").await;
    assert_eq!(patch(&server, &other, Some(&other_etag), &same).await.status(), 204);
    assert_eq!(server.request("DELETE", &path).send().await.unwrap().status(), 200);
    server.server.stop().await;
}

#[tokio::test]
async fn c33_turn_servers_are_in_the_201() {
    let urls = ["stun:stun.test:3478", "turn:turn.test:3478?transport=udp"];
    let server = TestServer::start_with(|settings| {
        settings.ice.servers = urls.map(str::to_owned).to_vec();
        settings.ice.turn_secret = Some(Secret::new("north"));
    })
    .await;
    for (path, sdp) in [("/whip/r", publisher()), ("/whep/r", viewer())] {
        let response = post(&server, path, sdp).await;
        assert_eq!(response.status(), 201);
        let links = response.headers().get_all("link").iter();
        let links: Vec<&str> = links.map(|link| link.to_str().unwrap()).collect();
        let links: Vec<&str> =
            links.into_iter().filter(|link| link.contains("rel=\"ice-server\"")).collect();
        assert_eq!(links.len(), 2, "{links:?}");
        assert_eq!(links[0], "<stun:stun.test:3478>; rel=\"ice-server\"");
        let start = "<turn:turn.test:3478?transport=udp>; rel=\"ice-server\"; username=\"";
        assert!(links[1].starts_with(start), "{}", links[1]);
        assert!(links[1].contains("; credential=\""), "{}", links[1]);
        assert!(links[1].ends_with("; credential-type=\"password\""), "{}", links[1]);
    }
    let (_, joined) = server.join("r", "a").await;
    let told = &joined["ice_servers"];
    assert_eq!((&told[0]["urls"], &told[1]["urls"]), (&urls[0].into(), &urls[1].into()));
    let username = told[1]["username"].as_str().unwrap();
    assert!(username.ends_with(joined["participant"].as_str().unwrap()), "{username}");
    server.server.stop().await;
}

#[tokio::test]
async fn c08_no_credentials_are_in_what_needs_no_authentication() {
    let server = TestServer::start_with(|settings| {
        settings.ice.servers = vec!["turn:turn.test".to_owned()];
        settings.ice.turn_secret = Some(Secret::new("north"));
    })
    .await;
    for path in ["/whip/r", "/whep/r"] {
        for method in ["OPTIONS", "GET", "HEAD"] {
            let response = server.request(method, path).send().await.unwrap();
            assert!(!response.headers().contains_key("link"), "{method} {path}");
        }
    }
    server.server.stop().await;
}

#[tokio::test]
async fn c13_either_dtls_role_is_taken() {
    let server = TestServer::start().await;
    for (theirs, ours) in [("active", "passive"), ("passive", "active"), ("actpass", "passive")] {
        let sdp = publisher().replace("a=setup:actpass", &format!("a=setup:{theirs}"));
        let response = post(&server, "/whip/r", sdp).await;
        assert_eq!(response.status(), 201, "{theirs}");
        let answer = response.text().await.unwrap();
        assert_eq!(answer.matches(&format!("a=setup:{ours}\r\n")).count(), 2, "{theirs}: {answer}");
    }
    let sdp = publisher().replace("a=setup:actpass", "a=setup:holdconn");
    assert!(post(&server, "/whip/r", sdp).await.status().is_client_error());
    server.server.stop().await;
}

#[tokio::test]
async fn c23_trickle_and_restart_are_both_there() {
    let server = TestServer::start().await;
    let (path, etag) = session(&server, "/whep/r", viewer()).await;
    let trickled = patch(&server, &path, Some(&etag), &fragment(UFRAG, PASSWORD)).await;
    assert_eq!(trickled.status(), 204);
    let restarted = patch(&server, &path, Some("*"), &fragment("fresh", PASSWORD)).await;
    assert_eq!(restarted.status(), 200);
    server.server.stop().await;
}

#[tokio::test]
async fn c31_nothing_is_redirected() {
    let server = TestServer::start().await;
    // Paths that frameworks are fond of correcting.
    for path in ["/whip/r/", "/whip//r", "/whep/r/", "/whip", "/WHIP/r"] {
        let status = post(&server, path, publisher()).await.status();
        assert!(!status.is_redirection(), "{path}: {status}");
    }
    server.server.stop().await;
}

#[tokio::test]
async fn i03_simulcast_is_answered_with_its_rids() {
    let server = TestServer::start().await;
    let layers = "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                  a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                  a=rid:l send\r\na=rid:m send\r\na=rid:h send\r\n\
                  a=simulcast:send l;m;h\r\n";
    let video = crate::whip::video("sendonly") + layers;
    let response = post(&server, "/whip/r", offer(&[audio("sendonly"), video])).await;
    assert_eq!(response.status(), 201);
    let answer = response.text().await.unwrap();
    for rid in ["a=rid:l recv\r\n", "a=rid:m recv\r\n", "a=rid:h recv\r\n"] {
        assert!(answer.contains(rid), "{rid} in {answer}");
    }
    assert!(answer.contains("a=simulcast:recv l;m;h\r\n"), "{answer}");
    server.server.stop().await;
}

#[tokio::test]
async fn e03_who_does_not_wait_is_refused_while_nobody_publishes() {
    let server = TestServer::start().await;
    let response = post(&server, "/whep/r?wait=false", viewer()).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_problem(response, 409, "no_publisher", "nobody is there").await;
    let (_client, joined) = server.join("r", "a").await;
    let silent = format!("/whep/r/{}?wait=false", joined["participant"].as_str().unwrap());
    let response = post(&server, &silent, viewer()).await;
    assert_problem(response, 409, "no_publisher", "somebody, who publishes nothing").await;
    assert_eq!(server.metric("sfu_participants{door=\"whep\"}").await, 0.0);
    session(&server, "/whip/r", publisher()).await;
    let response = post(&server, "/whep/r?wait=false", viewer()).await;
    assert_eq!(response.status(), 201);
    assert_problem(post(&server, &silent, viewer()).await, 409, "no_publisher", "still").await;
    let response = post(&server, "/whep/r?wait=perhaps", viewer()).await;
    assert_problem(response, 400, "malformed", "neither true nor false").await;
    server.server.stop().await;
}

#[tokio::test]
async fn e06_the_server_makes_no_offers() {
    let server = TestServer::start().await;
    // An empty POST is how a client asks for one; it is told what is expected, not given a session.
    let response = post(&server, "/whep/r", String::new()).await;
    assert_problem(response, 400, "malformed", "an empty body").await;
    assert_eq!(server.metric("sfu_index_entries").await, 0.0);
    server.server.stop().await;
}

#[tokio::test]
async fn e07_an_answer_to_an_answered_session_is_refused() {
    let server = TestServer::start().await;
    let (path, etag) = session(&server, "/whep/r", viewer()).await;
    for if_match in [None, Some(&*etag), Some("*")] {
        let mut request = server.request("PATCH", &path).header("content-type", SDP);
        if let Some(if_match) = if_match {
            request = request.header("if-match", if_match);
        }
        let response = request.body(viewer()).send().await.unwrap();
        assert_problem(response, 422, "sdp_unsupported", "PATCH of an SDP").await;
    }
    let still = patch(&server, &path, Some(&etag), &fragment(UFRAG, PASSWORD)).await;
    assert_eq!(still.status(), 204, "the session survived that");
    server.server.stop().await;
}
