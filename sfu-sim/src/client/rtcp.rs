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
    /// A sender report: (SSRC, NTP time).
    SenderReport(u32, u64),
    /// A report block about one of the client's sources.
    Report(ReceptionReport),
    /// Packets of a source asked for again.
    Nack(u32, Vec<u16>),
    /// A keyframe of a source asked for.
    Keyframe(u32),
    /// Transport-wide feedback about so many packets.
    TransportWide(u16),
}

/// Reads a compound packet. `None` if the crate cannot.
pub(crate) fn read(datagram: &[u8]) -> Option<Vec<Told>> {
    let packets = rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(datagram)).ok()?;
    let mut told = Vec::new();
    for packet in &packets {
        let any = packet.as_any();
        if let Some(report) = any.downcast_ref::<SenderReport>() {
            told.push(Told::SenderReport(report.ssrc, report.ntp_time));
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
            told.push(Told::TransportWide(feedback.packet_status_count));
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

fn marshal(packet: &impl Marshal) -> Vec<u8> {
    packet.marshal().expect("counts within the format").to_vec()
}

/// A time in NTP's 32.32 fixed-point seconds.
pub(crate) fn ntp(time: Duration) -> u64 {
    (time.as_secs() << 32) + ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}
