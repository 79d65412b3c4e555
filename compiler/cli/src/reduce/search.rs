//! The search for the fewest nodes that still fail: ends first, then what is in between.

/// Finds a small subset of `0..count` for which `fails` holds, as it does for all of it. Subsets are given in ascending order.
/// `fails` says none once there is no time left; then the smallest subset found so far is the result.
///
/// The end comes first and the beginning second, by bisection, since a fault usually shows in what is computed from it. Then
/// pieces are left out, halves first and single nodes last, until none can be (Zeller's ddmin, without its complements). Bisection
/// relies on nothing: what it finds was tried.
pub(super) fn smallest(count: usize, mut fails: impl FnMut(&[usize]) -> Option<bool>) -> Vec<usize> {
    let mut best: Vec<usize> = (0..count).collect();
    let _in_time = trim(&mut best, &mut fails, |all, size| all[..size].to_vec())
        .and_then(|()| trim(&mut best, &mut fails, |all, size| all[all.len() - size..].to_vec()))
        .and_then(|()| leave_out(&mut best, &mut fails));
    best
}

/// The shortest part at one side that fails.
fn trim(
    best: &mut Vec<usize>,
    fails: &mut impl FnMut(&[usize]) -> Option<bool>,
    part: impl Fn(&[usize], usize) -> Vec<usize>,
) -> Option<()> {
    let all = best.clone();
    let (mut passes, mut fails_at) = (0, all.len());
    while passes + 1 < fails_at {
        let middle = passes.midpoint(fails_at);
        let candidate = part(&all, middle);
        if fails(&candidate)? {
            (fails_at, *best) = (middle, candidate);
        } else {
            passes = middle;
        }
    }
    Some(())
}

fn leave_out(best: &mut Vec<usize>, fails: &mut impl FnMut(&[usize]) -> Option<bool>) -> Option<()> {
    let mut size = best.len() / 2;
    while size > 0 {
        let mut start = 0;
        let before = best.len();
        while start < best.len() && best.len() > 1 {
            let end = (start + size).min(best.len());
            let candidate: Vec<usize> = best[..start].iter().chain(&best[end..]).copied().collect();
            if !candidate.is_empty() && fails(&candidate)? {
                *best = candidate;
            } else {
                start = end;
            }
        }
        // Single nodes are tried until a round leaves all of them.
        let is_done = size == 1 && best.len() == before;
        size = if size == 1 && !is_done { 1 } else { size / 2 };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(count: usize, needed: &[usize]) -> Vec<usize> {
        smallest(count, |part| Some(needed.iter().all(|node| part.contains(node))))
    }

    #[test]
    fn what_is_needed_is_left() {
        for needed in [&[0][..], &[99], &[50], &[3, 97], &[10, 11, 12], &[0, 49, 50, 99]] {
            assert_eq!(found(100, needed), needed);
        }
        assert_eq!(found(1, &[0]), [0]);
    }

    #[test]
    fn few_tries_find_one_of_many() {
        let mut tries = 0;
        let found = smallest(10_000, |part| {
            tries += 1;
            Some(part.contains(&7_654))
        });
        assert_eq!(found, [7_654]);
        assert!(tries < 40, "{tries}");
    }

    #[test]
    fn the_best_so_far_is_the_result_when_time_is_up() {
        let mut left = 5;
        let found = smallest(1_000, |part| {
            left -= 1;
            (left > 0).then(|| part.contains(&500))
        });
        assert!(found.contains(&500) && found.len() < 1_000, "{}", found.len());
    }
}
