//! RTCP as clients write and read it: by the `rtcp` crate, another reader and writer than the
//! engine's.

use std::time::Duration;

use bytes::Bytes;
use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use shared::marshal::Marshal;

/// What the engine told a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// A sender report: (SSRC, NTP time, RTP time).
    SenderReport(u32, u64, u32),
    /// A report block about one of the client's sources.
    Report(ReceptionReport),
    /// Packets of a source asked for again.
    Nack(u32, Vec<u16>),
    /// A keyframe of a source asked for.
    Keyframe(u32),
    /// Transport-wide feedback.
    TransportWide(TransportLayerCc),
}

/// Reads a compound packet. `None` if the crate cannot.
pub(crate) fn read(datagram: &[u8]) -> Option<Vec<Told>> {
    let packets = rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(datagram)).ok()?;
    let mut told = Vec::new();
    for packet in &packets {
        let any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            told.push(Told::SenderReport(report.ssrc, report.ntp_time, report.rtp_time));
        } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
            told.extend(report.reports.iter().cloned().map(Told::Report));
        } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let sequences = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            told.push(Told::Nack(nack.media_ssrc, sequences));
        } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            told.push(Told::Keyframe(pli.media_ssrc));
        } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
            told.extend(fir.fir.iter().map(|entry| Told::Keyframe(entry.ssrc)));
        } else if let Some(feedback) = any.downcast_ref::<TransportLayerCc>() {
            told.push(Told::TransportWide(feedback.clone()));
        }
    }
    Some(told)
}

/// A sender report.
pub(crate) fn sender_report(
    ssrc: u32,
    ntp_time: u64,
    rtp_time: u32,
    packet_count: u32,
    octet_count: u32,
) -> Vec<u8> {
    marshal(&SenderReport {
        ssrc,
        ntp_time,
        rtp_time,
        packet_count,
        octet_count,
        ..SenderReport::default()
    })
}

/// A receiver report.
pub(crate) fn receiver_report(ssrc: u32, reports: Vec<ReceptionReport>) -> Vec<u8> {
    marshal(&ReceiverReport { ssrc, reports, ..ReceiverReport::default() })
}

/// A request for packets of `media_ssrc`.
#[must_use]
pub fn nack(sender_ssrc: u32, media_ssrc: u32, sequences: &[u16]) -> Vec<u8> {
    let nacks = nack_pairs_from_sequence_numbers(sequences);
    marshal(&TransportLayerNack { sender_ssrc, media_ssrc, nacks })
}

/// A request for a keyframe of `media_ssrc`.
#[must_use]
pub fn pli(sender_ssrc: u32, media_ssrc: u32) -> Vec<u8> {
    marshal(&PictureLossIndication { sender_ssrc, media_ssrc })
}

/// A receiver's estimate in bit/s (draft-alvestrand-rmcat-remb-03).
#[must_use]
pub fn remb(sender_ssrc: u32, bits_per_second: u64, ssrcs: &[u32]) -> Vec<u8> {
    let mut exponent = 0;
    while bits_per_second >> exponent >= 1 << 18 {
        exponent += 1;
    }
    let mantissa = (bits_per_second >> exponent) as u32;
    let mut out = feedback_head(206, 15, sender_ssrc, 0);
    out.extend(*b"REMB");
    out.extend((u32::from(ssrcs.len() as u8) << 24 | exponent << 18 | mantissa).to_be_bytes());
    ssrcs.iter().for_each(|ssrc| out.extend(ssrc.to_be_bytes()));
    finish(out)
}

/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1) about the
/// packets from `base` on: when each arrived, or `None`. Gives the message and how many it is
/// about; the others' times do not fit its deltas.
#[must_use]
pub fn transport_wide(
    sender_ssrc: u32,
    media_ssrc: u32,
    base: u16,
    arrivals: &[Option<Duration>],
    count: u8,
) -> (Vec<u8>, usize) {
    /// Deltas count in 250 µs, the reference time in 64 ms.
    const TICK_US: i64 = 250;
    const TICKS_PER_REFERENCE: i64 = 256;
    let ticks = |at: Duration| at.as_micros() as i64 / TICK_US;
    let first = arrivals.iter().flatten().next().map_or(0, |&at| ticks(at));
    let reference = first / TICKS_PER_REFERENCE;
    let mut last = reference * TICKS_PER_REFERENCE;
    let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
    for arrival in arrivals {
        let Some(at) = *arrival else {
            symbols.push(0u16);
            continue;
        };
        let delta = ticks(at) - last;
        match (u8::try_from(delta), i16::try_from(delta)) {
            (Ok(delta), _) => {
                symbols.push(1);
                deltas.push(delta);
            }
            (_, Ok(delta)) => {
                symbols.push(2);
                deltas.extend(delta.to_be_bytes());
            }
            _ => break,
        }
        last += delta;
    }
    let mut out = feedback_head(205, 15, sender_ssrc, media_ssrc);
    out.extend(base.to_be_bytes());
    out.extend((symbols.len() as u16).to_be_bytes());
    out.extend(((reference as u32 & 0xff_ffff) << 8 | u32::from(count)).to_be_bytes());
    let mut rest = &symbols[..];
    while let Some(&symbol) = rest.first() {
        let run = rest.iter().take_while(|&&other| other == symbol).count().min(0x1fff);
        if run >= 7 {
            out.extend((symbol << 13 | run as u16).to_be_bytes());
            rest = &rest[run..];
        } else {
            let (some, after) = rest.split_at(rest.len().min(7));
            let vector = some
                .iter()
                .enumerate()
                .fold(0xc000, |vector, (at, symbol)| vector | symbol << (12 - 2 * at));
            out.extend(u16::to_be_bytes(vector));
            rest = after;
        }
    }
    out.extend(deltas);
    (finish(out), symbols.len())
}

/// Congestion control feedback (RFC 8888 §3.1) at `now`: for each SSRC the first sequence number
/// and when each packet from it on arrived, or `None`.
#[must_use]
pub fn rfc8888(
    sender_ssrc: u32,
    now: Duration,
    reports: &[(u32, u16, Vec<Option<Duration>>)],
) -> Vec<u8> {
    let mut out = vec![0x80 | 11, 205, 0, 0];
    out.extend(sender_ssrc.to_be_bytes());
    for (ssrc, base, arrivals) in reports {
        out.extend(ssrc.to_be_bytes());
        out.extend(base.to_be_bytes());
        out.extend((arrivals.len() as u16).to_be_bytes());
        for arrival in arrivals {
            // R, ECN 0, and the age in 1/1024 s.
            let block = arrival.map_or(0, |at| {
                let age = (now - at).as_micros() * 1024 / 1_000_000;
                0x8000 | u16::try_from(age).unwrap_or(u16::MAX).min(0x1ffd)
            });
            out.extend(block.to_be_bytes());
        }
        if arrivals.len() % 2 == 1 {
            out.extend([0, 0]);
        }
    }
    out.extend(((ntp(now) >> 16) as u32).to_be_bytes());
    finish(out)
}

/// Header of a feedback message (RFC 4585 §6.1), its length to be filled in.
fn feedback_head(packet_type: u8, format: u8, sender: u32, media: u32) -> Vec<u8> {
    let mut out = vec![0x80 | format, packet_type, 0, 0];
    out.extend(sender.to_be_bytes());
    out.extend(media.to_be_bytes());
    out
}

/// Fills up to a multiple of 32 bits and sets the length.
fn finish(mut out: Vec<u8>) -> Vec<u8> {
    out.resize(out.len().next_multiple_of(4), 0);
    let words = u16::try_from(out.len() / 4 - 1).expect("a datagram's worth");
    out[2..4].copy_from_slice(&words.to_be_bytes());
    out
}

fn marshal(packet: &impl Marshal) -> Vec<u8> {
    packet.marshal().expect("counts within the format").to_vec()
}

/// A time in NTP's 32.32 fixed-point seconds.
pub(crate) fn ntp(time: Duration) -> u64 {
    (time.as_secs() << 32) + ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;

    #[test]
    fn transport_wide_feedback_is_read_as_it_was_meant() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let arrivals =
            [ms(1000), None, ms(1001), ms(990), None, None, ms(1500), ms(1500), ms(60_000)];
        let (bytes, told) = transport_wide(1, 2, 65_535, &arrivals, 7);
        assert_eq!(told, 8, "the last one is too late for its delta");
        let [Told::TransportWide(read)] = &read(&bytes).unwrap()[..] else { panic!("{bytes:?}") };
        assert_eq!((read.base_sequence_number, read.packet_status_count), (65_535, 8));
        let mut at = i64::from(read.reference_time) * 64_000;
        let times = read.recv_deltas.iter().map(|delta| {
            at += delta.delta;
            at
        });
        assert_eq!(
            times.collect::<Vec<_>>(),
            [1_000_000, 1_001_000, 990_000, 1_500_000, 1_500_000]
        );
    }

    #[test]
    fn estimates_are_read_as_they_were_meant() {
        for rate in [150_000, 2_500_000, 1 << 40] {
            let bytes = remb(1, rate, &[5, 6]);
            let packets = rtcp::packet::unmarshal(&mut Bytes::from(bytes)).unwrap();
            let read: &ReceiverEstimatedMaximumBitrate =
                packets[0].as_any().downcast_ref().unwrap();
            assert!((read.bitrate as f64 - rate as f64).abs() <= rate as f64 / 1e5, "{rate}");
            assert_eq!(read.ssrcs, [5, 6]);
        }
    }
}
