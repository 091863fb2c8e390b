//! [`Room`]: the publisher's tracks and where their packets go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use webrtc::media_stream::track_local::TrackLocal as _;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// Requests for a picture that come together ask the publisher once.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Room {
    video: Mutex<Option<Arc<dyn TrackRemote>>>,
    outs: Mutex<Arc<Vec<Out>>>,
    /// A request has been sent less than the interval ago: `Some(true)` if another one came since.
    asked: Mutex<Option<bool>>,
}

/// A watcher's track.
#[derive(Clone)]
pub(crate) struct Out {
    pub(crate) watcher: u64,
    pub(crate) kind: RtpCodecKind,
    pub(crate) payload_type: u8,
    pub(crate) ssrc: u32,
    pub(crate) track: Arc<TrackLocalStaticRTP>,
}

impl Room {
    pub(crate) fn add(&self, out: Out) {
        let mut outs = self.outs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut outs).push(out);
    }

    pub(crate) fn remove(&self, watcher: u64) {
        let mut outs = self.outs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut outs).retain(|out| out.watcher != watcher);
    }

    /// Forwards a publisher's track until it ends.
    pub(crate) async fn forward(self: Arc<Self>, remote: Arc<dyn TrackRemote>) {
        let kind = remote.kind().await;
        if kind == RtpCodecKind::Video {
            *self.video.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&remote));
            self.request_keyframe();
        }
        while let Some(event) = remote.poll().await {
            let TrackRemoteEvent::OnRtpPacket(mut packet) = event else { continue };
            // Their ids are the publisher's; the crate refuses what was not negotiated.
            packet.header.extension = false;
            packet.header.extensions.clear();
            let outs = Arc::clone(&self.outs.lock().unwrap_or_else(PoisonError::into_inner));
            for out in outs.iter().filter(|out| out.kind == kind) {
                let mut packet = packet.clone();
                packet.header.ssrc = out.ssrc;
                packet.header.payload_type = out.payload_type;
                // A watcher that is leaving must not end the others.
                let _gone = out.track.write_rtp(packet).await;
            }
        }
    }

    /// Asks the publisher once for all who ask within the interval.
    pub(crate) fn request_keyframe(self: &Arc<Self>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_some() {
            *asked = Some(true);
            return;
        }
        *asked = Some(false);
        let room = Arc::clone(self);
        tokio::spawn(async move {
            room.send_request().await;
            tokio::time::sleep(KEYFRAME_INTERVAL).await;
            let again = room.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
            if again == Some(true) {
                room.request_keyframe();
            }
        });
    }

    async fn send_request(&self) {
        let video = self.video.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(video) = video else { return };
        for media_ssrc in video.ssrcs().await {
            let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
            let _gone = video.write_rtcp(vec![Box::new(request)]).await;
        }
    }
}
