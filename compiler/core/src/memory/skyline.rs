//! Exact search for a placement, valley by valley.
//!
//! A partial placement is a skyline: for each section of time the height below which nothing more is placed. Where the
//! skyline has a valley, that is sections of one height between higher ones, whatever comes next in one of its sections
//! either stands on the valley's floor, and then is live within the valley, or leaves the floor of that section empty up to the
//! next height at which something could stand. The search branches over these for one section, the one that leaves the
//! fewest ways; so each placement in which every tensor rests on what is below it is met once, in whichever valley
//! there is least choice. A branch ends where a section, or a tensor, needs more than is left above the skyline.
//!
//! Tensors that no longer share a section are placed independently of each other, skylines that led nowhere are
//! remembered, and sections in which branches ended are branched on earlier. The aim and the problem form are those of
//! MiniMalloc (Moffitt, ASPLOS 2023), which places in the order of offsets.

use std::collections::HashSet;
use std::ops::Range;

/// Skylines remembered at most.
const MOST_REMEMBERED: usize = 1 << 20;

/// A tensor in units of the alignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Units that it takes.
    pub(super) size: u64,
    /// Highest offset that keeps it below the capacity.
    pub(super) highest: u64,
    /// Sections that it is live in.
    pub(super) sections: Range<usize>,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every item has an offset.
    Placed,
    /// There is no placement.
    Impossible,
    /// The work was spent before either was known.
    Spent,
}

/// What can be done in the section that is branched on.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// An item stands on the valley's floor.
    Place(usize),
    /// The floor of a section stays empty up to a height.
    Leave(usize, u64),
}

/// A change to undo.
#[derive(Clone, Copy, Debug)]
enum Change {
    Height(usize, u64),
    Lowest(usize, u64),
    Placed(usize),
}

/// What is under way.
#[derive(Debug)]
enum Frame {
    /// Choices for one section; all those before `next` led nowhere, but for the last one that is being tried.
    Branch { waiting: Vec<usize>, choices: Vec<Choice>, next: usize, mark: usize, skyline: u128 },
    /// Items that fell apart; those before `next` are placed, but for the last one that is being tried.
    Parts { parts: Vec<Vec<usize>>, next: usize, mark: usize },
}

/// What to do next.
enum Step {
    Enter(Vec<usize>),
    Return(Verdict),
}

/// A search; what it learned stays from one run to the next.
pub(super) struct Search<'a> {
    items: &'a [Item],
    /// Units of the capacity, for the sum of a section.
    capacity: u64,
    /// Items of each section.
    members: Vec<Vec<usize>>,
    /// Offset of each item placed.
    pub(super) offsets: Vec<u64>,
    heights: Vec<u64>,
    /// Units of unplaced items in each section.
    needed: Vec<u64>,
    /// Lowest offset that the skyline leaves to each item.
    lowest: Vec<u64>,
    unplaced: Vec<bool>,
    changes: Vec<Change>,
    /// How often branches ended in each section, later ones counting more.
    weights: Vec<f64>,
    weight: f64,
    hopeless: HashSet<u128>,
    work: u64,
}

impl<'a> Search<'a> {
    /// `items` are in order of their first section.
    pub(super) fn new(items: &'a [Item], capacity: u64) -> Self {
        let sections = items.iter().map(|item| item.sections.end).max().unwrap_or(0);
        let mut members = vec![Vec::new(); sections];
        let mut needed = vec![0; sections];
        for (index, item) in items.iter().enumerate() {
            for section in item.sections.clone() {
                members[section].push(index);
                needed[section] += item.size;
            }
        }
        Self {
            items,
            capacity,
            members,
            offsets: vec![0; items.len()],
            heights: vec![0; sections],
            needed,
            lowest: vec![0; items.len()],
            unplaced: vec![true; items.len()],
            changes: Vec::new(),
            weights: vec![1.0; sections],
            weight: 1.0,
            hopeless: HashSet::new(),
            work: 0,
        }
    }

    /// Searches for at most `work` steps, trying items of a low rank first.
    pub(super) fn run(&mut self, rank: &[usize], work: u64) -> (Verdict, u64) {
        self.work = work;
        let fits = (0..self.items.len()).all(|index| self.lowest[index] <= self.items[index].highest)
            && self.needed.iter().all(|&needed| needed <= self.capacity);
        if !fits {
            return (Verdict::Impossible, 0);
        }
        let mut frames: Vec<Frame> = Vec::new();
        let mut step = Step::Enter((0..self.items.len()).collect());
        let verdict = loop {
            step = match step {
                Step::Enter(waiting) => self.enter(waiting, rank, &mut frames),
                Step::Return(Verdict::Spent) => break Verdict::Spent,
                Step::Return(verdict) => match frames.pop() {
                    Some(frame) => self.resume(frame, verdict, &mut frames),
                    None => break verdict,
                },
            };
        };
        if verdict != Verdict::Placed {
            self.undo(0);
        }
        self.weight *= 1.05;
        (verdict, work - self.work)
    }

    /// Begins to place `waiting`, which is in order of first sections.
    fn enter(&mut self, waiting: Vec<usize>, rank: &[usize], frames: &mut Vec<Frame>) -> Step {
        let parts = self.parts(&waiting);
        let mark = self.changes.len();
        match parts.len() {
            0 => Step::Return(Verdict::Placed),
            1 => match self.branch(waiting, rank) {
                Ok(frame) => self.resume(frame, Verdict::Impossible, frames),
                Err(verdict) => Step::Return(verdict),
            },
            _ => self.resume(Frame::Parts { parts, next: 0, mark }, Verdict::Placed, frames),
        }
    }

    /// Goes on with a frame after what it tried last has ended, or before it tried anything.
    fn resume(&mut self, frame: Frame, verdict: Verdict, frames: &mut Vec<Frame>) -> Step {
        match (frame, verdict) {
            (Frame::Branch { waiting, choices, next, mark, skyline }, Verdict::Impossible) => {
                self.try_next(waiting, choices, next, (mark, skyline), frames)
            }
            (Frame::Parts { parts, next, mark }, Verdict::Placed) if next < parts.len() => {
                let part = parts[next].clone();
                frames.push(Frame::Parts { parts, next: next + 1, mark });
                Step::Enter(part)
            }
            (Frame::Parts { mark, .. }, Verdict::Impossible) => {
                self.undo(mark);
                Step::Return(Verdict::Impossible)
            }
            (_, verdict) => Step::Return(verdict),
        }
    }

    /// Tries the next choice that does not end at once.
    fn try_next(
        &mut self,
        waiting: Vec<usize>,
        choices: Vec<Choice>,
        mut next: usize,
        (mark, skyline): (usize, u128),
        frames: &mut Vec<Frame>,
    ) -> Step {
        while let Some(&choice) = choices.get(next) {
            self.undo(mark);
            next += 1;
            let fits = match choice {
                Choice::Place(index) => self.place(index),
                Choice::Leave(section, height) => self.raise(section..section + 1, height),
            };
            if fits {
                let rest = match choice {
                    Choice::Place(index) => waiting.iter().copied().filter(|&other| other != index).collect(),
                    Choice::Leave(..) => waiting.clone(),
                };
                frames.push(Frame::Branch { waiting, choices, next, mark, skyline });
                return Step::Enter(rest);
            }
        }
        self.undo(mark);
        if self.hopeless.len() < MOST_REMEMBERED {
            self.hopeless.insert(skyline);
        }
        Step::Return(Verdict::Impossible)
    }

    /// Groups of items that share no section with each other, the smallest first: it is the fastest to be found
    /// impossible.
    fn parts(&self, waiting: &[usize]) -> Vec<Vec<usize>> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut end = 0;
        for &index in waiting {
            let sections = &self.items[index].sections;
            match parts.last_mut() {
                Some(part) if sections.start < end => part.push(index),
                _ => parts.push(vec![index]),
            }
            end = end.max(sections.end);
        }
        parts.sort_by_key(Vec::len);
        parts
    }

    /// Chooses a section and lists what can be done there; the verdict where nothing has to be chosen.
    fn branch(&mut self, waiting: Vec<usize>, rank: &[usize]) -> Result<Frame, Verdict> {
        let start = self.items[waiting[0]].sections.start;
        let end = waiting.iter().map(|&index| self.items[index].sections.end).max().unwrap_or(start);
        loop {
            let steps = (waiting.len() + end - start) as u64;
            if self.work < steps {
                return Err(Verdict::Spent);
            }
            self.work -= steps;
            let valleys = self.valleys(start..end);
            let on_floor = self.on_floor(&waiting, &valleys, start);
            if let Some(valley) =
                valleys.iter().find(|v| v.is_valley && on_floor[v.at(start)].iter().all(|&n| n == 0))
            {
                if !self.raise(valley.sections.clone(), valley.rim) {
                    return Err(Verdict::Impossible);
                }
                continue;
            }
            let Some(section) = self.least_choice(&valleys, &on_floor, start) else {
                return Err(Verdict::Impossible);
            };
            let skyline = self.skyline(&waiting, start..end);
            if self.hopeless.contains(&skyline) {
                return Err(Verdict::Impossible);
            }
            let valley = valleys.into_iter().find(|v| v.sections.contains(&section));
            let sections = valley.map_or(section..section + 1, |valley| valley.sections);
            let choices = self.choices(&waiting, &sections, section, rank);
            return Ok(Frame::Branch { waiting, choices, next: 0, mark: self.changes.len(), skyline });
        }
    }

    /// Runs of sections of one height, in order.
    fn valleys(&self, within: Range<usize>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut start = within.start;
        while start < within.end {
            let height = self.heights[start];
            let same = self.heights[start..within.end].iter().take_while(|&&other| other == height).count();
            let end = start + same;
            let left = if start > within.start { self.heights[start - 1] } else { u64::MAX };
            let right = if end < within.end { self.heights[end] } else { u64::MAX };
            runs.push(Run {
                sections: start..end,
                is_valley: left > height && right > height,
                rim: left.min(right),
            });
            start = end;
        }
        runs
    }

    /// For each section from `start` on, how many items that live there could stand on the floor of its valley.
    fn on_floor(&self, waiting: &[usize], runs: &[Run], start: usize) -> Vec<u32> {
        let end = runs.last().map_or(start, |run| run.sections.end);
        let mut run_of = vec![0; end - start];
        for (index, run) in runs.iter().enumerate() {
            run_of[run.at(start)].fill(index);
        }
        let mut steps = vec![0_i32; end - start + 1];
        for &index in waiting {
            let Range { start: first, end: behind } = self.items[index].sections;
            let run = run_of[first - start];
            if run == run_of[behind - 1 - start] && runs[run].is_valley {
                steps[first - start] += 1;
                steps[behind - start] -= 1;
            }
        }
        let mut count = 0;
        let sum = |step: &i32| {
            count += step;
            count.unsigned_abs()
        };
        steps[..end - start].iter().map(sum).collect()
    }

    /// The section of a valley with the fewest ways to go on; among these one with little headroom and one in which
    /// branches ended. None if some section has no way at all.
    fn least_choice(&mut self, runs: &[Run], on_floor: &[u32], start: usize) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for section in runs.iter().filter(|run| run.is_valley).flat_map(|run| run.sections.clone()) {
            let spare = self.capacity - self.heights[section] - self.needed[section];
            let ways = on_floor[section - start] + u32::from(spare > 0);
            if ways == 0 {
                self.weights[section] += self.weight;
                return None;
            }
            let headroom = 1.0 + spare as f64 / self.capacity as f64;
            let score = (f64::from(ways) - 0.999) * headroom / self.weights[section];
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, section));
            }
        }
        best.map(|(_, section)| section)
    }

    /// What can be done in `section` of `valley`: items by rank, and last to leave the floor empty.
    fn choices(
        &self,
        waiting: &[usize],
        valley: &Range<usize>,
        section: usize,
        rank: &[usize],
    ) -> Vec<Choice> {
        let floor = self.heights[section];
        let mut standing: Vec<usize> = Vec::new();
        // What comes next, if not on the floor, stands on the skyline elsewhere or on an item beside the section.
        let mut next_height = u64::MAX;
        for &index in waiting {
            let Item { size, sections, .. } = &self.items[index];
            if sections.end <= valley.start || valley.end <= sections.start {
                continue;
            }
            let inside = valley.start <= sections.start && sections.end <= valley.end;
            match (inside, sections.contains(&section)) {
                (true, true) => standing.push(index),
                (true, false) => next_height = next_height.min(floor + size),
                (false, true) => next_height = next_height.min(self.lowest[index]),
                (false, false) => next_height = next_height.min(self.lowest[index] + size),
            }
        }
        standing.sort_by_key(|&index| rank[index]);
        let mut choices: Vec<Choice> = Vec::with_capacity(standing.len() + 1);
        for (at, &index) in standing.iter().enumerate() {
            // Of items that are alike, one stands for all.
            if !standing[..at].iter().any(|&earlier| self.items[earlier] == self.items[index]) {
                choices.push(Choice::Place(index));
            }
        }
        if next_height != u64::MAX {
            choices.push(Choice::Leave(section, next_height));
        }
        choices
    }

    /// What tells one partial placement from another: who waits, above which skyline.
    fn skyline(&self, waiting: &[usize], sections: Range<usize>) -> u128 {
        let who = waiting.iter().map(|&index| scramble(index as u64, u64::MAX));
        let where_ = sections.map(|section| scramble(section as u64, self.heights[section]));
        who.chain(where_).fold(0, |all, one| all ^ one)
    }

    /// Puts an item on the floor under it; false if that leaves too little headroom.
    fn place(&mut self, index: usize) -> bool {
        let Item { size, sections, .. } = &self.items[index];
        let offset = self.lowest[index];
        self.offsets[index] = offset;
        self.unplaced[index] = false;
        self.changes.push(Change::Placed(index));
        self.needed[sections.clone()].iter_mut().for_each(|needed| *needed -= size);
        self.raise(sections.clone(), offset + size)
    }

    /// Raises the skyline; false if that leaves too little headroom.
    fn raise(&mut self, sections: Range<usize>, height: u64) -> bool {
        for section in sections {
            let before = std::mem::replace(&mut self.heights[section], height);
            self.changes.push(Change::Height(section, before));
            if self.needed[section] > 0 && height > self.capacity - self.needed[section] {
                self.weights[section] += self.weight;
                return false;
            }
            for &index in &self.members[section] {
                if self.unplaced[index] && self.lowest[index] < height {
                    self.changes.push(Change::Lowest(index, self.lowest[index]));
                    self.lowest[index] = height;
                    if height > self.items[index].highest {
                        self.weights[section] += self.weight;
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Takes back every change since there were `mark` of them.
    fn undo(&mut self, mark: usize) {
        for change in self.changes.drain(mark..).rev() {
            match change {
                Change::Height(section, height) => self.heights[section] = height,
                Change::Lowest(index, lowest) => self.lowest[index] = lowest,
                Change::Placed(index) => {
                    let Item { size, sections, .. } = &self.items[index];
                    self.unplaced[index] = true;
                    self.needed[sections.clone()].iter_mut().for_each(|needed| *needed += size);
                }
            }
        }
    }
}

/// Sections of one height.
struct Run {
    sections: Range<usize>,
    /// Whether both neighbours are higher.
    is_valley: bool,
    /// Height of the lower neighbour.
    rim: u64,
}

impl Run {
    /// Its sections, counted from `start`.
    fn at(&self, start: usize) -> Range<usize> {
        self.sections.start - start..self.sections.end - start
    }
}

/// 128 well-mixed bits of two numbers (the finaliser of SplitMix64, twice).
fn scramble(a: u64, b: u64) -> u128 {
    let mix = |seed: u64| {
        let mut x =
            (a.wrapping_add(1)).wrapping_mul(seed) ^ b.wrapping_add(7).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    u128::from(mix(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(mix(0xd6e8_feb8_6659_fd93))
}
