//! [`Spread`]: median, minimum and maximum of what rounds gave.

use std::fmt;

use serde::Serialize;

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let [min, .., max] = values.as_slice() else {
            let only = values.first().copied().unwrap_or(f64::NAN);
            return Self { median: only, min: only, max: only };
        };
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Self { median, min: *min, max: *max }
    }
}

/// A number that was measured once.
impl From<f64> for Spread {
    fn from(only: f64) -> Self {
        Self { median: only, min: only, max: only }
    }
}

/// `1.23 (1.20–1.31)`; the precision is that of each number, 3 unless given.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(3);
        write!(f, "{:.places$} ({:.places$}–{:.places$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_many_few_and_none() {
        let spread = |values: &[f64]| values.iter().copied().collect::<Spread>();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(spread(&[5.0]), Spread { median: 5.0, min: 5.0, max: 5.0 });
        assert!(spread(&[]).median.is_nan());
        assert_eq!(format!("{:.1}", spread(&[3.0, 1.0, 2.0])), "2.0 (1.0–3.0)");
    }
}
