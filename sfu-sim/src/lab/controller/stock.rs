//! The estimator that comes with the `interceptor` crate, for reference.

use std::time::{Duration, Instant};

use interceptor::{BandwidthEstimator, GCC_MAX_BITRATE, Gcc, History, convert_ccfb, convert_twcc};
use rtcp::transport_feedbacks::cc_feedback_report::CcFeedbackReport;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use shared::marshal::Unmarshal;

use super::{Controller, Departure, LEAST_BPS, Probe, START_BPS};

/// How long what was never acknowledged is remembered; what the crate's own interceptor does.
const HORIZON: Duration = Duration::from_secs(2);

/// [`Gcc`] with the crate's history and decoders.
pub struct Stock {
    gcc: Gcc,
    history: History,
}

impl Default for Stock {
    fn default() -> Self {
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let gcc = Gcc::new(START_BPS as f64, LEAST_BPS as f64, GCC_MAX_BITRATE);
        Self { gcc, history: History::new() }
    }
}

impl Controller for Stock {
    fn handle_departure(&mut self, now: Instant, departure: Departure) {
        self.history.add_outgoing(
            departure.ssrc,
            departure.rtp_sequence,
            true,
            departure.transport_sequence,
            departure.bytes as usize,
            now,
        );
    }

    fn handle_feedback(&mut self, now: Instant, mut bytes: &[u8]) {
        /// FMT of transport-wide feedback.
        const TWCC: u8 = 15;
        if bytes.first().is_some_and(|byte| byte & 0x1f == TWCC) {
            let Ok(feedback) = TransportLayerCc::unmarshal(&mut bytes) else { return };
            for acknowledgement in convert_twcc(&feedback) {
                self.history.on_twcc_feedback(now, acknowledgement);
            }
        } else {
            let Ok(feedback) = CcFeedbackReport::unmarshal(&mut bytes) else { return };
            for (ssrc, acknowledgements) in convert_ccfb(&feedback).1 {
                for acknowledgement in acknowledgements {
                    self.history.on_ccfb_feedback(now, ssrc, acknowledgement);
                }
            }
        }
        let reports = self.history.take_reports();
        self.gcc.on_reports(now, &reports);
        if let Some(cutoff) = now.checked_sub(HORIZON) {
            self.history.prune_before(cutoff);
        }
    }

    fn set_demand(&mut self, _: Instant, _: u64, _: u64) {}

    fn target_bps(&self) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let target = self.gcc.target_bitrate() as u64;
        target
    }

    fn poll_probe(&mut self, _: Instant) -> Option<Probe> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.gcc.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.gcc.handle_timeout(now);
    }

    fn loss(&self) -> Option<f32> {
        #[allow(clippy::cast_possible_truncation, reason = "a share")]
        self.gcc.stats().packet_loss.map(|loss| loss as f32)
    }
}
