//! What an overloaded server gives up, and what it keeps: the best layers of every video go, step by
//! step; the lowest one of each, and all sound, stays.

use std::time::Instant;

use crate::command::Reply;
use crate::decision::LayerOption;
use crate::engine::Engine;
use crate::id::PeerId;

/// How far videos are cut down: to 1 / 2^n of what each one's best layer takes; 0 is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Shed(u8);

/// Half, a quarter, an eighth, a sixteenth: that is the lowest layer of most cameras.
const LEVEL_MAX: u8 = 4;

impl Shed {
    /// Takes the layers out that there is no power for. True if there were any. By bitrate and not by
    /// place, for it is what is sent that costs: half of it may be a smaller picture or fewer
    /// frames, whatever the publisher has.
    pub(super) fn trim(self, options: &mut Vec<LayerOption>) -> bool {
        let rates = options.iter().map(|option| option.bitrate_bps).filter(|rate| *rate > 0);
        let (Some(lowest), Some(best)) = (rates.clone().min(), rates.max()) else { return false };
        let allowed = (best >> self.0).max(lowest);
        let before = options.len();
        options.retain(|option| option.bitrate_bps <= allowed);
        options.len() < before
    }
}

impl Engine {
    /// Cuts every video of this engine down, or no longer.
    pub(in crate::engine) fn shed_video(&mut self, now: Instant, level: u8) -> Reply {
        let shed = Shed(level.min(LEVEL_MAX));
        if self.shed != shed {
            self.shed = shed;
            let peers: Vec<PeerId> = self.peers.keys().collect();
            for peer in peers {
                self.reconsider(now, peer);
            }
        }
        Reply::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::layer::LayerId;

    fn kept(level: u8, rates: &[u64]) -> (Vec<u64>, bool) {
        let option = |&bitrate_bps: &u64| LayerOption {
            layer: LayerId::all_of(0),
            bitrate_bps,
            width: 0,
            height: 0,
            frames_per_second: 0,
        };
        let mut options: Vec<_> = rates.iter().map(option).collect();
        let is_shed = Shed(level).trim(&mut options);
        (options.iter().map(|option| option.bitrate_bps).collect(), is_shed)
    }

    #[test]
    fn the_best_go_first_and_the_lowest_stays() {
        let simulcast = [150_000, 500_000, 1_700_000];
        assert_eq!(kept(0, &simulcast), (simulcast.to_vec(), false));
        assert_eq!(kept(1, &simulcast), (vec![150_000, 500_000], true));
        assert_eq!(kept(2, &simulcast), (vec![150_000], true));
        assert_eq!(kept(4, &simulcast), (vec![150_000], true));
        assert_eq!(kept(4, &[1_700_000]), (vec![1_700_000], false), "there is no other");
        assert_eq!(kept(4, &[0, 800]), (vec![0, 800], false), "what is not measured is no lowest");
        assert_eq!(kept(4, &[]), (vec![], false));
    }
}
