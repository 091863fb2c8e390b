//! Data channels: SCTP by rtc-sctp over DTLS records, opened by DCEP (RFC 8831, RFC 8832).
//! We are the SCTP server in both DTLS roles, for browsers always send INIT.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use datachannel::data_channel::DataChannel;
use datachannel::message::Message as Dcep;
use datachannel::message::message_channel_ack::DataChannelAck;
use datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use sctp::{
    Association, AssociationError, AssociationHandle, Chunks, DatagramEvent, Endpoint,
    EndpointConfig, Event, Payload, PayloadProtocolIdentifier as Ppid, ServerConfig, StreamEvent,
    TransportConfig,
};
use shared::TransportProtocol;
use shared::marshal::{Marshal, Unmarshal};

use super::sctp_guard::{AssociationGuard, RECEIVE_WINDOW_BYTES, SctpGuard, Verdict};
use crate::command::Reliability;
use crate::drops::DropReason;
use crate::limits::{DATA_BUFFERED_BYTES_MAX, DATA_CHANNELS_MAX, DATA_MESSAGE_BYTES_MAX};

/// The library wants an address; DTLS has none.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// A repeated INIT makes another association; one of the two comes to life.
const ASSOCIATIONS_MAX: usize = 2;
/// An association that is not established by then never will be.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);
/// Lossy messages go first when a receiver is slow: they may fill half of the buffer.
const LOSSY_BUFFERED_BYTES_MAX: usize = DATA_BUFFERED_BYTES_MAX / 2;

/// What arrived by data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DataEvent {
    Open(Reliability),
    Message { reliability: Reliability, text: bool, payload: Bytes },
}

struct Peering {
    handle: AssociationHandle,
    association: Association,
    guard: AssociationGuard,
    /// When it is given up; `None` once established.
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    handle: AssociationHandle,
    stream: u16,
    reliability: Reliability,
}

pub(super) struct Data {
    endpoint: Endpoint,
    peerings: Vec<Peering>,
    channels: Vec<Channel>,
    guard: SctpGuard,
    events: VecDeque<DataEvent>,
    /// SCTP packets, to be sealed by DTLS.
    transmits: VecDeque<Bytes>,
}

impl Default for Data {
    fn default() -> Self {
        let transport = TransportConfig::default()
            .with_max_message_size(DATA_MESSAGE_BYTES_MAX as u32)
            .with_max_receive_buffer_size(RECEIVE_WINDOW_BYTES);
        let (endpoint, server) = (EndpointConfig::default(), ServerConfig::new(transport));
        Self {
            endpoint: Endpoint::new(
                PEER,
                TransportProtocol::UDP,
                Arc::new(endpoint),
                Some(Arc::new(server)),
            ),
            peerings: Vec::new(),
            channels: Vec::new(),
            guard: SctpGuard::default(),
            events: VecDeque::new(),
            transmits: VecDeque::new(),
        }
    }
}

impl Data {
    /// Takes an SCTP packet out of a DTLS record.
    pub(super) fn handle(&mut self, now: Instant, packet: BytesMut) -> Result<(), DropReason> {
        match self.guard.judge(&packet) {
            Verdict::Pass => {}
            Verdict::Init => self.make_room(),
            Verdict::Refuse => return Err(DropReason::SctpError),
            Verdict::Abort => {
                self.abort(now);
                return Err(DropReason::SctpError);
            }
        }
        let packet = packet.freeze();
        let (handle, event) =
            self.endpoint.handle(now, PEER, None, packet.clone()).ok_or(DropReason::SctpError)?;
        match event {
            DatagramEvent::NewAssociation(association) => {
                let guard = AssociationGuard::new(&packet).ok_or(DropReason::SctpError)?;
                let deadline = Some(now + HANDSHAKE_DEADLINE);
                self.peerings.push(Peering { handle, association, guard, deadline });
            }
            DatagramEvent::AssociationEvent(event) => {
                let peering = self.peerings.iter_mut().find(|p| p.handle == handle);
                let peering = peering.ok_or(DropReason::SctpError)?;
                if !peering.guard.allows(&packet) {
                    self.abort(now);
                    return Err(DropReason::SctpError);
                }
                peering.association.handle_event(event);
            }
            _ => return Err(DropReason::SctpError),
        }
        self.pump(now)
    }

    /// Lets go of an association that never came to life, or else of the older one.
    fn make_room(&mut self) {
        if self.peerings.len() >= ASSOCIATIONS_MAX {
            let stale = self.peerings.iter().position(|p| p.deadline.is_some()).unwrap_or(0);
            let gone = self.peerings.remove(stale);
            self.forget_channels(gone.handle);
        }
    }

    fn forget_channels(&mut self, handle: AssociationHandle) {
        for channel in self.channels.extract_if(.., |c| c.handle == handle) {
            self.guard.forget_stream(channel.stream);
        }
        if self.peerings.is_empty() {
            self.guard.forget_all();
        }
    }

    /// Moves everything on: events, messages, packets to send. Returns the first complaint.
    fn pump(&mut self, now: Instant) -> Result<(), DropReason> {
        let mut result = Ok(());
        for index in 0..self.peerings.len() {
            while let Some(event) = self.peerings[index].association.poll() {
                let handled = self.handle_event(now, index, event);
                result = result.and(handled);
            }
        }
        self.collect(now);
        result
    }

    fn handle_event(&mut self, now: Instant, index: usize, event: Event) -> Result<(), DropReason> {
        let handle = self.peerings[index].handle;
        match event {
            Event::Connected => self.peerings[index].deadline = None,
            Event::Stream(StreamEvent::Readable { id }) => return self.read_all(now, index, id),
            // So the library reports that a stream was reset, by either side.
            Event::AssociationLost { id, .. } => {
                self.channels.retain(|c| (c.handle, c.stream) != (handle, id));
                self.guard.forget_stream(id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Readable is told once, so everything is read.
    fn read_all(&mut self, now: Instant, index: usize, id: u16) -> Result<(), DropReason> {
        let mut result = Ok(());
        loop {
            let peering = &mut self.peerings[index];
            let Ok(mut stream) = peering.association.stream(id) else { return result };
            let Ok(Some(chunks)) = stream.read_sctp() else { return result };
            self.guard.note_read(chunks.len(), chunks.chunks.len());
            let handled = self.take_message(now, index, id, &chunks);
            result = result.and(handled);
        }
    }

    fn take_message(
        &mut self,
        now: Instant,
        index: usize,
        id: u16,
        chunks: &Chunks,
    ) -> Result<(), DropReason> {
        let Ok(payload) = chunks.to_payload(DATA_MESSAGE_BYTES_MAX) else {
            self.close_channel(now, index, id);
            return Err(DropReason::DataOversize);
        };
        if chunks.ppi == Ppid::Dcep {
            return self.take_control(now, index, id, &payload);
        }
        let handle = self.peerings[index].handle;
        let channel = self.channels.iter().find(|c| (c.handle, c.stream) == (handle, id));
        let reliability = channel.ok_or(DropReason::DataMalformed)?.reliability;
        let (text, payload) = match chunks.ppi {
            Ppid::String => (true, payload.freeze()),
            Ppid::Binary => (false, payload.freeze()),
            // SCTP cannot carry nothing: one byte stands for it (RFC 8831 §6.6).
            Ppid::StringEmpty => (true, Bytes::new()),
            Ppid::BinaryEmpty => (false, Bytes::new()),
            _ => return Err(DropReason::DataMalformed),
        };
        if text && std::str::from_utf8(&payload).is_err() {
            return Err(DropReason::DataMalformed);
        }
        self.events.push_back(DataEvent::Message { reliability, text, payload });
        Ok(())
    }

    fn take_control(
        &mut self,
        now: Instant,
        index: usize,
        id: u16,
        mut payload: &[u8],
    ) -> Result<(), DropReason> {
        match Dcep::unmarshal(&mut payload) {
            Ok(Dcep::DataChannelOpen(open)) => self.open(now, index, id, &open),
            Ok(Dcep::DataChannelAck(_)) => Ok(()),
            _ => Err(DropReason::DataMalformed),
        }
    }

    fn open(
        &mut self,
        now: Instant,
        index: usize,
        id: u16,
        open: &DataChannelOpen,
    ) -> Result<(), DropReason> {
        let handle = self.peerings[index].handle;
        let known = self.channels.iter().any(|c| (c.handle, c.stream) == (handle, id));
        if known || self.channels.len() >= DATA_CHANNELS_MAX {
            return Err(DropReason::SctpError);
        }
        let reliability = reliability_of(open);
        let (unordered, kind) = DataChannel::get_reliability_params(open.channel_type);
        let ack =
            Dcep::DataChannelAck(DataChannelAck).marshal().map_err(|_| DropReason::SctpError)?;
        let mut stream =
            self.peerings[index].association.stream(id).map_err(|_| DropReason::SctpError)?;
        stream
            .set_reliability_params(unordered, kind, open.reliability_parameter)
            .and_then(|()| stream.write_chunk_with_ppi(now, &ack.freeze(), Ppid::Dcep))
            .map_err(|_| DropReason::SctpError)?;
        self.channels.push(Channel { handle, stream: id, reliability });
        self.events.push_back(DataEvent::Open(reliability));
        Ok(())
    }

    fn close_channel(&mut self, now: Instant, index: usize, id: u16) {
        let peering = &mut self.peerings[index];
        if let Ok(mut stream) = peering.association.stream(id) {
            // Nothing to be done if the association is gone already.
            _ = stream.close(now);
        }
        let handle = peering.handle;
        self.channels.retain(|c| (c.handle, c.stream) != (handle, id));
    }

    /// The newest channel of a delivery class: a client that opened another one meant it.
    fn channel(&self, reliability: Reliability) -> Option<Channel> {
        self.channels.iter().rev().find(|c| c.reliability == reliability).copied()
    }

    pub(super) fn has_channel(&self, reliability: Reliability) -> bool {
        self.channel(reliability).is_some()
    }

    /// Queues a message. Refused when the receiver does not keep up.
    pub(super) fn send(
        &mut self,
        now: Instant,
        reliability: Reliability,
        text: bool,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        if payload.len() > DATA_MESSAGE_BYTES_MAX {
            return Err(DropReason::DataOversize);
        }
        let channel = self.channel(reliability).ok_or(DropReason::SctpError)?;
        let bytes_max = match reliability {
            Reliability::Reliable => DATA_BUFFERED_BYTES_MAX,
            Reliability::Lossy => LOSSY_BUFFERED_BYTES_MAX,
        };
        if self.buffered() + payload.len() > bytes_max {
            return Err(DropReason::DataSlowReceiver);
        }
        let (ppid, payload) = match (text, payload.is_empty()) {
            (true, false) => (Ppid::String, payload),
            (false, false) => (Ppid::Binary, payload),
            (true, true) => (Ppid::StringEmpty, &[0][..]),
            (false, true) => (Ppid::BinaryEmpty, &[0][..]),
        };
        let peering = self.peerings.iter_mut().find(|p| p.handle == channel.handle);
        let association = &mut peering.ok_or(DropReason::SctpError)?.association;
        let mut stream = association.stream(channel.stream).map_err(|_| DropReason::SctpError)?;
        stream.write_with_ppi(now, payload, ppid).map_err(|_| DropReason::SctpError)?;
        self.collect(now);
        Ok(())
    }

    /// Bytes accepted and not yet acknowledged or abandoned, over all channels.
    fn buffered(&mut self) -> usize {
        let mut bytes = 0;
        for channel in &self.channels {
            let peering = self.peerings.iter_mut().find(|p| p.handle == channel.handle);
            let stream = peering.and_then(|p| p.association.stream(channel.stream).ok());
            bytes += stream.and_then(|s| s.buffered_amount().ok()).unwrap_or(0);
        }
        bytes
    }

    fn collect(&mut self, now: Instant) {
        let mut gone = Vec::new();
        for peering in &mut self.peerings {
            while let Some(transmit) = peering.association.poll_transmit(now) {
                let Payload::RawEncode(packets) = transmit.message else { continue };
                for packet in packets {
                    self.guard.note_sent(&packet);
                    peering.guard.note_sent(&packet);
                    self.transmits.push_back(packet);
                }
            }
            while let Some(event) = peering.association.poll_endpoint_event() {
                self.endpoint.handle_event(peering.handle, event);
                gone.push(peering.handle);
            }
            if peering.deadline.is_none() && peering.association.is_closed() {
                gone.push(peering.handle);
            }
        }
        for handle in gone {
            self.peerings.retain(|p| p.handle != handle);
            self.forget_channels(handle);
        }
    }

    /// Ends every association at once.
    pub(super) fn abort(&mut self, now: Instant) {
        for peering in &mut self.peerings {
            _ = peering.association.abort();
            _ = peering.association.close(AssociationError::LocallyClosed);
            peering.deadline = None;
        }
        self.collect(now);
    }

    pub(super) fn poll_event(&mut self) -> Option<DataEvent> {
        self.events.pop_front()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let each = |p: &Peering| p.association.poll_timeout().into_iter().chain(p.deadline).min();
        self.peerings.iter().filter_map(each).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let late = |p: &Peering| p.deadline.is_some_and(|deadline| deadline <= now);
        while let Some(index) = self.peerings.iter().position(late) {
            let gone = self.peerings.remove(index);
            self.forget_channels(gone.handle);
        }
        for peering in &mut self.peerings {
            if peering.association.poll_timeout().is_some_and(|due| due <= now) {
                peering.association.handle_timeout(now);
            }
        }
        // A timer brings no messages, so there is nothing to complain of.
        _ = self.pump(now);
    }
}

/// By label, for ours; else by what the channel promises.
fn reliability_of(open: &DataChannelOpen) -> Reliability {
    let lossless =
        matches!(open.channel_type, ChannelType::Reliable | ChannelType::ReliableUnordered);
    match (&open.label[..], lossless) {
        (b"reliable", _) => Reliability::Reliable,
        (b"lossy", _) => Reliability::Lossy,
        (_, true) => Reliability::Reliable,
        (_, false) => Reliability::Lossy,
    }
}
