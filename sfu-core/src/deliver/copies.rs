//! How often a packet that a subscriber misses is sent at once.
//!
//! Where packets are lost steadily a repetition is lost as often as any other, and the answer to a
//! second request comes too late: with a round trip of 100 ms after more than 200 ms. So copies go
//! along, as many as make that rare.

use crate::limits::RTX_BUDGET_PERCENT;

/// With more packets missing at once a third copy of each would make a heap.
const TOGETHER_MAX: usize = 2;
/// Share of the packets that may be missing still after the first answer: with five packets a
/// picture, one picture in a thousand waits for a second one.
const LEFT_MAX: f32 = 2e-4;
/// More copies in one heap delay what is behind them more than they help.
const COPIES_MAX: u8 = 3;
/// What all first answers together may take of the budget, in per cent of what is sent: second
/// ones need some, and losses come in heaps.
const SHARE_MAX: f32 = RTX_BUDGET_PERCENT as f32 * 0.9 / 100.0;

/// How often to send a packet that is asked for the first time where this share of packets is lost
/// steadily, 0.0 to 1.0, and it is asked for together with others, `together` in all: once at least.
///
/// Whoever asks for one packet again and again gets it once each time: most often the answer before
/// was only late, and more copies would make it later yet.
#[must_use]
pub fn at_first_request(loss: f32, together: usize) -> u8 {
    let affordable = |copies: &u8| f32::from(*copies) * loss <= SHARE_MAX;
    let enough = |copies: &u8| loss.powi(i32::from(*copies) + 1) <= LEFT_MAX;
    let most = if together > TOGETHER_MAX { 2 } else { COPIES_MAX };
    let affordable = (2..=most).take_while(affordable).last().unwrap_or(1);
    (1..affordable).find(enough).unwrap_or(affordable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_lost_the_more_copies_go_along_as_far_as_the_budget_allows() {
        let losses = [0.0, 0.01, 0.05, 0.1, 0.14, 0.2, 0.3, 1.0];
        assert_eq!(losses.map(|loss| at_first_request(loss, 2)), [1, 1, 2, 3, 3, 2, 1, 1]);
        assert_eq!(losses.map(|loss| at_first_request(loss, 3)), [1, 1, 2, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn absurd_shares_give_one() {
        for loss in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 7.0] {
            assert!((1..=COPIES_MAX).contains(&at_first_request(loss, 1)), "{loss}");
        }
        assert_eq!(at_first_request(f32::NAN, 1), 1);
    }
}
