//! Peer connections: a publisher's receives and forwards, a watcher's sends what its room has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MediaEngine,
};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use webrtc::media_stream::track_local::TrackLocal as _;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder,
};

use crate::keyframes::{self, Keyframes};
use crate::room::{Out, Room};

const PT_VP8: u8 = 96;
const PT_RTX: u8 = 97;
const PT_OPUS: u8 = 111;
const KINDS: [RtpCodecKind; 2] = [RtpCodecKind::Audio, RtpCodecKind::Video];

/// A connection with the answer to its offer.
type Answered = (Arc<dyn PeerConnection>, String);

pub(crate) async fn publish(
    room: &Arc<Room>,
    address: IpAddr,
    offer: String,
) -> anyhow::Result<Answered> {
    let (connection, gathered) = build(room, Role::Publisher, address).await?;
    for kind in KINDS {
        let direction = RTCRtpTransceiverDirection::Recvonly;
        let init = RTCRtpTransceiverInit { direction, ..Default::default() };
        connection.add_transceiver_from_kind(kind, Some(init)).await?;
    }
    let answer = negotiate(&*connection, offer, gathered).await?;
    Ok((connection, answer))
}

pub(crate) async fn watch(
    room: &Arc<Room>,
    watcher: u64,
    address: IpAddr,
    offer: String,
) -> anyhow::Result<Answered> {
    let (connection, gathered) = build(room, Role::Watcher, address).await?;
    let mut outs = Vec::new();
    for kind in KINDS {
        let (payload_type, track) = local_track(kind);
        let ssrc = track.0;
        connection.add_track(Arc::clone(&track.1) as _).await?;
        outs.push(Out { watcher, kind, payload_type, ssrc, track: track.1 });
    }
    let answer = negotiate(&*connection, offer, gathered).await?;
    for out in outs {
        let (room, track) = (Arc::clone(room), Arc::clone(&out.track));
        room.add(out);
        // Only requests for a picture come through; see `keyframes`.
        tokio::spawn(async move {
            while track.poll().await.is_some() {
                room.request_keyframe();
            }
        });
    }
    Ok((connection, answer))
}

/// A track with an SSRC of its own, and the payload type it is sent as.
fn local_track(kind: RtpCodecKind) -> (u8, (u32, Arc<TrackLocalStaticRTP>)) {
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
    let stream = "room".to_owned();
    let track = MediaStreamTrack::new(stream, name.clone(), name, kind, vec![encoding]);
    (codec.payload_type, (ssrc, Arc::new(TrackLocalStaticRTP::new(track))))
}

async fn build(
    room: &Arc<Room>,
    role: Role,
    address: IpAddr,
) -> anyhow::Result<(Arc<dyn PeerConnection>, watch::Receiver<bool>)> {
    let (gathered_tx, gathered) = watch::channel(false);
    let handler = Handler { room: Arc::clone(room), role, gathered: gathered_tx };
    let mut media = media_engine()?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?
        .with(keyframes::slot(), Keyframes::default());
    let settings = SettingEngineBuilder::new()
        .with_lite(true)
        // As server, it chooses the cipher.
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_include_loopback_candidate(true)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(vec![SocketAddr::new(address, 0)])
        .build()
        .await?;
    Ok((Arc::new(connection), gathered))
}

async fn negotiate(
    connection: &dyn PeerConnection,
    offer: String,
    mut gathered: watch::Receiver<bool>,
) -> anyhow::Result<String> {
    connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
    let answer = connection.create_answer(None).await?;
    connection.set_local_description(answer).await?;
    gathered.wait_for(|gathered| *gathered).await?;
    Ok(connection.local_description().await.context("an answer was set")?.sdp)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Publisher,
    Watcher,
}

struct Handler {
    room: Arc<Room>,
    role: Role,
    gathered: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if self.role == Role::Watcher && state == RTCPeerConnectionState::Connected {
            self.room.request_keyframe();
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        if self.role == Role::Publisher {
            tokio::spawn(Arc::clone(&self.room).forward(track));
        }
    }
}

fn media_engine() -> anyhow::Result<MediaEngine> {
    let mut media = MediaEngine::default();
    media.register_codec(opus(), RtpCodecKind::Audio)?;
    media.register_codec(vp8(), RtpCodecKind::Video)?;
    media.register_codec(rtx(), RtpCodecKind::Video)?;
    let uri = "urn:ietf:params:rtp-hdrext:ssrc-audio-level".to_owned();
    let level = RTCRtpHeaderExtensionCapability { uri };
    media.register_header_extension(level, RtpCodecKind::Audio, None)?;
    Ok(media)
}

fn codec(mime: &str, payload_type: u8, clock_rate: u32, fmtp: &str) -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate,
            channels: 0,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: Vec::new(),
        },
        payload_type,
    }
}

/// Generic NACK and TWCC are added with their interceptors.
fn vp8() -> RTCRtpCodecParameters {
    let mut vp8 = codec(MIME_TYPE_VP8, PT_VP8, 90_000, "");
    let feedback = |typ: &str, parameter: &str| RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    };
    vp8.rtp_codec.rtcp_feedback =
        vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir")];
    vp8
}

fn rtx() -> RTCRtpCodecParameters {
    codec(MIME_TYPE_RTX, PT_RTX, 90_000, &format!("apt={PT_VP8}"))
}

fn opus() -> RTCRtpCodecParameters {
    let mut opus = codec(MIME_TYPE_OPUS, PT_OPUS, 48_000, "minptime=10;useinbandfec=1");
    opus.rtp_codec.channels = 2;
    opus
}
