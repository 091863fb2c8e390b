//! What shares a bottleneck: flows, and the packets they exchange with their far ends.

use std::time::Duration;

/// A packet of a flow.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Size at the IP level.
    pub bytes: u32,
    /// What the lab counts it as.
    pub class: Class,
    /// What it carries.
    pub body: Body,
}

/// What a packet counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Media for the first time, or TCP's data.
    Media,
    /// Media again.
    Retransmission,
    /// Padding and what a probe was filled up with.
    Padding,
    /// Reports, requests, acknowledgements.
    Control,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Of a media flow.
    Media(MediaPacket),
    /// RTCP feedback of a media flow, as on the wire.
    Feedback(Vec<u8>),
    /// A receiver wants packets again (RFC 4585 §6.2.1), by sequence number.
    Nack(Vec<u64>),
    /// A receiver wants a key frame (RFC 4585 §6.3.1).
    KeyframeRequest,
    /// Data of a TCP flow: the number of the segment.
    Segment(u64),
    /// The segment a TCP receiver waits for.
    Ack(u64),
    /// A datagram of another stack.
    Datagram(Vec<u8>),
}

/// A packet of a media flow.
#[derive(Clone, Copy, Debug)]
pub struct MediaPacket {
    /// Transport-wide sequence number.
    pub transport_sequence: u16,
    /// SSRC and RTP sequence number by which RFC 8888 names it.
    pub ssrc: u32,
    /// See `ssrc`.
    pub rtp_sequence: u16,
    /// What it is, unless it is padding: its number in the media and its frame.
    pub media: Option<Piece>,
}

/// A piece of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Number of the packet in the media, without wrapping.
    pub sequence: u64,
    /// The frame's number.
    pub frame: u64,
    /// When the frame was captured.
    pub captured: Duration,
    /// Number of its first packet.
    pub first: u64,
    /// How many packets the frame has.
    pub count: u32,
    /// Whether it is a key frame.
    pub key: bool,
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the data comes from.
    Sender,
    /// Where it goes.
    Receiver,
}

/// What a flow wants sent, and what it has to tell.
#[derive(Debug, Default)]
pub struct Outbox {
    /// From the sender to the receiver.
    pub data: Vec<Packet>,
    /// From the receiver to the sender.
    pub back: Vec<Packet>,
    /// Bytes that reached the application of the receiver for the first time.
    pub useful: u32,
    /// Probes begun: rate in bit/s.
    pub probes: Vec<u64>,
    /// Frames captured: when.
    pub captured: Vec<Duration>,
    /// Frames that became decodable.
    pub frames: Vec<Shown>,
}

/// A frame that became decodable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub frame: u64,
    /// When it was captured.
    pub captured: Duration,
}

/// What a flow thinks; rates in bit/s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// What its controller allows. Zero for flows without.
    pub target_bps: u64,
    /// What its source produces.
    pub offered_bps: u64,
}

/// One flow with both of its ends.
pub trait Flow {
    /// When it wants to be called next.
    fn poll_timeout(&self) -> Option<Duration>;
    /// Called at that time, or later.
    fn handle_timeout(&mut self, now: Duration, out: &mut Outbox);
    /// A packet has arrived at an end of it.
    fn handle_packet(&mut self, now: Duration, at: Side, packet: Packet, out: &mut Outbox);
    /// What it thinks.
    fn reading(&self) -> Reading;
}
