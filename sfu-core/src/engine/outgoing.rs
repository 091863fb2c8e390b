//! From what peers are owed to datagrams: who may send now, and what of it fits the batch.

use std::time::Instant;

use slotmap::SlotMap;

use super::build::Builder;
use super::peer::{Outgoing, OutgoingKind, Peer, ReceiveState};
use super::timers::Timer;
use super::{Egress, Engine};
use crate::bandwidth::send_side::OVERHEAD_BYTES;
use crate::bandwidth::{Departure, SentKind};
use crate::deliver::pacer::{Class, Release};
use crate::forward::munge::Edit;
use crate::id::{PeerId, TrackId};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::publish::track::Track;
use crate::rtp::extension::Extension;
use crate::transport::Path;

/// Room kept for a peer's feedback: the bound of its queue, and trailers.
const RTCP_BYTES: usize = 20 * 1024;
const RTCP_DATAGRAMS: usize = 20;

impl Engine {
    /// Fills `egress` from the peers that owe. False: it was full before all was written.
    pub(super) fn deliver(&mut self, now: Instant, egress: &mut Egress) -> bool {
        let before = (egress.arena.len(), egress.datagrams);
        let done = self.deliver_farewells(egress) && self.deliver_dirty(now, egress);
        self.stats.bytes_out += (egress.arena.len() - before.0) as u64;
        self.stats.datagrams_out += egress.datagrams - before.1;
        done
    }

    fn deliver_farewells(&mut self, egress: &mut Egress) -> bool {
        while egress.has_room(DATAGRAM_BYTES_MAX, 1) {
            let Some((path, datagram)) = self.farewells.pop_front() else { return true };
            egress.push(path, &datagram);
        }
        false
    }

    fn deliver_dirty(&mut self, now: Instant, egress: &mut Egress) -> bool {
        let send_time = abs_send_time(self.ntp(now));
        while let Some(&id) = self.dirty.front() {
            if egress.has_enough() {
                return false;
            }
            let mut done = true;
            if self.peers.contains_key(id) {
                let _ = self.guarded(id, |engine| {
                    done = engine.deliver_to(now, send_time, id, egress);
                    Ok(())
                });
            }
            if !done {
                return false;
            }
            self.dirty.pop_front();
            if let Some(peer) = self.peers.get_mut(id) {
                peer.dirty = false;
                let release = peer.receive.pacer.next_release().map(|at| at.max(now + RELEASE_MIN));
                self.timers.set(Timer::Pacer(id), release);
            }
        }
        true
    }

    fn deliver_to(
        &mut self,
        now: Instant,
        send_time: [u8; 3],
        id: PeerId,
        egress: &mut Egress,
    ) -> bool {
        let Self { peers, tracks, .. } = self;
        let peer = &mut peers[id];
        let Some(link) = &mut peer.link else {
            peer.receive.pacer.clear();
            return true;
        };
        let transport = &mut link.transport;
        while egress.has_room(DATAGRAM_BYTES_MAX, 1) {
            let Some((path, datagram)) = transport.poll_transmit() else { break };
            egress.push(path, &datagram);
        }
        if !egress.has_room(RTCP_BYTES, RTCP_DATAGRAMS) {
            return false;
        }
        let Some(path) = transport.path().filter(|_| transport.is_connected()) else {
            peer.receive.pacer.clear();
            peer.rtcp.clear();
            return true;
        };
        for compound in peer.rtcp.compounds() {
            let start = egress.arena.len();
            egress.arena.extend_from_slice(compound);
            match transport.seal_rtcp(&mut egress.arena, start) {
                Ok(()) => egress.commit(path, start),
                Err(_) => egress.arena.truncate(start),
            }
        }
        peer.rtcp.clear();
        deliver_media(now, send_time, peer, path, tracks, egress)
    }
}

/// A pacer is not woken sooner than this, so that a stuck one cannot spin the caller.
const RELEASE_MIN: std::time::Duration = std::time::Duration::from_micros(250);

/// Builds what the pacer releases. False: `egress` was full before it had released all.
fn deliver_media(
    now: Instant,
    send_time: [u8; 3],
    peer: &mut Peer,
    path: Path,
    tracks: &SlotMap<TrackId, Track>,
    egress: &mut Egress,
) -> bool {
    let Some(link) = &mut peer.link else { return true };
    let receive = &mut peer.receive;
    receive.leave_for(now, path);
    let mut builder = Builder { transport: &mut link.transport, tracks, send_time };
    while egress.has_room(DATAGRAM_BYTES_MAX * 2, 1) {
        let (mut outgoing, class, probe) = match receive.pacer.pop(now) {
            None => return true,
            Some(Release::Packet { item, class, probe }) => (item, Some(class), probe),
            Some(Release::Padding { probe }) => match receive.padding() {
                Some(outgoing) => (outgoing, None, Some(probe)),
                None => {
                    receive.pacer.padded(now, 0);
                    continue;
                }
            },
        };
        let sequence = receive.bandwidth.next_sequence();
        let slot = &mut receive.slots[usize::from(outgoing.slot)];
        let start = egress.arena.len();
        let mut built = builder.build(&mut egress.arena, &outgoing, slot, sequence);
        if built.is_none() && class == Some(Class::Video) {
            // The track ended while it waited. Its number is given away; nobody shall ask for it.
            egress.arena.truncate(start);
            outgoing.packet.edit = Edit::fill();
            built = builder.build(&mut egress.arena, &outgoing, slot, sequence);
        }
        if built.is_none() && class.is_none() && outgoing.kind == OutgoingKind::Retransmission {
            // The history has forgotten what was to be repeated: nothing is as good for a probe.
            egress.arena.truncate(start);
            outgoing.kind = OutgoingKind::Padding;
            built = builder.build(&mut egress.arena, &outgoing, slot, sequence);
        }
        let bytes = egress.arena.len() - start;
        if class.is_none() {
            // A padding that cannot be made ends the probe rather than asking again for ever.
            receive.pacer.padded(now, built.map_or(0, |_| bytes + OVERHEAD_BYTES));
        }
        let Some(header) = built else {
            egress.arena.truncate(start);
            continue;
        };
        if class.is_some() && outgoing.kind == OutgoingKind::Retransmission {
            slot.sent.repeated(outgoing.packet.index, header.sequence);
        }
        let kind = match (class, outgoing.kind) {
            (None, _) | (_, OutgoingKind::Padding) => SentKind::Padding,
            (_, OutgoingKind::Retransmission) => SentKind::Retransmission,
            (Some(Class::Audio), OutgoingKind::Media) => SentKind::Audio,
            (Some(_), OutgoingKind::Media) => SentKind::Video,
        };
        // A packet without a number is not reported on: to record it would be to count it lost.
        if receive.reports_by_ssrc || slot.extensions.id(Extension::TransportCc).is_some() {
            let (ssrc, sequence) = (header.ssrc, header.sequence);
            receive.bandwidth.record(now, Departure { ssrc, sequence, bytes, kind, probe });
        }
        if class == Some(Class::Video) {
            receive.shown.get_or_insert(now);
        }
        egress.commit(path, start);
    }
    false
}

impl ReceiveState {
    /// Notes that media leaves for an address; another one than before is another path.
    fn leave_for(&mut self, now: Instant, path: Path) {
        match &mut self.sending {
            Some((_, known)) if *known == path => {}
            Some((_, known)) => {
                *known = path;
                self.bandwidth.on_route_change(now);
            }
            None => self.sending = Some((now, path)),
        }
    }

    /// What a probe sends when nothing waits: a packet that was sent lately, once more, which is
    /// of use if it was lost; else padding on a retransmission SSRC, which leaves no gap in any
    /// media. `None` if the subscriber has no such SSRC.
    fn padding(&mut self) -> Option<Outgoing> {
        let repeatable = |slot: &&crate::deliver::slot::Slot| slot.retransmits().is_some();
        let busy = |slot: &&crate::deliver::slot::Slot| slot.subscription.is_some();
        let slots = || self.slots.iter().enumerate();
        let at = slots()
            .find(|(_, slot)| repeatable(slot) && busy(slot))
            .or_else(|| slots().find(|(_, slot)| repeatable(slot)))
            .map(|(at, _)| at)?;
        let slot = &mut self.slots[at];
        let payload_type = slot.retransmits()?;
        let at = u16::try_from(at).expect("slots are capped far below 65536");
        let recent = slot.sent.next_padding();
        Some(Outgoing {
            slot: at,
            packet: recent.unwrap_or_default(),
            payload_type,
            unwrap_red: false,
            kind: match recent {
                Some(_) => OutgoingKind::Retransmission,
                None => OutgoingKind::Padding,
            },
        })
    }
}

/// NTP time as 6.18 fixed-point seconds modulo 64 (abs-send-time).
fn abs_send_time(ntp: u64) -> [u8; 3] {
    let [.., a, b, c] = ((ntp >> 14) & 0xff_ffff).to_be_bytes();
    [a, b, c]
}
