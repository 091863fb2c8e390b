//! Redundant audio data (RFC 2198): passes through, and is unwrapped for receivers without it.

/// The primary block: the newest data, which comes last and without a length of its own.
/// `None` if the headers or the redundant blocks run past the payload.
#[must_use]
pub fn primary(payload: &[u8]) -> Option<&[u8]> {
    let mut redundant = 0;
    let mut rest = payload;
    loop {
        match *rest {
            // Another block follows: payload type, 14 bits of time offset, 10 bits of length.
            [first, _, high, low, ref after @ ..] if first & 0x80 != 0 => {
                redundant += usize::from(high & 0x03) << 8 | usize::from(low);
                rest = after;
            }
            [first, ref after @ ..] if first & 0x80 == 0 => return after.get(redundant..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_block_comes_last() {
        assert_eq!(primary(&[111, 1, 2]), Some(&[1, 2][..]));
        let two = [0x80 | 111, 0, 0, 3, 111, 7, 7, 7, 1, 2];
        assert_eq!(primary(&two), Some(&[1, 2][..]));
        let empty_redundancy = [0x80 | 111, 0, 0, 0, 111, 9];
        assert_eq!(primary(&empty_redundancy), Some(&[9][..]));
    }

    #[test]
    fn what_runs_past_the_payload_is_refused() {
        for bad in [&[][..], &[0x80], &[0x80, 0, 0, 3, 111, 7, 7], &[0x80, 0, 3, 255, 111, 1]] {
            assert_eq!(primary(bad), None, "{bad:?}");
        }
    }
}
