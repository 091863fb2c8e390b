//! What a client says of what it receives: transport-wide feedback, NACKs, receiver reports, and
//! a keyframe request at the start. Requests follow a receiver report (RFC 3550 §6.1): servers that
//! know nothing of reduced-size RTCP (RFC 5506) ignore them when they come alone.

use std::time::{Duration, Instant};

use sfu_core::id::Ssrc;
use sfu_core::rtp::rtcp::{ReportBlock, write_nack, write_pli, write_receiver_report};

use super::{Client, Role};
use crate::account::{Counters, Stream};

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
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let missing = self.streams.media_mut().filter(|stream| stream.has_missing());
        let asked = write_nacks(&mut out, Ssrc(self.report_ssrc), now, tick.nack, missing);
        counters.nacked += asked;
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
        write_keyframe_requests(&mut out, Ssrc(self.report_ssrc), fresh);
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

/// Writes what asks for the missing packets of these streams, behind a report on them, and gives how
/// many those are. Without `nack`, or if it is too soon to ask, nothing.
fn write_nacks<'a>(
    out: &mut Vec<u8>,
    own: Ssrc,
    now: Instant,
    nack: bool,
    streams: impl Iterator<Item = &'a mut Stream>,
) -> u64 {
    let (mut blocks, mut requests) = (Vec::new(), Vec::new());
    let mut asked = 0;
    let mut ask = Vec::new();
    for stream in streams {
        ask.clear();
        stream.tick(now, &mut ask);
        if nack && !ask.is_empty() {
            asked += ask.len() as u64;
            blocks.extend(stream.report_block(now));
            write_nack(&mut requests, own, Ssrc(stream.ssrc), &ask);
        }
    }
    if asked > 0 {
        write_receiver_report(out, own, &blocks);
        out.append(&mut requests);
    }
    asked
}

/// Writes requests for keyframes of streams of which nothing has come, behind a report that says so.
fn write_keyframe_requests(out: &mut Vec<u8>, own: Ssrc, fresh: impl Iterator<Item = u32>) {
    let nothing = |ssrc| ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter: 0,
        last_sender_report: 0,
        delay_since_last_sender_report: 0,
    };
    let blocks: Vec<ReportBlock> = fresh.map(nothing).collect();
    if blocks.is_empty() {
        return;
    }
    write_receiver_report(out, own, &blocks);
    for block in blocks {
        write_pli(out, own, block.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use sfu_core::rtp::rtcp::{Rtcp, parse};

    use super::*;

    const OWN: Ssrc = Ssrc(1);

    /// What is asked for, after the sources of the report before it.
    fn read(compound: &[u8]) -> (Vec<u32>, Vec<(u32, Vec<u16>)>) {
        assert_eq!(compound[1], 201, "a receiver report comes first");
        let (mut reported, mut asked) = (Vec::new(), Vec::new());
        parse(compound, &mut |message| match message {
            Rtcp::ReceiverReport(block) => {
                assert_eq!(asked, [], "reports come before requests");
                reported.push(block.ssrc.0);
            }
            Rtcp::Nack { media_ssrc, sequences } => {
                asked.push((media_ssrc.0, sequences.collect()));
            }
            Rtcp::Pli { media_ssrc } => asked.push((media_ssrc.0, vec![])),
            other => panic!("{other:?}"),
        })
        .unwrap();
        (reported, asked)
    }

    #[test]
    fn packets_are_asked_for_behind_a_report() {
        let start = Instant::now();
        let mut streams = [7, 8, 9].map(|ssrc| Stream::new(ssrc, true));
        for (stream, indices) in streams.iter_mut().zip([[10, 13], [20, 21], [30, 32]]) {
            indices.into_iter().for_each(|index| _ = stream.on_packet(start, 65_536 + index));
        }
        let later = start + Duration::from_millis(100);
        let mut out = Vec::new();
        assert_eq!(write_nacks(&mut out, OWN, later, false, streams.iter_mut()), 0);
        assert!(out.is_empty(), "nothing is asked for, nothing is sent");
        let later = later + Duration::from_millis(300);
        assert_eq!(write_nacks(&mut out, OWN, later, true, streams.iter_mut()), 3);
        assert_eq!(read(&out), (vec![7, 9], vec![(7, vec![11, 12]), (9, vec![31])]));
    }

    #[test]
    fn keyframes_are_asked_for_behind_a_report() {
        let mut out = Vec::new();
        write_keyframe_requests(&mut out, OWN, std::iter::empty());
        assert!(out.is_empty());
        write_keyframe_requests(&mut out, OWN, [7, 9].into_iter());
        assert_eq!(read(&out), (vec![7, 9], vec![(7, vec![]), (9, vec![])]));
    }
}
