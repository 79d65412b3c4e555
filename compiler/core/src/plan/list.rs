//! List scheduling of a large program: of the ready steps, always the one that increases live bytes least.
//!
//! So a branch is followed to where it meets another before the next one begins. Programs of thousands of branches are beyond a
//! local search, which moves one step at a time.

use super::flow::Flow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The order; ties go to the model's.
pub(super) fn order(flow: &Flow) -> Vec<usize> {
    let mut ready = Ready::of(flow);
    let mut waiting: Vec<usize> = flow.before.iter().map(std::collections::BTreeSet::len).collect();
    let begin = (0..waiting.len()).filter(|&step| waiting[step] == 0);
    begin.for_each(|step| ready.add(step));
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(step) = ready.next() {
        order.push(step);
        ready.run(step);
        for &other in &flow.behind[step] {
            waiting[other] -= 1;
            if waiting[other] == 0 {
                ready.add(other);
            }
        }
    }
    order
}

/// Steps that wait for nothing, by how much more is alive after each.
struct Ready<'a> {
    flow: &'a Flow,
    /// Steps that touch each storage.
    users: Vec<Vec<usize>>,
    /// Of these how many have not run yet, and the sum of their numbers: of a single one its number.
    left: Vec<(usize, usize)>,
    touched: Vec<bool>,
    /// Bytes that are alive after each step and were not before it, less those that no longer are.
    growth: Vec<i64>,
    is_ready: Vec<bool>,
    /// Entries whose growth has changed since are passed over.
    heap: BinaryHeap<Reverse<(i64, usize)>>,
}

impl<'a> Ready<'a> {
    fn of(flow: &'a Flow) -> Self {
        let (steps, storages) = (flow.touches.len(), flow.bytes.len());
        let mut users = vec![Vec::new(); storages];
        for (step, touched) in flow.touches.iter().enumerate() {
            touched.iter().for_each(|&storage| users[storage].push(step));
        }
        let left: Vec<(usize, usize)> = users.iter().map(|users| (users.len(), users.iter().sum())).collect();
        let mut growth = vec![0; steps];
        for (storage, users) in users.iter().enumerate() {
            let (bytes, (from_start, to_end)) = (flow.bytes[storage] as i64, flow.kept[storage]);
            if !from_start {
                users.iter().for_each(|&user| growth[user] += bytes);
            }
            if let ([only], false) = (users.as_slice(), to_end) {
                growth[*only] -= bytes;
            }
        }
        let (touched, is_ready) = (vec![false; storages], vec![false; steps]);
        Self { flow, users, left, touched, growth, is_ready, heap: BinaryHeap::new() }
    }

    fn add(&mut self, step: usize) {
        self.is_ready[step] = true;
        self.heap.push(Reverse((self.growth[step], step)));
    }

    /// The step to run, which is then no longer ready.
    fn next(&mut self) -> Option<usize> {
        while let Some(Reverse((growth, step))) = self.heap.pop() {
            if self.is_ready[step] && growth == self.growth[step] {
                self.is_ready[step] = false;
                return Some(step);
            }
        }
        None
    }

    /// Notes what others grow by once `step` has run.
    fn run(&mut self, step: usize) {
        let flow = self.flow;
        for &storage in &flow.touches[step] {
            let (from_start, to_end) = flow.kept[storage];
            if !std::mem::replace(&mut self.touched[storage], true) && !from_start {
                for at in 0..self.users[storage].len() {
                    self.shrink(self.users[storage][at], storage);
                }
            }
            let left = &mut self.left[storage];
            *left = (left.0 - 1, left.1 - step);
            if let (1, last) = *left
                && !to_end
            {
                self.shrink(last, storage);
            }
        }
    }

    /// A step leaves less alive by a storage than was thought.
    fn shrink(&mut self, step: usize, storage: usize) {
        self.growth[step] -= self.flow.bytes[storage] as i64;
        if self.is_ready[step] {
            self.heap.push(Reverse((self.growth[step], step)));
        }
    }
}
