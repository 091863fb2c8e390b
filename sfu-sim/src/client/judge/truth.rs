//! What has been decoded, by the publisher's stamps.

use crate::wire::Stamp;

/// Pictures remembered; no reference reaches further back.
const PICTURES: usize = 32;

/// The decoder as it really is.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Source and encoding it decodes.
    of: Option<(u32, u8)>,
    /// By number modulo their count: (number, a bit for each spatial layer).
    decoded: [(u32, u8); PICTURES],
}

impl Truth {
    /// Decodes a layer frame, if all it builds on was.
    pub(crate) fn decode(&mut self, stamp: &Stamp) -> bool {
        let of = Some((stamp.source, stamp.encoding));
        if self.of != of {
            if !stamp.keyframe || stamp.spatial != 0 {
                return false;
            }
            *self = Self { of, decoded: [(u32::MAX, 0); PICTURES] };
        }
        let references = || stamp.references.iter().flatten();
        let stands_alone = stamp.keyframe && stamp.spatial == 0;
        let has = |reference: &crate::wire::Reference| {
            let number = stamp.frame.wrapping_sub(reference.back.into());
            let (kept, layers) = self.decoded[number as usize % PICTURES];
            kept == number && layers >> reference.spatial & 1 == 1
        };
        let complete = references().next().is_some() && references().all(has);
        if !stands_alone && !complete {
            return false;
        }
        let place = &mut self.decoded[stamp.frame as usize % PICTURES];
        if place.0 != stamp.frame {
            *place = (stamp.frame, 0);
        }
        place.1 |= 1 << stamp.spatial;
        true
    }

    /// A picture was not decoded after all, in none of its layers.
    pub(crate) fn withdraw(&mut self, frame: u32) {
        let place = &mut self.decoded[frame as usize % PICTURES];
        if place.0 == frame {
            place.1 = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reference;

    #[test]
    fn a_frame_needs_all_it_builds_on() {
        let key = Stamp { keyframe: true, frame: 10, ..Stamp::default() };
        let on = |frame, back, spatial| Stamp {
            frame,
            spatial,
            references: [Some(Reference { back, spatial }), None, None],
            ..Stamp::default()
        };
        let mut truth = Truth::default();
        assert!(!truth.decode(&on(9, 1, 0)), "nothing is there");
        assert!(truth.decode(&key));
        assert!(truth.decode(&on(12, 2, 0)), "what it skips it does not need");
        assert!(!truth.decode(&on(14, 1, 0)), "13 is missing");
        assert!(!truth.decode(&on(14, 2, 1)), "layer 1 of 12 is missing");
        assert!(!truth.decode(&Stamp { encoding: 1, ..on(13, 1, 0) }), "another encoding");
        assert!(!truth.decode(&Stamp { frame: 15, ..Stamp::default() }), "builds on something");
    }
}
