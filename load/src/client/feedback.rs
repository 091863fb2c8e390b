//! What a client says of what it receives: transport-wide feedback, NACKs, receiver reports, and
//! a keyframe request at the start.

use std::time::{Duration, Instant};

use sfu_core::id::Ssrc;
use sfu_core::rtp::rtcp::{ReportBlock, write_nack, write_pli, write_receiver_report};

use super::{Client, Role};
use crate::account::Counters;

/// Between receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Which feedback a thread's clients give.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Transport-wide feedback and receiver reports.
    pub feedback: bool,
    /// NACKs.
    pub nack: bool,
}

impl Client {
    /// Sends all that is due of a connected client; called once in each feedback interval.
    pub fn service(&mut self, now: Instant, tick: Tick, counters: &mut Counters) {
        self.drive(now);
        if self.media.is_none() || self.ended {
            return;
        }
        if tick.feedback {
            self.transport_feedback(counters);
            if self.next_report <= now {
                self.next_report = now + REPORT_INTERVAL;
                self.receiver_report(now, counters);
            }
        }
        self.tick(now, tick, counters);
    }

    /// Gives up or asks for what is missing.
    pub fn tick(&mut self, now: Instant, tick: Tick, counters: &mut Counters) {
        let mut ask = Vec::new();
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for stream in self.streams.media_mut().filter(|stream| stream.has_missing()) {
            ask.clear();
            stream.tick(now, &mut ask);
            if tick.nack && !ask.is_empty() {
                counters.nacked += ask.len() as u64;
                write_nack(&mut out, Ssrc(self.report_ssrc), Ssrc(stream.ssrc), &ask);
            }
        }
        self.send_rtcp(&out, counters);
        self.scratch = out;
    }

    fn transport_feedback(&mut self, counters: &mut Counters) {
        if self.twcc.is_empty() {
            return;
        }
        let media = self.streams.ssrcs.first().copied().unwrap_or(0);
        let mut out = std::mem::take(&mut self.scratch);
        loop {
            out.clear();
            if !self.twcc.build(self.report_ssrc, media, &mut out) {
                break;
            }
            self.send_rtcp(&out, counters);
        }
        self.scratch = out;
    }

    fn receiver_report(&mut self, now: Instant, counters: &mut Counters) {
        let blocks: Vec<ReportBlock> =
            self.streams.media_mut().filter_map(|stream| stream.report_block(now)).collect();
        if blocks.is_empty() {
            return;
        }
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        write_receiver_report(&mut out, Ssrc(self.report_ssrc), &blocks);
        self.send_rtcp(&out, counters);
        self.scratch = out;
    }

    /// Asks for a keyframe of each announced video stream from which nothing has come.
    pub(super) fn request_keyframes(&mut self) {
        let mut out = Vec::new();
        let fresh = self.streams.roles.iter().filter_map(|role| match role {
            Role::Media(stream) if stream.is_fresh() && stream.is_nacked() => Some(stream.ssrc),
            _ => None,
        });
        for ssrc in fresh {
            write_pli(&mut out, Ssrc(self.report_ssrc), Ssrc(ssrc));
        }
        self.send_rtcp(&out, &mut Counters::default());
    }

    fn send_rtcp(&mut self, plain: &[u8], counters: &mut Counters) {
        if plain.is_empty() {
            return;
        }
        let Some(media) = &mut self.media else { return };
        let Ok(sealed) = media.rtcp_out.encrypt_rtcp(plain) else { return };
        match self.socket.send(&sealed) {
            Ok(_) => counters.rtcp_sent += 1,
            Err(_) => counters.send_errors += 1,
        }
    }
}
