//! [`Peer`]: one peer connection with ICE, DTLS, SRTP and data channels, its [`TapState`] and its
//! [`SocketCounters`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{
    NackGeneratorBuilder, NackResponderBuilder, ReceiverReportBuilder, SenderReportBuilder, Slot,
};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::configure_twcc;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MediaEngine,
};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
};
use webrtc::rtp_transceiver::RtpTransceiver;

use super::net::{BenchRuntime, SocketCounters};
use super::route::Route;
use super::sdp::Sdp;
use super::tap::{SINK_SLOT, Sink, TAP_SLOT, Tap, TapState};
use super::within;

/// Payload types offered.
pub(crate) const PT_VP8: u8 = 96;
pub(crate) const PT_RTX: u8 = 97;
pub(crate) const PT_OPUS: u8 = 111;

pub(crate) const URI_MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const URI_AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// How often missing packets are asked for. The crate's default of 100 ms is slow for a loopback.
const NACK_INTERVAL: Duration = Duration::from_millis(20);
const NACKS_PER_PACKET_MAX: u16 = 10;
/// Packets a sender keeps for retransmission.
const SEND_BUFFER_PACKETS: u16 = 2048;

/// How a peer is made.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The local address to gather candidates on.
    pub address: IpAddr,
    /// By which way its datagrams go.
    pub route: Route,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), route: Route::default() }
    }
}

/// A track of ours on its m-line.
#[derive(Clone)]
pub struct LocalTrack {
    /// Where packets go in.
    pub track: Arc<TrackLocalStaticRTP>,
    /// Its SSRC.
    pub ssrc: u32,
    /// Its m-line.
    pub transceiver: Arc<dyn RtpTransceiver>,
}

impl LocalTrack {
    /// The m-line's mid, known once an offer has been made.
    pub async fn mid(&self) -> anyhow::Result<String> {
        self.transceiver.mid().await?.context("no offer has named this m-line yet")
    }
}

/// See the module. Ends with [`Peer::close`]; one that is only dropped ends without a goodbye.
pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    tap: Arc<TapState>,
    sockets: Arc<SocketCounters>,
    state: watch::Receiver<RTCPeerConnectionState>,
    gathered: watch::Receiver<bool>,
    remote_tracks: watch::Receiver<Vec<Arc<dyn TrackRemote>>>,
    remote: Mutex<Sdp>,
    answer_text: Mutex<String>,
}

impl Peer {
    /// A peer without m-lines.
    pub async fn new(options: PeerOptions) -> anyhow::Result<Self> {
        let tap = Arc::new(TapState::default());
        let runtime = BenchRuntime { route: options.route, ..Default::default() };
        let sockets = Arc::clone(&runtime.counters);
        let (state_tx, state) = watch::channel(RTCPeerConnectionState::New);
        let (gathered_tx, gathered) = watch::channel(false);
        let (tracks_tx, remote_tracks) = watch::channel(Vec::new());
        let handler = Handler { state: state_tx, gathered: gathered_tx, tracks: tracks_tx };
        let mut media = media_engine()?;
        let registry = interceptors(&mut media, &tap)?;
        let settings =
            SettingEngineBuilder::new().with_multicast_dns_mode(MulticastDnsMode::Disabled).build();
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(handler))
            .with_runtime(Arc::new(runtime))
            .with_udp_addrs(vec![SocketAddr::new(options.address, 0)])
            .build()
            .await?;
        Ok(Self {
            connection: Arc::new(connection),
            tap,
            sockets,
            state,
            gathered,
            remote_tracks,
            remote: Mutex::default(),
            answer_text: Mutex::default(),
        })
    }

    /// Adds a sending m-line: VP8 with RTX, or Opus.
    pub async fn send(&self, kind: RtpCodecKind) -> anyhow::Result<LocalTrack> {
        let ssrc = rand::random();
        let (codec, rtx) = match kind {
            RtpCodecKind::Video => (vp8(), Some(RTCRtpRtxParameters { ssrc: rand::random() })),
            _ => (opus(), None),
        };
        let name = format!("{kind}-{ssrc:08x}");
        let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), rtx, ..Default::default() };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: coding,
            codec: codec.rtp_codec,
            ..Default::default()
        };
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "bench".to_owned(),
            name.clone(),
            name,
            kind,
            vec![encoding],
        )));
        let direction = RTCRtpTransceiverDirection::Sendonly;
        let init = RTCRtpTransceiverInit { direction, ..Default::default() };
        let transceiver =
            self.connection.add_transceiver_from_track(Arc::clone(&track) as _, Some(init)).await?;
        Ok(LocalTrack { track, ssrc, transceiver })
    }

    /// Adds a receiving m-line.
    pub async fn receive(&self, kind: RtpCodecKind) -> anyhow::Result<Arc<dyn RtpTransceiver>> {
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, ..Default::default() };
        Ok(self.connection.add_transceiver_from_kind(kind, Some(init)).await?)
    }

    /// Adds a data channel, `reliable` or `lossy` by its label.
    pub async fn data_channel(&self, label: &str) -> anyhow::Result<Arc<dyn DataChannel>> {
        let lossy = label == "lossy";
        let init = rtc::data_channel::RTCDataChannelInit {
            ordered: !lossy,
            max_retransmits: lossy.then_some(0),
            ..Default::default()
        };
        Ok(self.connection.create_data_channel(label, Some(init)).await?)
    }

    /// Makes an offer and sets it, with the candidates if `gathered`. An ICE-lite server needs none.
    pub async fn offer(&self, gathered: bool) -> anyhow::Result<String> {
        let offer = self.connection.create_offer(None).await?;
        self.connection.set_local_description(offer.clone()).await?;
        if !gathered {
            return Ok(offer.sdp);
        }
        let mut done = self.gathered.clone();
        within("gathering candidates", done.wait_for(|done| *done)).await?;
        let description = self.connection.local_description().await;
        Ok(description.context("an offer was set")?.sdp)
    }

    /// Sets an answer.
    pub async fn answered(&self, sdp: &str) -> anyhow::Result<()> {
        let answer = RTCSessionDescription::answer(sdp.to_owned())?;
        self.connection.set_remote_description(answer).await?;
        *self.answer_text.lock().unwrap_or_else(PoisonError::into_inner) = sdp.to_owned();
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner) = Sdp::read(sdp);
        Ok(())
    }

    /// The text of the answer that was set last.
    #[must_use]
    pub fn answer_text(&self) -> String {
        self.answer_text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers an offer, with candidates: for a call without a server.
    pub async fn answer(&self, offer: &str) -> anyhow::Result<String> {
        let description = RTCSessionDescription::offer(offer.to_owned())?;
        self.connection.set_remote_description(description).await?;
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner) = Sdp::read(offer);
        let answer = self.connection.create_answer(None).await?;
        self.connection.set_local_description(answer).await?;
        let mut done = self.gathered.clone();
        within("gathering candidates", done.wait_for(|done| *done)).await?;
        let description = self.connection.local_description().await;
        Ok(description.context("an answer was set")?.sdp)
    }

    /// Waits for ICE and DTLS.
    pub async fn connected(&self) -> anyhow::Result<()> {
        let mut state = self.state.clone();
        let reached = within(
            "connecting",
            state.wait_for(|state| {
                matches!(
                    state,
                    RTCPeerConnectionState::Connected
                        | RTCPeerConnectionState::Failed
                        | RTCPeerConnectionState::Closed
                )
            }),
        )
        .await?;
        if *reached != RTCPeerConnectionState::Connected {
            bail!("the connection is {}", *reached);
        }
        Ok(())
    }

    /// Where the connection stands.
    #[must_use]
    pub fn state(&self) -> RTCPeerConnectionState {
        *self.state.borrow()
    }

    /// Asks for a key frame of a received SSRC, once the connection has told of its track: the
    /// account knows of packets earlier.
    pub async fn request_keyframe(&self, ssrc: u32) -> anyhow::Result<()> {
        let track = within("a track", self.track_of(ssrc)).await?;
        let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        Ok(track.write_rtcp(vec![Box::new(pli)]).await?)
    }

    async fn track_of(&self, ssrc: u32) -> anyhow::Result<Arc<dyn TrackRemote>> {
        let mut told = self.remote_tracks.clone();
        loop {
            let tracks = told.borrow_and_update().clone();
            for track in tracks {
                if track.ssrcs().await.contains(&ssrc) {
                    return Ok(track);
                }
            }
            told.changed().await.with_context(|| format!("no track with SSRC {ssrc}"))?;
        }
    }

    /// The account of what was received.
    #[must_use]
    pub fn tap(&self) -> &Arc<TapState> {
        &self.tap
    }

    /// What came to the sockets.
    #[must_use]
    pub fn sockets(&self) -> &SocketCounters {
        &self.sockets
    }

    /// The other side's latest description.
    #[must_use]
    pub fn remote(&self) -> Sdp {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the connection with a goodbye (DTLS close_notify).
    pub async fn close(&self) -> anyhow::Result<()> {
        within("closing", self.connection.close()).await
    }
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
    gathered: watch::Sender<bool>,
    tracks: watch::Sender<Vec<Arc<dyn TrackRemote>>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tracks.send_modify(|tracks| tracks.push(track));
    }
}

fn media_engine() -> anyhow::Result<MediaEngine> {
    let mut media = MediaEngine::default();
    media.register_codec(opus(), RtpCodecKind::Audio)?;
    media.register_codec(vp8(), RtpCodecKind::Video)?;
    media.register_codec(rtx(), RtpCodecKind::Video)?;
    for (uri, kind) in [
        (URI_MID, RtpCodecKind::Audio),
        (URI_MID, RtpCodecKind::Video),
        (URI_AUDIO_LEVEL, RtpCodecKind::Audio),
    ] {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
        media.register_header_extension(extension, kind, None)?;
    }
    Ok(media)
}

/// The crate's default set, with faster NACKs, TWCC in both directions, and our two at the ends.
fn interceptors(media: &mut MediaEngine, tap: &Arc<TapState>) -> anyhow::Result<Registry> {
    let registry = configure_twcc(Registry::new(), media)?;
    let generator = NackGeneratorBuilder::new()
        .with_interval(NACK_INTERVAL)
        .with_max_nacks_per_packet(NACKS_PER_PACKET_MAX)
        .build();
    let responder = NackResponderBuilder::new().with_size(SEND_BUFFER_PACKETS).build();
    Ok(registry
        .with(Slot::from(TAP_SLOT), Tap::new(Arc::clone(tap)))
        .with(Slot::NackResponder, responder)
        .with(Slot::NackGenerator, generator)
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::from(SINK_SLOT), Sink::default()))
}

fn vp8() -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    };
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_VP8.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: vec![
                feedback("nack", ""),
                feedback("nack", "pli"),
                feedback("ccm", "fir"),
            ],
        },
        payload_type: PT_VP8,
    }
}

fn rtx() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format!("apt={PT_VP8}"),
            rtcp_feedback: vec![],
        },
        payload_type: PT_RTX,
    }
}

fn opus() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: vec![],
        },
        payload_type: PT_OPUS,
    }
}
