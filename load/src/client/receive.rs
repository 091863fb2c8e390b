//! What a client does with the datagrams it receives. Headers are read of all packets, payloads
//! are decrypted of a sample: the more is decrypted, the less a generator can drive.

use std::io::{self, IoSliceMut};
use std::time::Instant;

use quinn_udp::RecvMeta;
use sfu_core::rtp::rtcp::{self, Rtcp};

use super::{Client, Role};
use crate::account::{Arrival, Counters, Delays, Stream};
use crate::clock::Clock;
use crate::sdp::RTX;
use crate::wire::Kind;
use crate::wire::header::Header;
use crate::wire::srtp::guess_index;
use crate::wire::stamp::Stamp;

/// Datagrams, or runs of them, that one system call receives.
const BATCH: usize = 8;
/// The longest run the kernel hands over in one buffer.
const BUFFER_BYTES: usize = 64 * 1024;
/// Most that padding adds to a packet (RFC 3550 §5.1): longer packets have content.
const PADDING_MAX: usize = 255;

/// What the clients of a thread share while they receive.
pub struct Inbox {
    buffers: Vec<Box<[u8]>>,
    meta: [RecvMeta; BATCH],
    clock: Clock,
    open_one_in: u32,
    lose_one_in: u32,
    turn: u32,
    lose_turn: u32,
    /// What was received.
    pub counters: Counters,
    /// How late.
    pub delays: Delays,
}

impl Inbox {
    /// Nothing received yet. One in `open_one_in` payloads is decrypted, all of them if 1; one in
    /// `lose_one_in` video packets thrown away, none if 0.
    #[must_use]
    pub fn new(clock: Clock, open_one_in: u32, lose_one_in: u32, delays: Delays) -> Self {
        Self {
            buffers: vec![vec![0; BUFFER_BYTES].into_boxed_slice(); BATCH],
            meta: [RecvMeta::default(); BATCH],
            clock,
            open_one_in: open_one_in.max(1),
            lose_one_in,
            turn: 0,
            lose_turn: 0,
            counters: Counters::default(),
            delays,
        }
    }

    /// From now on all is decrypted and nothing thrown away: the last packets are to be known.
    pub fn finish(&mut self) {
        (self.open_one_in, self.lose_one_in) = (1, 0);
    }

    /// Whether it is this packet's turn to be thrown away.
    fn loses(&mut self) -> bool {
        if self.lose_one_in == 0 {
            return false;
        }
        self.lose_turn = (self.lose_turn + 1) % self.lose_one_in;
        self.lose_turn == 0
    }

    /// Whether it is this packet's turn to be decrypted.
    fn takes_sample(&mut self) -> bool {
        self.turn += 1;
        if self.turn >= self.open_one_in {
            self.turn = 0;
        }
        self.turn == 0
    }
}

impl Client {
    /// Reads all there is.
    pub fn receive(&mut self, now: Instant, inbox: &mut Inbox) {
        // Taken out so that the rest can be borrowed beside them.
        let mut buffers = std::mem::take(&mut inbox.buffers);
        let mut meta = inbox.meta;
        while let Ok(count) = self.receive_batch(&mut buffers, &mut meta) {
            inbox.counters.receive_calls += 1;
            for (buffer, meta) in buffers.iter_mut().zip(&meta[..count]) {
                let arrival = meta.timestamp.map_or_else(
                    || inbox.clock.wall_ns(now),
                    |at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
                );
                let stride = meta.stride.max(1);
                for datagram in buffer[..meta.len].chunks_mut(stride) {
                    inbox.counters.datagrams += 1;
                    inbox.counters.bytes += datagram.len() as u64;
                    match Kind::of(datagram) {
                        Kind::Rtp => self.on_rtp(now, arrival, datagram, inbox),
                        Kind::Rtcp => self.on_rtcp(now, datagram, inbox),
                        Kind::Stun => self.on_stun(now, meta.addr, datagram),
                        Kind::Dtls => self.on_dtls(now, datagram),
                        Kind::Other => inbox.counters.foreign += 1,
                    }
                }
            }
            if count < BATCH {
                break;
            }
        }
        inbox.buffers = buffers;
    }

    fn receive_batch(&self, buffers: &mut [Box<[u8]>], meta: &mut [RecvMeta]) -> io::Result<usize> {
        let mut buffers = buffers.iter_mut();
        let mut slices: [IoSliceMut<'_>; BATCH] = std::array::from_fn(|_| {
            IoSliceMut::new(buffers.next().expect("as many buffers as slices"))
        });
        loop {
            match self.state.recv((&*self.socket).into(), &mut slices, meta) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other side's port was closed for a moment, or for good: then checks fail.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                other => return other,
            }
        }
    }

    fn on_rtp(&mut self, now: Instant, arrival: u64, packet: &mut [u8], inbox: &mut Inbox) {
        if self.media.is_none() {
            inbox.counters.before_keys += 1;
            return;
        }
        let Some(header) = Header::read(packet, self.transport_id) else {
            inbox.counters.foreign += 1;
            return;
        };
        let Some(place) = self.place(&header) else {
            inbox.counters.foreign += 1;
            return;
        };
        let taken = match &mut self.streams.roles[place] {
            Role::Media(_) => self.on_media(now, arrival, packet, &header, place, inbox),
            Role::Rtx { .. } => self.on_rtx(now, arrival, packet, &header, place, inbox),
        };
        match taken {
            None => inbox.counters.undecryptable += 1,
            Some(()) => {
                if let Some(sequence) = header.transport_sequence {
                    self.twcc.on_packet(sequence, arrival);
                }
            }
        }
    }

    /// Where the packet's stream is; one that no answer announced begins here.
    fn place(&mut self, header: &Header) -> Option<usize> {
        if let Some(place) = self.streams.place(header.ssrc) {
            return Some(place);
        }
        if header.payload_type == RTX {
            return None;
        }
        let video = header.payload_type == crate::sdp::VP8;
        self.streams.add(header.ssrc, Role::Media(Box::new(Stream::new(header.ssrc, video))))
    }

    /// `None` if it is not authentic.
    fn on_media(
        &mut self,
        now: Instant,
        arrival: u64,
        packet: &mut [u8],
        header: &Header,
        place: usize,
        inbox: &mut Inbox,
    ) -> Option<()> {
        let Role::Media(stream) = &mut self.streams.roles[place] else { return None };
        let media = self.media.as_mut()?;
        if stream.is_nacked() && !stream.is_fresh() && inbox.loses() {
            inbox.counters.thrown_away += 1;
            return Some(());
        }
        let index = stream.index_of(header.sequence)?;
        let sealed = packet.len() - header.bytes;
        let may_be_padding = header.padded && sealed <= PADDING_MAX + media.tag_bytes;
        let mut content = true;
        let mut stamp = None;
        if inbox.takes_sample() || stream.is_fresh() || may_be_padding {
            let bytes = media.opener.open(packet, header.bytes, index)?;
            inbox.counters.opened += 1;
            let payload = strip(header, &packet[header.bytes..header.bytes + bytes]);
            content = !payload.is_empty();
            stamp = Stamp::read(payload);
            inbox.counters.foreign += u64::from(content && stamp.is_none());
        }
        let arrived = stream.on_packet(now, index);
        if let Some(stamp) = stamp
            && arrived != Arrival::Old
        {
            stream.on_stamp(stamp, index);
        }
        self.joining.first_media.get_or_insert(now);
        note(inbox, arrived, content, stamp, arrival, false);
        Some(())
    }

    fn on_rtx(
        &mut self,
        now: Instant,
        arrival: u64,
        packet: &mut [u8],
        header: &Header,
        place: usize,
        inbox: &mut Inbox,
    ) -> Option<()> {
        let Role::Rtx { media: place, highest } = &mut self.streams.roles[place] else {
            return None;
        };
        let (place, media) = (*place, self.media.as_mut()?);
        let index = guess_index(*highest, header.sequence)?;
        let bytes = media.opener.open(packet, header.bytes, index)?;
        inbox.counters.opened += 1;
        *highest = (*highest).max(Some(index));
        let payload = strip(header, &packet[header.bytes..header.bytes + bytes]);
        let Some((original, payload)) = payload.split_first_chunk::<2>() else {
            inbox.counters.padding += 1;
            return Some(());
        };
        let Role::Media(stream) = &mut self.streams.roles[place] else { return None };
        // A probe may come before the first packet it repeats.
        let Some(original) = stream.retransmitted(u16::from_be_bytes(*original)) else {
            inbox.counters.duplicates += 1;
            return Some(());
        };
        let stamp = Stamp::read(payload);
        let arrived = stream.on_packet(now, original);
        note(inbox, arrived, true, stamp, arrival, true);
        Some(())
    }

    fn on_rtcp(&mut self, now: Instant, packet: &[u8], inbox: &mut Inbox) {
        let Some(media) = &mut self.media else {
            inbox.counters.before_keys += 1;
            return;
        };
        let Ok(plain) = media.rtcp_in.decrypt_rtcp(packet) else {
            inbox.counters.undecryptable += 1;
            return;
        };
        let (streams, feedback, counters) =
            (&mut self.streams, &self.feedback, &mut inbox.counters);
        let read = rtcp::parse(&plain, &mut |block| match block {
            Rtcp::SenderReport { ssrc, ntp, .. } => {
                if let Some(place) = streams.place(ssrc.0)
                    && let Role::Media(stream) = &mut streams.roles[place]
                {
                    stream.on_sender_report(now, (ntp >> 16) as u32);
                }
            }
            Rtcp::Nack { media_ssrc, sequences } => feedback.nack(media_ssrc.0, sequences),
            Rtcp::Pli { media_ssrc } | Rtcp::Fir { media_ssrc } => {
                counters.keyframe_requests += 1;
                feedback.keyframe(media_ssrc.0);
            }
            _ => {}
        });
        counters.foreign += u64::from(read.is_err());
    }
}

/// The payload without its padding (RFC 3550 §5.1).
fn strip<'a>(header: &Header, payload: &'a [u8]) -> &'a [u8] {
    let padding = if header.padded { payload.last().copied().unwrap_or(0) } else { 0 };
    &payload[..payload.len().saturating_sub(usize::from(padding))]
}

fn note(
    inbox: &mut Inbox,
    arrived: Arrival,
    content: bool,
    stamp: Option<Stamp>,
    arrival: u64,
    by_rtx: bool,
) {
    let counters = &mut inbox.counters;
    match arrived {
        Arrival::Old => counters.duplicates += 1,
        _ if !content => counters.padding += 1,
        Arrival::New | Arrival::Recovered => {
            counters.delivered += 1;
            counters.recovered += u64::from(by_rtx);
            if let Some(stamp) = stamp {
                inbox.delays.record(arrival.saturating_sub(stamp.due_ns));
            }
        }
    }
}
