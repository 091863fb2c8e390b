//! [`HttpSession`]: a [`Peer`] that came through WHIP (RFC 9725) or WHEP.

use anyhow::{Context as _, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{StatusCode, Url};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;

use super::peer::{Peer, PeerOptions};
use super::sender::{Camera, Microphone};
use super::within;
use crate::media::VideoPlan;

/// A server's base URL, such as `http://127.0.0.1:7880`.
#[derive(Clone, Debug)]
pub struct ServerUrl {
    base: Url,
    http: reqwest::Client,
}

impl ServerUrl {
    /// Takes a base URL.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let base = Url::parse(base).with_context(|| format!("not a URL: {base}"))?;
        Ok(Self { base, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// The address of a path of the server.
    pub fn path(&self, segments: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.clear().extend(segments),
            Err(()) => bail!("{} has no path", self.base),
        };
        Ok(url)
    }

    /// The WebSocket's address.
    pub fn socket(&self) -> anyhow::Result<Url> {
        let mut url = self.path(&["ws"])?;
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        if url.set_scheme(scheme).is_err() {
            bail!("{} is neither http nor https", self.base);
        }
        Ok(url)
    }

    /// The HTTP client.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The text at a path.
    pub async fn get(&self, segments: &[&str]) -> anyhow::Result<String> {
        let response = self.http.get(self.path(segments)?).send().await?.error_for_status()?;
        Ok(response.text().await?)
    }
}

/// A WHIP or WHEP session.
pub struct HttpSession {
    /// The connection.
    pub peer: Peer,
    /// The camera of a WHIP session that has one.
    pub camera: Option<Camera>,
    /// The microphone of a WHIP session that has one.
    pub microphone: Option<Microphone>,
    /// The session's URL.
    pub location: Url,
    http: reqwest::Client,
}

impl HttpSession {
    /// Publishes to a room through WHIP, waits for the connection and starts to send.
    pub async fn publish(
        server: &ServerUrl,
        room: &str,
        video: Option<VideoPlan>,
        audio: bool,
    ) -> anyhow::Result<Self> {
        Self::publish_by(PeerOptions::default(), server, room, video, audio).await
    }

    /// The same with a peer of these options.
    pub async fn publish_by(
        options: PeerOptions,
        server: &ServerUrl,
        room: &str,
        video: Option<VideoPlan>,
        audio: bool,
    ) -> anyhow::Result<Self> {
        let peer = Peer::new(options).await?;
        let mut microphone = None;
        if audio {
            microphone = Some(Microphone::new(&peer).await?);
        }
        let mut camera = None;
        if let Some(plan) = video {
            camera = Some(Camera::new(&peer, plan).await?);
        }
        let location = exchange(server, server.path(&["whip", room])?, &peer).await?;
        let http = server.http.clone();
        let mut session = Self { peer, camera, microphone, location, http };
        session.peer.connected().await?;
        if let Some(camera) = &mut session.camera {
            camera.start(&session.peer);
        }
        if let Some(microphone) = &mut session.microphone {
            microphone.start();
        }
        Ok(session)
    }

    /// Watches a room, or one participant of it, through WHEP, and waits for the connection.
    pub async fn watch(
        server: &ServerUrl,
        room: &str,
        participant: Option<&str>,
    ) -> anyhow::Result<Self> {
        Self::watch_by(PeerOptions::default(), server, room, participant).await
    }

    /// The same with a peer of these options.
    pub async fn watch_by(
        options: PeerOptions,
        server: &ServerUrl,
        room: &str,
        participant: Option<&str>,
    ) -> anyhow::Result<Self> {
        let peer = Peer::new(options).await?;
        peer.receive(RtpCodecKind::Audio).await?;
        peer.receive(RtpCodecKind::Video).await?;
        let mut segments = vec!["whep", room];
        segments.extend(participant);
        let location = exchange(server, server.path(&segments)?, &peer).await?;
        let http = server.http.clone();
        let session = Self { peer, camera: None, microphone: None, location, http };
        session.peer.connected().await?;
        Ok(session)
    }

    /// The SSRC the answer announces for an m-line of this kind.
    #[must_use]
    pub fn announced_ssrc(&self, kind: &str) -> Option<u32> {
        let remote = self.peer.remote();
        let section = remote.sections.iter().find(|section| section.kind == kind)?;
        section.media_ssrcs.first().copied()
    }

    /// Stops sending; the session stays.
    pub fn stop(&mut self) {
        if let Some(camera) = &mut self.camera {
            camera.stop();
        }
        if let Some(microphone) = &mut self.microphone {
            microphone.stop();
        }
    }

    /// Ends the session by DELETE, then the connection.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.camera = None;
        self.microphone = None;
        let deleted = within("DELETE", self.http.delete(self.location.clone()).send()).await?;
        self.peer.close().await?;
        if deleted.status() != StatusCode::OK {
            bail!("DELETE {}: {}", self.location, deleted.status());
        }
        Ok(())
    }
}

/// Posts an offer, takes the answer, returns the session's URL.
async fn exchange(server: &ServerUrl, endpoint: Url, peer: &Peer) -> anyhow::Result<Url> {
    let offer = peer.offer(false).await?;
    let request =
        server.http.post(endpoint.clone()).header(CONTENT_TYPE, "application/sdp").body(offer);
    let response = within("POST of the offer", request.send()).await?;
    let status = response.status();
    let location = response.headers().get(LOCATION).cloned();
    let body = within("reading the answer", response.text()).await?;
    if status != StatusCode::CREATED {
        bail!("POST {endpoint}: {status}: {body}");
    }
    let location = location.context("201 without Location")?;
    peer.answered(&body).await.with_context(|| format!("the answer was:\n{body}"))?;
    Ok(endpoint.join(location.to_str()?)?)
}
