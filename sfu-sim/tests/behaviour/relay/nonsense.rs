//! Messages that no engine would send change nothing, are counted, and never panic.

use sfu_core::command::{DataMessage, Reliability, Source};
use sfu_core::drops::DropReason;
use sfu_core::id::{ParticipantId, PayloadType, Rid, RoomId, TrackId};
use sfu_core::negotiation::MediaKind;
use sfu_core::relay::{Announcement, Level, Message, Note, RelayedPacket, Wish};
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, s, track, video};

const STRANGER: ParticipantId = ParticipantId(99);

fn packet(track: TrackId, index: u64) -> RelayedPacket<'static> {
    RelayedPacket {
        track,
        encoding: 0,
        epoch: 0,
        index,
        timestamp: 0,
        marker: true,
        payload_type: PayloadType(96),
        audio_level: None,
        video_orientation: None,
        playout_delay: None,
        descriptor: &[],
        payload: &[1, 2, 3],
    }
}

fn announcement(track: TrackId, encodings: usize) -> Box<Announcement> {
    Box::new(Announcement {
        track,
        participant: STRANGER,
        kind: MediaKind::Video,
        source: Source::Camera,
        name: "".into(),
        muted: false,
        mid: "0".into(),
        codecs: Vec::new(),
        encodings: (0..encodings).map(|_| None::<Rid>).collect(),
        since: u64::MAX,
    })
}

/// Everything that can be said of a room or track.
fn notes(room: RoomId, track: TrackId) -> Vec<Note> {
    let wish = Wish { encodings: 0xff, max_spatial: 255 };
    let message = DataMessage {
        from: None,
        to: vec![STRANGER],
        reliability: Reliability::Reliable,
        text: false,
        payload: vec![0; 70_000].into(),
    };
    let level = |heard| Level { participant: STRANGER, heard };
    vec![
        Note::Hello { room, answer: true },
        Note::Present { room, participant: STRANGER, since: u64::MAX },
        Note::Levels { room, levels: vec![level(Some((127, true))), level(None), level(None)] },
        Note::Seats { room, seats: Default::default() },
        Note::Absent { room, participant: STRANGER },
        Note::Absent { room, participant: STRANGER },
        Note::Announce { room, track: announcement(track, 200) },
        Note::Muted { room, track, muted: true },
        Note::Unannounce { room, track },
        Note::Demand { track, mirror: track, wish },
        Note::Keyframe { track, encoding: 255 },
        Note::Report {
            track,
            encoding: 255,
            ntp: u64::MAX,
            rtp_time: 0,
            clock: Default::default(),
        },
        Note::Data { room, message },
        Note::Goodbye { room },
        Note::Goodbye { room },
    ]
}

#[test]
fn strangers_are_not_listened_to() {
    let mut world = World::spanning(1, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera());
    let viewer = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(2));
    let rooms = [room, world.room_in(1, room)];
    let origin = track(&world, camera);
    let tracks = [origin, world.mirror_in(1, (0, origin)).unwrap()];
    for engine in 0..2 {
        for from in [7, engine as u8] {
            let notes = notes(rooms[engine], tracks[engine]);
            let mut message = Message { notes, ..Message::default() };
            message.packets.push(&packet(tracks[engine], 1));
            let before = world.drops(DropReason::RelayUnknown);
            let told = message.notes.len() as u64;
            world.inject_relay(engine, from, &mut message);
            assert!(message.is_empty());
            assert_eq!(world.drops(DropReason::RelayUnknown) - before, told + 1);
        }
    }
    world.run_for(s(2));
    assert_flawless(&world, viewer);
    assert!(video(&world, viewer).frames > 30 * 3);
    for engine in 0..2 {
        assert_eq!(world.stats_of(engine).panics, 0);
    }
}

#[test]
fn a_neighbour_that_talks_nonsense_panics_nobody() {
    let mut world = World::spanning(2, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera());
    let here = world.join_at(0, room, Plan::viewer().with_slots(0, 1));
    world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(2));
    let far = world.room_in(1, room);
    let origin = track(&world, camera);
    let mirror = world.mirror_in(1, (0, origin)).unwrap();
    // Each engine hears it as if from the other, of rooms and tracks that it has and has not.
    for (engine, room, track) in [(0, room, origin), (1, far, mirror)] {
        for (room, track) in [
            (room, track),
            (room, TrackId::from_wire(u64::MAX)),
            (RoomId::default(), track),
            (room, TrackId::default()),
        ] {
            let mut message = Message { notes: notes(room, track), ..Message::default() };
            for index in [0, 1, 1 << 40, 1 << 48, 1 << 63, u64::MAX - 1, u64::MAX] {
                message.packets.push(&packet(track, index));
                message.packets.push(&RelayedPacket { payload: &[], ..packet(track, index) });
                message.packets.push(&RelayedPacket { encoding: 255, ..packet(track, index) });
                let descriptor = &[0xff; 255];
                let other = RelayedPacket { epoch: u32::MAX, descriptor, ..packet(track, index) };
                message.packets.push(&other);
            }
            world.inject_relay(engine, 1 - engine as u8, &mut message);
            world.run_for(s(1));
        }
        assert_eq!(world.stats_of(engine).panics, 0);
    }
    // What belongs to one engine alone has not suffered.
    assert_flawless(&world, here);
    assert!(video(&world, here).frames > 30 * 8);
}

#[test]
fn no_neighbour_makes_a_room_grow_without_bound() {
    let mut world = World::spanning(3, 2);
    let room = world.create_room();
    world.join_at(0, room, Plan::viewer());
    world.run_for(s(1));
    let mut message = Message::default();
    for number in 0..5_000u64 {
        // Valid keys are odd versions; each is another track.
        let track = TrackId::from_wire((1 << 32) | number);
        message.notes.push(Note::Announce { room, track: announcement(track, 3) });
        let participant = ParticipantId(number);
        message.notes.push(Note::Present { room, participant, since: number });
        let heard = Some((-20, true));
        message.notes.push(Note::Levels { room, levels: vec![Level { participant, heard }] });
    }
    world.inject_relay(0, 1, &mut message);
    assert_eq!(world.stats_of(0).mirrors, 4_000);
    // Participants beyond their bound, too; one may be there already.
    assert!(world.drops(DropReason::RelayLimit) >= 1_000 + 3_999);
    world.run_for(s(2));
    assert_eq!(world.stats_of(0).panics, 0);
}
