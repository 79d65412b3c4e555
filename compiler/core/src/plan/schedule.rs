//! Order of dispatches: another topological order where that keeps less alive at once.
//!
//! A local search moves a step, with those that it needs or those that need it, across the step at which most is alive,
//! and keeps what lowers that peak or the number of steps that reach it. The model's order is the starting point, for
//! programs of thousands of steps the better of it and a list schedule ([`list`]); ties go to the first move found and the work
//! is counted, so that the same program gives the same order everywhere.

use super::flow::Flow;
use super::list;
use super::peak::{Ordered, Peak};
use crate::program::Program;
use std::collections::BTreeSet;
use std::ops::Range;

/// Steps before and behind a peak that are moved.
const REACH: usize = 96;

/// Steps that move together.
const MOST_TOGETHER: usize = 12;

/// Orders looked at for one program.
const MOST_ORDERS: usize = 20_000;

/// Steps looked at in these orders, which programs of a few thousand steps do not reach.
const MOST_STEPS: usize = 1 << 27;

/// Steps from which on a program is large: its search begins at the better of two orders and is short.
const MANY: usize = 4096;

/// Steps looked at in the orders of a large program.
const MOST_STEPS_OF_MANY: usize = 1 << 22;

/// `program` with its steps in an order that keeps less alive at once, if one was found.
pub(super) fn reordered(program: &Program) -> Option<Program> {
    // Tensors without elements need no steps.
    if program.steps.len() < 2 {
        return None;
    }
    let flow = Flow::of(program);
    let mut order: Vec<usize> = (0..program.steps.len()).collect();
    let mut best = flow.peak(&order);
    let is_large = order.len() >= MANY;
    let mut work =
        Work { orders: MOST_ORDERS, steps: if is_large { MOST_STEPS_OF_MANY } else { MOST_STEPS } };
    let mut moved = false;
    if is_large {
        let listed = list::order(&flow);
        let peak = flow.peak(&listed);
        if peak.is_below(&best) {
            (order, best, moved) = (listed, peak, true);
        }
    }
    while let Some((better, peak)) = flow.improved(&order, &best, &mut work) {
        (order, best) = (better, peak);
        moved = true;
    }
    moved.then(|| {
        let steps = order.iter().map(|&step| program.steps[step].clone()).collect();
        Program { steps, ..program.clone() }
    })
}

impl Flow {
    /// How full the fullest step is in an order.
    fn peak(&self, order: &[usize]) -> Peak {
        let mut live_ranges: Vec<(usize, usize)> = vec![(usize::MAX, 0); self.bytes.len()];
        for (at, &step) in order.iter().enumerate() {
            for &storage in &self.touches[step] {
                let live_range = &mut live_ranges[storage];
                *live_range = (live_range.0.min(at), at);
            }
        }
        let mut change = vec![0_i64; order.len() + 1];
        for (storage, (first, last)) in live_ranges.iter_mut().enumerate() {
            let (from_start, to_end) = self.kept[storage];
            if from_start {
                *first = 0;
            }
            if *first == usize::MAX {
                continue;
            }
            change[*first] += self.bytes[storage] as i64;
            match to_end {
                true => *last = usize::MAX,
                false => change[*last + 1] -= self.bytes[storage] as i64,
            }
        }
        self.share(order, &live_ranges, &mut change);
        let mut peak = Peak::NONE;
        let mut live = 0;
        for (at, change) in change[..order.len()].iter().enumerate() {
            live += change;
            let bytes = live as u64;
            match bytes.cmp(&peak.bytes) {
                std::cmp::Ordering::Greater => peak = Peak { bytes, count: 1, at },
                std::cmp::Ordering::Equal => peak.count += 1,
                std::cmp::Ordering::Less => {}
            }
        }
        peak
    }

    /// Takes back what results need that can be where an operand has its last use.
    fn share(&self, order: &[usize], live_ranges: &[(usize, usize)], change: &mut [i64]) {
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &step)| place[step] = at);
        let mut taken = vec![[false; 2]; self.bytes.len()];
        for pair in &self.pairs {
            let (operand, result) = (pair.operand as usize, pair.result as usize);
            let (first, last) = (live_ranges[result].0, live_ranges[operand].1);
            let meets = |at: usize| pair.steps.iter().any(|&step| place[step] == at);
            if !taken[operand][0] && !taken[result][1] && last != usize::MAX && meets(first) && meets(last) {
                let later = self.users[operand].iter().filter(|&&step| place[step] >= first).count();
                if later == pair.steps.len() {
                    (taken[operand][0], taken[result][1]) = (true, true);
                    let bytes = self.bytes[operand].min(self.bytes[result]) as i64;
                    change[first] -= bytes;
                    change[last + 1] += bytes;
                }
            }
        }
    }

    /// The best order that one move across the peak gives, if it is better.
    fn improved(&self, order: &[usize], now: &Peak, work: &mut Work) -> Option<(Vec<usize>, Peak)> {
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &step)| place[step] = at);
        let mut ordered = Ordered::new(self, order);
        work.take(order.len());
        let mut best: Option<(Moved, Peak)> = None;
        let behind = now.at..(now.at + REACH).min(order.len());
        let earlier = behind.flat_map(|at| {
            let earliest = self.before[order[at]].iter().map(|&step| place[step] + 1).max().unwrap_or(0);
            [self.earlier(order, at, now.at), self.earlier(order, at, earliest.min(now.at))]
        });
        let before = now.at.saturating_sub(REACH)..now.at + 1;
        let later = before.rev().flat_map(|at| {
            let users = self.behind[order[at]].iter().map(|&step| place[step] - 1);
            let latest = users.min().unwrap_or(order.len() - 1);
            [self.later(order, at, now.at), self.later(order, at, latest.max(now.at))]
        });
        for moved in earlier.chain(later).flatten() {
            if work.orders == 0 || work.steps == 0 {
                break;
            }
            work.orders -= 1;
            let peak = match &mut ordered {
                Some(ordered) => {
                    work.take(moved.steps.len());
                    ordered.moved(moved.range(), &moved.steps)
                }
                None => {
                    work.take(order.len());
                    self.peak(&moved.applied(order))
                }
            };
            if peak.is_below(best.as_ref().map_or(now, |(_, peak)| peak)) {
                best = Some((moved, peak));
            }
        }
        best.map(|(moved, peak)| (moved.applied(order), peak))
    }

    /// The step at `at`, and what it needs, brought before the step at `target`.
    fn earlier(&self, order: &[usize], at: usize, target: usize) -> Option<Moved> {
        let group = self.together(order, at, (target..at).rev(), &self.before)?;
        Some(Moved::new(order, target..at + 1, |step| group.contains(step)))
    }

    /// The step at `at`, and what needs it, brought behind the step at `target`.
    fn later(&self, order: &[usize], at: usize, target: usize) -> Option<Moved> {
        let group = self.together(order, at, at + 1..target + 1, &self.behind)?;
        Some(Moved::new(order, at..target + 1, |step| !group.contains(step)))
    }

    /// The step at `at` and those among `others` that are tied to it, if they are few.
    fn together(
        &self,
        order: &[usize],
        at: usize,
        others: impl Iterator<Item = usize>,
        ties: &[BTreeSet<usize>],
    ) -> Option<BTreeSet<usize>> {
        let mut group = BTreeSet::from([order[at]]);
        let mut tied: BTreeSet<usize> = ties[order[at]].clone();
        for other in others.map(|at| order[at]) {
            if tied.contains(&other) {
                group.insert(other);
                tied.extend(&ties[other]);
            }
        }
        (group.len() <= MOST_TOGETHER).then_some(group)
    }
}

/// Neighbouring steps in another order.
struct Moved {
    start: usize,
    steps: Vec<usize>,
}

impl Moved {
    /// The steps of `range` with those that are `first` before the others.
    fn new(order: &[usize], range: Range<usize>, first: impl Fn(&usize) -> bool) -> Self {
        let (mut steps, two): (Vec<usize>, Vec<usize>) =
            order[range.clone()].iter().partition(|step| first(step));
        steps.extend(two);
        Self { start: range.start, steps }
    }

    fn range(&self) -> Range<usize> {
        self.start..self.start + self.steps.len()
    }

    /// All of an order.
    fn applied(&self, order: &[usize]) -> Vec<usize> {
        [&order[..self.start], &self.steps, &order[self.range().end..]].concat()
    }
}

/// Work that is left for one program.
struct Work {
    orders: usize,
    steps: usize,
}

impl Work {
    fn take(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Access, Source};
    use crate::layout::{self, LayoutChoice};
    use crate::{profile, select};
    use std::collections::BTreeMap;

    fn program(text: &str) -> Program {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let layouts = layout::assign(&graph, &profile::GENERIC, LayoutChoice::Buffer, None).expect("layouts");
        select::choose(&graph, &layouts, &profile::GENERIC, None).expect("kernels")
    }

    #[test]
    fn a_program_without_steps_has_one_order() {
        let program = program("%x: f32[0,3]\n%1 = exp %x\nreturn %1");
        assert!(program.steps.is_empty() && reordered(&program).is_none());
    }

    fn names(program: &Program) -> Vec<&str> {
        program.steps.iter().map(|step| step.name.as_str()).collect()
    }

    /// Every step comes behind the steps that write what it reads, as in the model's order.
    fn assert_same_flow(before: &Program, after: &Program) {
        let reads = |program: &Program| {
            let mut seen: BTreeMap<u32, Vec<String>> = BTreeMap::new();
            let mut reads = BTreeMap::new();
            for step in &program.steps {
                for slot in &step.call.slots {
                    let Source::Activation(storage) = slot.source else { continue };
                    let writers = seen.entry(storage).or_default();
                    match slot.access {
                        Access::Write => writers.push(step.name.clone()),
                        Access::Read => {
                            reads.insert((step.name.clone(), storage), writers.clone());
                        }
                    }
                }
            }
            reads
        };
        assert_eq!(reads(before), reads(after));
    }

    /// Both branches read `%a`; the narrow one, computed first, lets the wide one write over it.
    const BRANCHES: &str = "%x: f32[1,4,8,8]\n@u: f32[64,4,1,1] = random(1)\n@v: f32[8,64,1,1] = random(2)\n\
        @w: f32[8,64,1,1] = random(3)\n@z: f32[8,8,1,1] = random(4)\n%a = conv %x, @u\n%h = exp %a\n%k = conv %h, @w\n\
        %s = conv %a, @v\n%y = conv %s, @z epilogue(add %k)\nreturn %y";

    #[test]
    fn a_narrow_branch_goes_first() {
        let program = program(BRANCHES);
        let moved = reordered(&program).expect("a better order");
        assert_same_flow(&program, &moved);
        assert_eq!(names(&program), ["a", "h", "k", "s", "y"]);
        assert_eq!(names(&moved), ["a", "s", "h", "k", "y"]);
        let (before, after) = (Flow::of(&program), Flow::of(&moved));
        let order: Vec<usize> = (0..5).collect();
        assert!(after.peak(&order).is_below(&before.peak(&order)));
    }

    /// What a move makes of the peak is what counting from the start gives.
    #[test]
    fn a_moved_peak_is_that_of_the_whole_order() {
        let narrow = "%x: f32[1,4,8,8]\n@u: f32[64,4,1,1] = random(1)\n@v: f32[4,64,1,1] = random(2)\n";
        let block = |n: usize| {
            format!(
                "%a{m} = conv %{n}, @u\n%h{m} = exp %a{m}\n%k{m} = conv %h{m}, @v\n%s{m} = conv %a{m}, @v\n\
                 %{m} = conv %s{m}, @w epilogue(add %k{m})\n",
                m = n + 1
            )
        };
        let blocks: String = (1..5).map(block).collect();
        let text = format!("{narrow}@w: f32[4,4,1,1] = random(3)\n%1 = exp %x\n{blocks}return %5, %k3");
        let flow = Flow::of(&program(&text));
        let order: Vec<usize> = (0..flow.touches.len()).collect();
        let mut ordered = Ordered::new(&flow, &order).expect("pairs of one step");
        let mut seen = 0;
        for at in 0..order.len() {
            for target in 0..order.len() {
                let moved = match target < at {
                    true => flow.earlier(&order, at, target),
                    false => flow.later(&order, at, target),
                };
                let Some(moved) = moved else { continue };
                let peak = ordered.moved(moved.range(), &moved.steps);
                assert_eq!(peak, flow.peak(&moved.applied(&order)), "{at} to {target}");
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }

    /// Sixty-four branches that are added up in pairs: all of them first, or each pair as soon as it is there.
    #[test]
    fn branches_are_followed_to_where_they_meet() {
        let mut text = "%x: f32[4,64]\n@u: f32[64,64] = random(1)\n".to_owned();
        let branch = |n: usize| format!("%a{n} = matmul %x, @u\n%b{n} = softmax %a{n} {{axis=1}}\n");
        text.extend((0..64).map(branch));
        let mut names: Vec<String> = (0..64).map(|n| format!("b{n}")).collect();
        while let [_, _, ..] = names.as_slice() {
            let pair = |pair: &[String]| format!("%{0}s = add %{0}, %{1}\n", pair[0], pair[1]);
            text.extend(names.chunks(2).map(pair));
            names = names.chunks(2).map(|pair| format!("{}s", pair[0])).collect();
        }
        let program = program(&format!("{text}return %{}", names[0]));
        let flow = Flow::of(&program);
        let (before, order) = ((0..program.steps.len()).collect::<Vec<_>>(), list::order(&flow));
        let steps = order.iter().map(|&step| program.steps[step].clone()).collect();
        assert_same_flow(&program, &Program { steps, ..program.clone() });
        let (before, after) = (flow.peak(&before).bytes, flow.peak(&order).bytes);
        assert!(after * 5 < before, "{before} bytes, then {after}");
    }

    #[test]
    fn a_chain_has_one_order() {
        let text = "%x: f32[4,64]\n%a = exp %x\n%b = tanh %a\n%c = exp %b\nreturn %c";
        assert!(reordered(&program(text)).is_none());
    }
}
