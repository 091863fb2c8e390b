//! A participant sends ten thousand SSRCs: they are counted and forgotten, and the call beside it
//! does not notice.

use sfu_core::drops::DropReason;
use sfu_core::negotiation::MediaKind;
use sfu_core::rtp::extension::Extension;
use sfu_sim::wire::{RtpHeader, Stamp, rtp, vp8_payload};
use sfu_sim::{Plan, VideoPlan, World};

use crate::common::{assert_flawless, ms, s, video};

#[test]
fn ten_thousand_ssrcs_are_counted_and_forgotten() {
    for simulcast in [false, true] {
        let mut world = World::new(1);
        let room = world.create_room();
        let plan = if simulcast { VideoPlan::simulcast() } else { VideoPlan::default() };
        let flooder = world.join(room, Plan::camera().with_video(plan));
        let camera = world.join(room, Plan::camera());
        let viewer = world.join(room, Plan::viewer().with_slots(0, 2));
        world.run_for(s(2));
        let numbering = world.client(flooder).numbering().clone();
        let mid = world.client(flooder).published()[0].0.clone();
        for ssrc in 0..10_000u32 {
            let header = RtpHeader {
                payload_type: numbering.payload_type(MediaKind::Video),
                ssrc: 0x5000_0000 + ssrc,
                ..RtpHeader::default()
            };
            let rid = format!("r{ssrc}");
            let names = [
                (numbering.extension(Extension::Mid), mid.0.as_bytes()),
                (
                    numbering.extension(Extension::Rid),
                    if ssrc % 2 == 0 { b"h" } else { rid.as_bytes() },
                ),
            ];
            let payload = vp8_payload(0, &Stamp::default(), 200);
            world.client_mut(flooder).send(rtp(&header, &names, &payload, 0));
            if ssrc % 100 == 0 {
                world.run_for(ms(10));
            }
        }
        world.run_for(s(2));
        let refused = [DropReason::SsrcCap, DropReason::SsrcUnknown, DropReason::RidUnknown];
        let refused: u64 = refused.iter().map(|&reason| world.drops(reason)).sum();
        assert_eq!(refused, 10_000);
        assert_eq!(world.stats().panics, 0);
        assert_flawless(&world, viewer);
        // Both cameras, the flooder's own included: its SSRCs were bound before.
        assert!(video(&world, viewer).frames > 2 * 30 * 4);
        let _ = camera;
    }
}
