//! Numbers, each as often as it was put in, with the least and the greatest at hand.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A multiset in order.
#[derive(Clone, Debug, Default)]
pub struct Bag<N: Ord>(BTreeMap<N, usize>);

impl<N: Ord + Copy> Bag<N> {
    /// An empty bag.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Puts a number in.
    pub fn put(&mut self, number: N) {
        *self.0.entry(number).or_default() += 1;
    }

    /// Takes a number out once, if it is there.
    pub fn take(&mut self, number: N) {
        if let Entry::Occupied(mut count) = self.0.entry(number) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The least number.
    pub fn least(&self) -> Option<N> {
        self.0.first_key_value().map(|(&number, _)| number)
    }

    /// The greatest number.
    pub fn most(&self) -> Option<N> {
        self.0.last_key_value().map(|(&number, _)| number)
    }
}
