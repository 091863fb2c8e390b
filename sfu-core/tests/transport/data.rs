//! Data channels against rtc-sctp as the client.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use datachannel::data_channel::DataChannel;
use datachannel::message::Message as Dcep;
use datachannel::message::message_channel_open::{ChannelType, DataChannelOpen};
use sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Ppid, StreamEvent, TransportConfig,
};
use sfu_core::command::Reliability;
use sfu_core::drops::DropReason;
use sfu_core::limits::{DATA_BUFFERED_BYTES_MAX, DATA_CHANNELS_MAX, DATA_MESSAGE_BYTES_MAX};
use sfu_core::transport::{DtlsRole, TransportEvent};
use shared::TransportProtocol;
use shared::marshal::Marshal;

use crate::data_by_hand::{init, packet};
use crate::peer::GCM;
use crate::world::{World, handle, is_dtls, ms};

fn address() -> SocketAddr {
    ([192, 0, 2, 7], 7).into()
}

/// A world whose peer speaks SCTP.
struct Channels {
    world: World,
    endpoint: Endpoint,
    handle: AssociationHandle,
    association: Association,
    connected: bool,
    received: VecDeque<(u16, Ppid, BytesMut)>,
    reset: Vec<u16>,
    /// Complaints of the transport about the peer's packets.
    drops: Vec<DropReason>,
    /// Packets to the peer are lost while this is set.
    deaf: bool,
}

impl Channels {
    fn new(role: DtlsRole) -> Self {
        let mut world = World::new(role, &[GCM]);
        world.check();
        world.run(ms(50));
        assert!(world.transport.is_connected() && world.peer.done);
        let config = EndpointConfig::default();
        let mut endpoint = Endpoint::new(address(), TransportProtocol::UDP, Arc::new(config), None);
        let config = ClientConfig::new(TransportConfig::default().with_max_message_size(1 << 20));
        let (handle, association) = endpoint.connect(world.now, config, address()).unwrap();
        let mut channels = Self {
            world,
            endpoint,
            handle,
            association,
            connected: false,
            received: VecDeque::new(),
            reset: vec![],
            drops: vec![],
            deaf: false,
        };
        channels.run(ms(50));
        assert!(channels.connected);
        channels
    }

    fn open(&mut self, stream: u16, label: &str, channel_type: ChannelType, parameter: u32) {
        let open = Dcep::DataChannelOpen(DataChannelOpen {
            channel_type,
            priority: 0,
            reliability_parameter: parameter,
            label: label.into(),
            protocol: vec![],
        });
        let open = open.marshal().unwrap().freeze();
        let (unordered, kind) = DataChannel::get_reliability_params(channel_type);
        let mut s = self.association.open_stream(stream, Ppid::Dcep).unwrap();
        s.set_reliability_params(unordered, kind, parameter).unwrap();
        s.write_chunk_with_ppi(self.world.now, &open, Ppid::Dcep).unwrap();
    }

    /// The two channels of the protocol.
    fn open_both(&mut self) {
        self.open(0, "reliable", ChannelType::Reliable, 0);
        self.open(2, "lossy", ChannelType::PartialReliableRexmitUnordered, 0);
        self.run(ms(50));
        let open = |r| TransportEvent::DataOpen(r);
        let expected = [open(Reliability::Reliable), open(Reliability::Lossy)];
        assert_eq!(std::mem::take(&mut self.world.events), expected);
        // Acknowledged, in the words of DCEP.
        let acks: Vec<_> = self.received.drain(..).map(|(id, ppid, m)| (id, ppid, m[0])).collect();
        assert_eq!(acks, [(0, Ppid::Dcep, 2), (2, Ppid::Dcep, 2)]);
    }

    fn write(&mut self, stream: u16, ppid: Ppid, message: &[u8]) {
        let now = self.world.now;
        self.association.stream(stream).unwrap().write_with_ppi(now, message, ppid).unwrap();
    }

    fn messages(&mut self) -> Vec<(Reliability, bool, Bytes)> {
        let events = std::mem::take(&mut self.world.events);
        let message = |event| match event {
            TransportEvent::DataMessage { reliability, text, payload } => {
                (reliability, text, payload)
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(message).collect()
    }

    fn run(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        for _ in 0..1_000_000 {
            if self.exchange() {
                continue;
            }
            let timers = [
                self.world.transport.poll_timeout(),
                self.world.peer.timeout(),
                self.association.poll_timeout(),
            ];
            match timers.into_iter().flatten().min().filter(|&due| due <= end) {
                Some(due) => {
                    self.world.now = self.world.now.max(due);
                    let now = self.world.now;
                    self.world.transport.handle_timeout(now);
                    self.world.peer.handle_timeout(now);
                    self.association.handle_timeout(now);
                }
                None => return self.world.now = end,
            }
        }
        panic!("they never come to rest");
    }

    fn exchange(&mut self) -> bool {
        let mut any = false;
        let now = self.world.now;
        while let Some(transmit) = self.association.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.message else { continue };
            packets.iter().for_each(|packet| self.world.peer.write(now, packet));
        }
        while let Some(datagram) = self.world.peer.transmit() {
            any = true;
            self.deliver(&datagram);
        }
        while let Some((_, datagram)) = self.world.transport.poll_transmit() {
            any = true;
            if is_dtls(&datagram) && !self.deaf {
                self.world.peer.receive(now, &datagram);
            }
        }
        while let Some(packet) = self.world.peer.received.pop_front() {
            let event = self.endpoint.handle(now, address(), None, packet.freeze());
            if let Some((_, DatagramEvent::AssociationEvent(event))) = event {
                self.association.handle_event(event);
            }
        }
        self.take_events();
        self.world.exchange();
        any
    }

    fn deliver(&mut self, datagram: &[u8]) {
        let path = self.world.path;
        let result = handle(&mut self.world.transport, self.world.now, path, datagram);
        self.drops.extend(result.err());
        // The peer is alive, whatever it has to say.
        self.world.check();
    }

    /// Hands an SCTP packet to the transport, sealed as it must be.
    fn inject(&mut self, packet: &[u8]) {
        self.world.peer.write(self.world.now, packet);
        while let Some(datagram) = self.world.peer.transmit() {
            self.deliver(&datagram);
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.association.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::AssociationLost { id, .. } => self.reset.push(id),
                Event::Stream(StreamEvent::Readable { id }) => {
                    let mut stream = self.association.stream(id).unwrap();
                    while let Ok(Some(chunks)) = stream.read_sctp() {
                        let payload = chunks.to_payload(1 << 20).unwrap();
                        self.received.push_back((id, chunks.ppi, payload));
                    }
                }
                _ => {}
            }
        }
        while let Some(event) = self.association.poll_endpoint_event() {
            self.endpoint.handle_event(self.handle, event);
        }
    }
}

#[test]
fn messages_of_every_kind_go_both_ways_in_both_roles() {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut channels = Channels::new(role);
        assert!(!channels.world.transport.has_data_channel(Reliability::Reliable));
        channels.open_both();
        let long = vec![7; DATA_MESSAGE_BYTES_MAX];
        let cases = [
            (0, Reliability::Reliable, true, &b"text"[..]),
            (0, Reliability::Reliable, false, b"\xff\x00"),
            (0, Reliability::Reliable, true, b""),
            (2, Reliability::Lossy, false, b""),
            (2, Reliability::Lossy, true, "été".as_bytes()),
            (0, Reliability::Reliable, false, &long),
        ];
        for (stream, reliability, text, payload) in cases {
            let (ppid, wire) = match (text, payload.is_empty()) {
                (true, false) => (Ppid::String, payload),
                (false, false) => (Ppid::Binary, payload),
                (true, true) => (Ppid::StringEmpty, &[0][..]),
                (false, true) => (Ppid::BinaryEmpty, &[0][..]),
            };
            channels.write(stream, ppid, wire);
            channels.run(ms(300));
            let received = channels.messages();
            assert_eq!(received, [(reliability, text, Bytes::copy_from_slice(payload))]);
            let now = channels.world.now;
            channels.world.transport.send_data(now, reliability, text, payload).unwrap();
            channels.run(ms(300));
            let echoed: Vec<_> = channels.received.drain(..).collect();
            assert_eq!(echoed, [(stream, ppid, BytesMut::from(wire))]);
        }
        assert_eq!(channels.drops, []);
    }
}

#[test]
fn other_labels_are_taken_at_their_word() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open(4, "chat", ChannelType::ReliableUnordered, 0);
    channels.run(ms(50));
    channels.open(6, "mouse", ChannelType::PartialReliableTimed, 100);
    channels.run(ms(50));
    let open = |r| TransportEvent::DataOpen(r);
    let expected = [open(Reliability::Reliable), open(Reliability::Lossy)];
    assert_eq!(channels.world.events, expected);
}

#[test]
fn six_thousand_forged_records_do_not_stop_the_data() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open_both();
    for n in 0..6000u32 {
        let kind = [22, 22, 21, 20, 23][n as usize % 5];
        let mut record = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0];
        record.extend_from_slice(&(n as u16).to_be_bytes());
        record.extend_from_slice(&[0, 112, 14, 0, 0, 100, 0, n as u8, 0, 0, 0, 0, 0, 100]);
        record.resize(13 + 112, 0x11);
        channels.deliver(&record);
    }
    channels.exchange();
    let guarded = channels.drops.iter().filter(|&&r| r == DropReason::DtlsGuard).count();
    assert!(guarded >= 5900, "{guarded}");
    channels.drops.clear();
    channels.write(0, Ppid::String, b"still here");
    channels.run(ms(300));
    assert_eq!(channels.messages().len(), 1);
    assert_eq!(channels.drops, []);
}

#[test]
fn a_slow_receiver_is_told_of_and_others_memory_is_spared() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open_both();
    channels.run(ms(300));
    channels.deaf = true;
    let payload = vec![1; 32 * 1024];
    let mut accepted = [0, 0];
    for (n, reliability) in [(0, Reliability::Lossy), (1, Reliability::Reliable)] {
        for _ in 0..100 {
            let now = channels.world.now;
            match channels.world.transport.send_data(now, reliability, false, &payload) {
                Ok(()) => accepted[n] += payload.len(),
                Err(reason) => assert_eq!(reason, DropReason::DataSlowReceiver),
            }
        }
    }
    // Lossy messages stop at half of the room and reliable ones at all of it.
    assert_eq!(accepted, [DATA_BUFFERED_BYTES_MAX / 2; 2]);
    channels.deaf = false;
    channels.run(ms(60_000));
    let reliable = channels.received.iter().filter(|(id, ..)| *id == 0).count();
    assert_eq!(reliable * payload.len(), accepted[1]);
    // In a minute without checks, consent has gone.
    channels.world.check();
    let now = channels.world.now;
    channels.world.transport.send_data(now, Reliability::Lossy, false, &payload).unwrap();
    channels.run(ms(1000));
    assert_eq!(channels.received.back().unwrap().0, 2);
}

#[test]
fn an_oversize_message_closes_its_channel_only() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open_both();
    channels.write(2, Ppid::Binary, &vec![1; DATA_MESSAGE_BYTES_MAX + 1]);
    channels.run(ms(1000));
    assert!(channels.drops.contains(&DropReason::DataOversize), "{:?}", channels.drops);
    assert!(!channels.world.transport.has_data_channel(Reliability::Lossy));
    assert!(channels.world.transport.has_data_channel(Reliability::Reliable));
    assert_eq!(channels.reset, [2]);
    channels.write(0, Ppid::String, b"still here");
    channels.run(ms(1000));
    assert_eq!(channels.messages().len(), 1);
    let now = channels.world.now;
    let too_long = vec![1; DATA_MESSAGE_BYTES_MAX + 1];
    let sent = channels.world.transport.send_data(now, Reliability::Reliable, false, &too_long);
    assert_eq!(sent, Err(DropReason::DataOversize));
}

#[test]
fn a_channel_the_peer_closed_is_gone_and_its_stream_can_be_used_again() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open_both();
    for n in 0..2 * DATA_CHANNELS_MAX as u16 {
        // In turn the same stream and another one.
        let (old, new) = (2 + n.div_ceil(2) * 2, 2 + (n + 1).div_ceil(2) * 2);
        let now = channels.world.now;
        channels.association.stream(old).unwrap().close(now).unwrap();
        channels.run(ms(100));
        assert!(!channels.world.transport.has_data_channel(Reliability::Lossy));
        channels.open(new, "lossy", ChannelType::PartialReliableRexmitUnordered, 0);
        channels.run(ms(100));
        assert!(channels.world.transport.has_data_channel(Reliability::Lossy), "{n}");
    }
    assert_eq!(channels.drops, []);
}

#[test]
fn only_so_many_streams_are_opened() {
    let mut channels = Channels::new(DtlsRole::Server);
    for stream in 0..DATA_CHANNELS_MAX as u16 {
        channels.open(stream, "x", ChannelType::Reliable, 0);
        channels.run(ms(10));
    }
    assert_eq!(channels.world.events.len(), DATA_CHANNELS_MAX);
    assert_eq!(channels.drops, []);
    channels.open(1000, "x", ChannelType::Reliable, 0);
    channels.exchange();
    assert_eq!(channels.drops, [DropReason::SctpError]);
    assert_eq!(channels.world.events.len(), DATA_CHANNELS_MAX);
}

#[test]
fn a_flood_of_inits_neither_fills_memory_nor_ends_the_handshake() {
    let mut channels = Channels::new(DtlsRole::Server);
    for n in 0..1000 {
        let init = init(7000 + n, 1);
        channels.inject(&init);
        while channels.world.transport.poll_transmit().is_some() {}
    }
    let refused = channels.drops.iter().filter(|&&r| r == DropReason::SctpError).count();
    assert!(refused >= 960, "{refused}");
    // The association that was established outlived them.
    channels.open_both();
}

#[test]
fn garbled_sctp_from_the_peer_is_dropped() {
    let mut channels = Channels::new(DtlsRole::Server);
    channels.open_both();
    for length in 0..64 {
        channels.inject(&vec![0x5a; length.max(1)]);
        channels.inject(&packet(1, &vec![0; length]));
    }
    channels.write(0, Ppid::String, b"still here");
    channels.run(ms(300));
    assert_eq!(channels.messages().len(), 1);
}
