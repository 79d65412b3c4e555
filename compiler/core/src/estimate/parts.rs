//! Decides when to split a long loop over several workgroups: to stay below the limit of rounds, or to use an idle device.

use crate::module::LOOP_ROUNDS;
use crate::profile::Profile;

/// Whether a kernel of so many workgroups, whose invocations walk so many rounds in each of some passes, has to be done in
/// parts, or is done sooner that way.
pub fn wants_parts(profile: &Profile, workgroups: u64, rounds: u64, passes: u64) -> bool {
    let idle = workgroups < u64::from(profile.busy_workgroups);
    rounds.saturating_mul(passes) > LOOP_ROUNDS || idle && rounds > profile.rates.reductions.short_rounds
}

/// How many of `all` each part takes: as many parts as keep the device busy beside `others`, each of some rounds of `threads`
/// at least, and none of more rounds than are sure to run.
pub(crate) fn part_of(profile: &Profile, others: u64, all: u64, threads: u64) -> u64 {
    const LEAST_ROUNDS: u64 = 16;
    let wanted = (2 * u64::from(profile.busy_workgroups)).div_ceil(others.max(1));
    all.div_ceil(wanted).clamp(threads * LEAST_ROUNDS, threads * (LOOP_ROUNDS / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::GENERIC;

    #[test]
    fn parts_are_for_long_walks_only() {
        let short = GENERIC.rates.reductions.short_rounds;
        assert!(!wants_parts(&GENERIC, 1, short, 3));
        assert!(wants_parts(&GENERIC, 1, short + 1, 1));
        assert!(!wants_parts(&GENERIC, 1_000, LOOP_ROUNDS / 2, 2));
        assert!(wants_parts(&GENERIC, 1_000, LOOP_ROUNDS / 2 + 1, 2));
    }

    #[test]
    fn no_part_is_longer_than_loops_may_be() {
        for (others, all) in [(1, 40_000), (1, 1 << 32), (1 << 20, 1 << 32), (3, 70_000)] {
            let part = part_of(&GENERIC, others, all, 128);
            assert!(part.div_ceil(128) < LOOP_ROUNDS && all.div_ceil(part) < LOOP_ROUNDS, "{others} {all}");
        }
    }
}
