//! How many tests passed and failed, read from what the runners print.
//!
//! Two runners are understood: Rust's (`test result: ok. 5 passed; 0 failed; …`, once per test
//! binary) and Node's (`ℹ pass 5`, `ℹ fail 0`, or with `#` in TAP; once per run).

use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Tally {
    pub(crate) const ONE_PASSED: Self = Self { passed: 1, failed: 0 };
    pub(crate) const ONE_FAILED: Self = Self { passed: 0, failed: 1 };

    /// Adds what one line of output says, if it is a runner's summary.
    pub(crate) fn read_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(counts) = line.strip_prefix("test result:") {
            self.passed += count_before(counts, "passed");
            self.failed += count_before(counts, "failed");
            return;
        }
        let Some(rest) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# ")) else {
            return;
        };
        let Some((word, count)) = rest.split_once(' ') else { return };
        let Ok(count) = count.parse::<u32>() else { return };
        match word {
            "pass" => self.passed += count,
            // A cancelled test is one whose file or parent ran out of time.
            "fail" | "cancelled" => self.failed += count,
            _ => {}
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// The number in front of `word`, as in `5 passed;`.
fn count_before(counts: &str, word: &str) -> u32 {
    let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|candidate| *candidate == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read_line(line));
        tally
    }

    #[test]
    fn rust_binaries_add_up() {
        let output = "running 3 tests\ntest a ... ok\n\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
            test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(tally_of(output), Tally { passed: 7, failed: 2 });
    }

    #[test]
    fn node_counts_cancelled_tests_as_failed() {
        let output =
            "✔ hears the other (12ms)\nℹ tests 9\nℹ pass 6\nℹ fail 2\nℹ cancelled 1\nℹ skipped 0\n";
        assert_eq!(tally_of(output), Tally { passed: 6, failed: 3 });
        assert_eq!(tally_of("# tests 3\n# pass 2\n# fail 1\n"), Tally { passed: 2, failed: 1 });
    }

    #[test]
    fn other_lines_count_nothing() {
        let output =
            "# pass\n# pass many\nℹ duration_ms 12\n5 passed; 3 failed\ntest result: odd\n";
        assert!(tally_of(output).is_empty());
    }
}
