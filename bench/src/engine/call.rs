//! A call inside one process: one publisher and many subscribers, each with a real ICE check, a
//! real DTLS handshake, real SRTP and the reports a receiver owes, and no socket. Time is virtual:
//! between two frames the engine gets every wake-up it asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sfu_core::command::{Command, Reply, SubscribePolicy};
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_core::negotiation::Offer;
use sfu_core::rtp::packet::RtpPacket;
use sfu_core::transport::{Candidate, Certificate, Path, Security};
use sfu_core::{Egress, Engine, EngineConfig};
use srtp::context::Context;

use super::meter::{Input, Meter, counted_turn, plain_turn};
use crate::lean::{Client, Feedback, FeedbackPlan, Identity, Media, Role, Stream};

/// Virtual time between two frames: 30 a second.
const FRAME: Duration = Duration::from_millis(33);
/// Virtual time between two checks of one client (RFC 7675 §5.1).
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Frames before anything is measured: the engine finds out what the paths carry, the histories
/// and records fill.
const WARM_FRAMES: usize = 300;
/// Clients' ports count from here.
const PORTS_FROM: u16 = 10_000;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) subscribers: usize,
    /// Packets of a frame, handled before each drain.
    pub(super) batch: u32,
    pub(super) payload_bytes: usize,
    pub(super) feedback: FeedbackPlan,
}

/// The engine and everybody around it.
pub(super) struct Call {
    pub(super) engine: Engine,
    egress: Egress,
    pub(super) now: Instant,
    next_frame: Instant,
    pub(super) meter: Meter,
    script: Script,
    stream: Stream,
    publisher: Member,
    subscribers: Vec<Member>,
    seal: Context,
    sent: u32,
    /// What the engine is given at the next turn.
    inputs: Vec<Input>,
}

/// A client in the call.
struct Member {
    path: Path,
    client: Client,
    feedback: Option<Feedback>,
    check_at: Instant,
}

impl Call {
    /// Everybody connected and served, the warm-up done.
    pub(super) fn new(script: Script) -> Result<Self> {
        let mut call = Self::idle(script)?;
        call.play(WARM_FRAMES, false)?;
        let before = call.engine.stats().rtp_out;
        call.play(1, false)?;
        let forwarded = call.engine.stats().rtp_out - before;
        let expected = u64::from(script.batch) * script.subscribers as u64;
        ensure!(forwarded == expected, "{forwarded} of {expected} packets went on");
        Ok(call)
    }

    /// Everybody connected, nothing published yet.
    pub(super) fn idle(script: Script) -> Result<Self> {
        let now = Instant::now();
        let config = EngineConfig {
            certificate: Arc::new(Certificate::generate().context("no certificate")?),
            candidates: vec![Candidate::udp(([127, 0, 0, 1], 7882))],
            worker: 0,
            ntp_at_start: 0,
            security: Security::Full,
        };
        let mut engine = Engine::new(config, 1, now);
        let Reply::Room(room) = engine.handle_command(now, Command::CreateRoom)? else {
            bail!("no room");
        };
        let mut egress = Egress::default();
        let mut meter = Meter::default();
        let identity = Identity::new()?;
        let publisher =
            Member::join(&mut engine, &mut meter, now, room, 0, script.feedback, &identity)?
                .connect(&mut engine, &mut meter, now, &mut egress)?;
        let mut subscribers = Vec::new();
        meter.reset();
        for number in 1..=script.subscribers {
            let plan = script.feedback;
            let mut member =
                Member::join(&mut engine, &mut meter, now, room, number, plan, &identity)?
                    .connect(&mut engine, &mut meter, now, &mut egress)?;
            member.feedback = Some(Feedback::new(plan, member.client.sealing_context()?));
            member.check_at = now + CHECK_INTERVAL * (number as u32 % 100) / 100;
            subscribers.push(member);
        }
        let stream = Stream {
            media: Media::Video,
            payload_bytes: script.payload_bytes,
            frame_packets: script.batch,
            keyframe_interval: 300,
            timestamp_step: 2970,
        };
        Ok(Self {
            engine,
            egress,
            now,
            next_frame: now,
            meter,
            script,
            stream,
            seal: publisher.client.sealing_context()?,
            publisher,
            subscribers,
            sent: 0,
            inputs: Vec::new(),
        })
    }

    /// Plays so many frames, and everything that the clients and the clock do meanwhile. What the
    /// engine takes for it is measured; what the clients take is not.
    pub(super) fn play(&mut self, frames: usize, counted: bool) -> Result<()> {
        for _ in 0..frames {
            self.publish()?;
            self.checks()?;
            self.turn(counted)?;
            while let Some(due) = self.engine.poll_timeout().filter(|due| *due < self.next_frame) {
                self.now = self.now.max(due);
                self.turn(counted)?;
            }
        }
        Ok(())
    }

    /// The publisher's next frame is on its way.
    fn publish(&mut self) -> Result<()> {
        self.now = self.next_frame;
        self.next_frame = self.now + FRAME;
        for _ in 0..self.script.batch {
            let packet = self.stream.packet(self.sent);
            self.sent += 1;
            let sealed = self.seal.encrypt_rtp(&packet)?;
            self.inputs.push((self.publisher.path, sealed.to_vec()));
        }
        Ok(())
    }

    /// Renews consent where it is time.
    fn checks(&mut self) -> Result<()> {
        for member in std::iter::once(&mut self.publisher).chain(&mut self.subscribers) {
            if member.check_at <= self.now {
                member.check_at = self.now + CHECK_INTERVAL;
                self.inputs.push((member.path, member.client.check()?));
            }
        }
        Ok(())
    }

    /// One turn of a worker's loop, then the clients', whose reports are the next turn's input.
    fn turn(&mut self, counted: bool) -> Result<()> {
        loop {
            let Self { engine, egress, meter, inputs, now, .. } = self;
            let drained = meter.measure(|| {
                if counted {
                    counted_turn(engine, *now, inputs, egress)
                } else {
                    plain_turn(engine, *now, inputs, egress)
                }
            });
            self.inputs.clear();
            self.receive()?;
            self.egress.clear();
            if drained {
                return Ok(());
            }
        }
    }

    /// Gives the subscribers what was sent.
    fn receive(&mut self) -> Result<()> {
        let Self { egress, subscribers, inputs, now, .. } = self;
        for (transmit, run) in egress.iter() {
            let number = usize::from(transmit.path.remote.port() - PORTS_FROM);
            // The publisher is number 0, and sends whatever it hears.
            let Some(member) = number.checked_sub(1).and_then(|at| subscribers.get_mut(at)) else {
                continue;
            };
            let Some(feedback) = &mut member.feedback else { continue };
            for datagram in run.chunks(transmit.segment_bytes) {
                if matches!(datagram, [128..192, second, ..] if !(192..224).contains(second))
                    && let Ok(packet) = RtpPacket::parse(datagram)
                {
                    feedback.on_packet(*now, &packet);
                }
            }
            if feedback.is_due(*now) {
                let path = member.path;
                feedback.poll(*now, |report| inputs.push((path, report.to_vec())))?;
            }
        }
        Ok(())
    }
}

impl Member {
    fn join(
        engine: &mut Engine,
        meter: &mut Meter,
        now: Instant,
        room: RoomId,
        number: usize,
        plan: FeedbackPlan,
        identity: &Identity,
    ) -> Result<Self> {
        let participant = ParticipantId(number as u64 + 1);
        let add = Command::AddPeer { room, participant, subscribe: SubscribePolicy::All };
        let Reply::Peer(peer) = meter.measure(|| engine.handle_command(now, add))? else {
            bail!("no peer")
        };
        let mut client = Client::new(now, number, identity)?;
        let role = if number == 0 { Role::Publisher } else { Role::Subscriber };
        let sdp = client.offer(role, Media::Video, plan.transport_cc, identity);
        let (ufrag, password) = Self::offer(engine, meter, now, peer, &sdp)?;
        client.answered(&ufrag, &password);
        let port = PORTS_FROM + u16::try_from(number).context("too many subscribers")?;
        let path = Path::udp(([10, 0, 0, 1], port), None);
        Ok(Self { path, client, feedback: None, check_at: now + CHECK_INTERVAL })
    }

    fn offer(
        engine: &mut Engine,
        meter: &mut Meter,
        now: Instant,
        peer: PeerId,
        sdp: &str,
    ) -> Result<(String, String)> {
        let offer = Box::new(Offer::parse(sdp)?);
        let command = Command::Offer { peer, offer, publish: Vec::new() };
        match meter.measure(|| engine.handle_command(now, command))? {
            Reply::Answer { answer, .. } => {
                Ok((answer.ice.ufrag.to_string(), answer.ice.password.to_string()))
            }
            other => bail!("no answer but {other:?}"),
        }
    }

    /// ICE and DTLS to the end.
    fn connect(
        mut self,
        engine: &mut Engine,
        meter: &mut Meter,
        now: Instant,
        egress: &mut Egress,
    ) -> Result<Self> {
        let mut inputs = vec![(self.path, self.client.check()?)];
        for _ in 0..20 {
            while let Some(datagram) = self.client.poll_dtls() {
                inputs.push((self.path, datagram));
            }
            meter.measure(|| plain_turn(engine, now, &mut inputs, egress));
            inputs.clear();
            let path = self.path;
            for (transmit, bytes) in egress.iter().filter(|(t, _)| t.path == path) {
                for datagram in bytes.chunks(transmit.segment_bytes) {
                    self.client.handle_datagram(now, datagram)?;
                }
            }
            egress.clear();
            if self.client.is_connected() {
                return Ok(self);
            }
        }
        bail!("the handshake does not end")
    }
}

#[cfg(test)]
mod tests {
    use sfu_core::drops::DropReason;

    use super::super::USUAL;
    use super::*;

    const SUBSCRIBERS: usize = 3;
    const FRAMES: usize = 100;
    const SCRIPT: Script =
        Script { subscribers: SUBSCRIBERS, batch: 4, payload_bytes: 1100, feedback: USUAL };
    const EXPECTED: u64 = (FRAMES * 4 * SUBSCRIBERS) as u64;

    /// Feeds the call and its attackers in turn: `attack` gets the engine before each frame, and
    /// what the publisher has sent so far.
    fn goes_on_beside(attack: impl Fn(&mut Engine, Instant, Path, &[Input])) -> Engine {
        let mut call = Call::new(SCRIPT).unwrap();
        let before = call.engine.stats().rtp_out;
        let mut sent: Vec<Input> = Vec::new();
        for _ in 0..FRAMES {
            attack(&mut call.engine, call.now, call.publisher.path, &sent);
            call.publish().unwrap();
            sent.extend(
                call.inputs.iter().filter(|(path, _)| *path == call.publisher.path).cloned(),
            );
            call.turn(false).unwrap();
            while let Some(due) = call.engine.poll_timeout().filter(|due| *due < call.next_frame) {
                call.now = call.now.max(due);
                call.turn(false).unwrap();
            }
        }
        let forwarded = call.engine.stats().rtp_out - before;
        assert_eq!(forwarded, EXPECTED, "the call loses nothing");
        call.engine
    }

    #[test]
    fn forged_and_short_srtp_on_the_publishers_own_path_is_counted_and_dropped() {
        let engine = goes_on_beside(|engine, now, path, _| {
            for length in 2..=64 {
                for second in [96, 200] {
                    let mut forged = vec![0; length];
                    forged[..2].copy_from_slice(&[0x80, second]);
                    if length >= 12 {
                        forged[2] = 0x70; // far ahead: not to be taken for a replay
                        forged[8..12].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
                    }
                    engine.handle_datagram(now, path, &mut forged);
                }
            }
        });
        let drops = engine.stats().drops;
        assert!(
            drops.get(DropReason::SrtpShort) > 0 && drops.get(DropReason::SrtpAuthentication) > 0
        );
        let all = drops.get(DropReason::SrtpShort) + drops.get(DropReason::SrtpAuthentication);
        assert_eq!(all, 63 * 2 * FRAMES as u64, "every one of them");
    }

    #[test]
    fn replayed_srtp_is_counted_and_forwarded_once() {
        let engine = goes_on_beside(|engine, now, _, sent| {
            for (path, packet) in sent.iter().rev().take(20) {
                engine.handle_datagram(now, *path, &mut packet.clone());
            }
        });
        assert!(engine.stats().drops.get(DropReason::SrtpReplay) > 1000);
    }

    #[test]
    fn a_wrong_certificate_is_refused_and_the_call_goes_on() {
        let mut call = Call::new(SCRIPT).unwrap();
        let wrong = Identity {
            fingerprint: Identity::new().unwrap().fingerprint,
            ..Identity::new().unwrap()
        };
        let Reply::Room(room) = call.engine.handle_command(call.now, Command::CreateRoom).unwrap()
        else {
            panic!("no room");
        };
        let Call { engine, meter, now, egress, .. } = &mut call;
        let stranger = Member::join(engine, meter, *now, room, 99, USUAL, &wrong).unwrap();
        let joined = stranger.connect(engine, meter, *now, egress).is_ok();
        let connected = call.engine.stats().peers_connected;
        assert_eq!(connected, SUBSCRIBERS as u64 + 1, "joined: {joined}");
        assert_eq!(call.engine.stats().drops.get(DropReason::DtlsFingerprintMismatch), 1);
        let before = call.engine.stats().rtp_out;
        call.play(FRAMES, false).unwrap();
        assert_eq!(call.engine.stats().rtp_out - before, EXPECTED);
    }
}
