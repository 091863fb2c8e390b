//! Builders: each appends whole RTCP packets to a buffer, so that a compound is a row of calls.

use rtcp::header::COUNT_MAX;
use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use shared::marshal::Marshal;

use super::ReportBlock;
use crate::id::Ssrc;

/// Appends a sender report without report blocks (RFC 3550 §6.4.1). `ntp` is in NTP format,
/// `rtp_time` the same instant on the source's clock; `octets` counts payload bytes only.
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: Ssrc,
    ntp: u64,
    rtp_time: u32,
    packets: u32,
    octets: u32,
) {
    let report = SenderReport {
        ssrc: ssrc.0,
        ntp_time: ntp,
        rtp_time,
        packet_count: packets,
        octet_count: octets,
        ..SenderReport::default()
    };
    append(out, &report);
}

/// Appends a source description that names `cname` for one source (RFC 3550 §6.5.1). Beyond 255
/// bytes the name is cut.
pub fn write_sdes_cname(out: &mut Vec<u8>, ssrc: Ssrc, cname: &str) {
    let name = &cname.as_bytes()[..cname.len().min(usize::from(u8::MAX))];
    let start = out.len();
    out.extend_from_slice(&[0x81, 202, 0, 0]);
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    out.extend_from_slice(&[SDES_CNAME, name.len() as u8]);
    out.extend_from_slice(name);
    // The list of items ends with a null octet and is filled up with more of them; the `rtcp` crate
    // would fill up with a padding count.
    let bytes = (out.len() - start + 1).next_multiple_of(4);
    out.resize(start + bytes, 0);
    let words = (bytes / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

/// Item type of a canonical name (RFC 3550 §6.5.1).
const SDES_CNAME: u8 = 1;

/// Appends receiver reports (RFC 3550 §6.4.2): one for each 31 blocks, and an empty one for none.
/// By hand, as the `rtcp` crate wants the blocks in a list of its own.
pub fn write_receiver_report(out: &mut Vec<u8>, sender_ssrc: Ssrc, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (now, later) = rest.split_at(rest.len().min(COUNT_MAX));
        let words = (1 + 6 * now.len()) as u16;
        out.extend_from_slice(&[0x80 | now.len() as u8, 201]);
        out.extend_from_slice(&words.to_be_bytes());
        out.extend_from_slice(&sender_ssrc.0.to_be_bytes());
        now.iter().for_each(|block| block.write(out));
        rest = later;
        if rest.is_empty() {
            return;
        }
    }
}

/// Appends generic NACKs (RFC 4585 §6.2.1) for `sequences`, which should be in order: each entry
/// covers 17 numbers.
pub fn write_nack(out: &mut Vec<u8>, sender_ssrc: Ssrc, media_ssrc: Ssrc, sequences: &[u16]) {
    for entries in nack_pairs_from_sequence_numbers(sequences).chunks(NACK_ENTRIES_MAX) {
        let nack = TransportLayerNack {
            sender_ssrc: sender_ssrc.0,
            media_ssrc: media_ssrc.0,
            nacks: entries.to_vec(),
        };
        append(out, &nack);
    }
}

/// Entries of one NACK; what the `rtcp` crate writes at most.
const NACK_ENTRIES_MAX: usize = 253;

/// Appends a picture loss indication (RFC 4585 §6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender_ssrc: Ssrc, media_ssrc: Ssrc) {
    append(out, &PictureLossIndication { sender_ssrc: sender_ssrc.0, media_ssrc: media_ssrc.0 });
}

/// Appends a full intra request for one source (RFC 5104 §4.3.1). `sequence` goes up by one with
/// each new request, not with its repetitions.
pub fn write_fir(out: &mut Vec<u8>, sender_ssrc: Ssrc, media_ssrc: Ssrc, sequence: u8) {
    let request = FullIntraRequest {
        sender_ssrc: sender_ssrc.0,
        // RFC 5104 §4.3.1.2: the source is named in the entry, not in the common header.
        media_ssrc: 0,
        fir: vec![FirEntry { ssrc: media_ssrc.0, sequence_number: sequence }],
    };
    append(out, &request);
}

impl ReportBlock {
    fn write(&self, out: &mut Vec<u8>) {
        let lost = u32::from(self.fraction_lost) << 24
            | self.cumulative_lost.cast_unsigned() & 0x00ff_ffff;
        let words = [
            self.ssrc.0,
            lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last_sender_report,
        ];
        out.extend(words.into_iter().flat_map(u32::to_be_bytes));
    }
}

fn append(out: &mut Vec<u8>, packet: &impl Marshal) {
    let start = out.len();
    out.resize(start + packet.marshal_size(), 0);
    packet.marshal_to(&mut out[start..]).expect("sized by itself, counts within the format");
}
