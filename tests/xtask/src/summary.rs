//! Adds up what test binaries report, line by line.

/// Tests that passed and failed, over every test binary seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Summary {
    /// Reads one line of `cargo test`; only the closing line of a test binary counts.
    pub(crate) fn read(&mut self, line: &str) {
        let Some(counts) = line.trim().strip_prefix("test result: ") else { return };
        let count = |word: &str| {
            counts
                .split(['.', ';'])
                .filter_map(|part| part.trim().strip_suffix(word))
                .find_map(|number| number.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.passed += count(" passed");
        self.failed += count(" failed");
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(text: &str) -> String {
        let mut summary = Summary::default();
        text.lines().for_each(|line| summary.read(line));
        summary.to_string()
    }

    #[test]
    fn closing_lines_of_all_binaries_are_added() {
        let text = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 2 tests
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.50s
";
        assert_eq!(sum(text), "4 passed, 1 failed");
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(sum("test result: \n9 passed; 9 failed\ntest test_result ... ok\n"), "0 passed, 0 failed");
    }
}
