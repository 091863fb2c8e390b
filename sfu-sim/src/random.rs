//! Draws from a seeded generator.

use rand_core::{Rng, SeedableRng};
pub use rand_pcg::Pcg64Mcg;

/// The generator for one purpose (`lane`) in the world of `seed`: independent of all others, so
/// that one more draw here changes nothing there.
#[must_use]
pub fn generator(seed: u64, lane: u64) -> Pcg64Mcg {
    // Two multiplications by odd constants: seeds and lanes are small numbers, and neighbours
    // must not give similar states.
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ lane.wrapping_mul(0xd1b5_4a32_d192_ed03);
    Pcg64Mcg::seed_from_u64(mixed)
}

/// A number in `0.0..1.0`.
pub fn fraction(rng: &mut Pcg64Mcg) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / (1u64 << 53) as f64
}

/// True with the given probability. Draws nothing for 0, so that a faultless link is not moved by
/// the seed.
pub fn chance(rng: &mut Pcg64Mcg, probability: f64) -> bool {
    probability > 0.0 && fraction(rng) < probability
}

/// A random 32-bit number.
pub fn word(rng: &mut Pcg64Mcg) -> u32 {
    rng.next_u32()
}

/// A random string of `length` letters and digits.
pub fn token(rng: &mut Pcg64Mcg, length: usize) -> Box<str> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..length).map(|_| char::from(ALPHABET[rng.next_u32() as usize % ALPHABET.len()])).collect()
}
