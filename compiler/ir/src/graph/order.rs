//! The execution order: a rank for each node, so that nodes are compared, inserted and removed without walking the others.

use super::NodeId;
use std::collections::BTreeMap;

/// Nodes by ascending rank. Neighbours start a [`GAP`] apart; when a gap is used up all ranks are given out anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    by_rank: BTreeMap<u64, NodeId>,
    /// Rank by node index; `None` for nodes that are not in the order.
    ranks: Vec<Option<u64>>,
}

/// Distance between neighbours that leaves room for 2^32 nodes, and for 31 insertions at the worst place.
const GAP: u64 = 1 << 31;

impl Order {
    /// The nodes of a list, in its order.
    pub(super) fn of(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let mut order = Self::default();
        nodes.into_iter().for_each(|node| order.insert(node, None));
        order
    }

    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + '_ {
        self.by_rank.values().copied()
    }

    /// The place of a node: smaller is earlier. Changes when nodes are inserted. Panics for one that is not there.
    pub(super) fn rank(&self, node: NodeId) -> u64 {
        let rank = self.ranks.get(node.0 as usize).copied().flatten();
        rank.expect("the node is in the graph")
    }

    /// The node that follows.
    pub(super) fn next(&self, node: NodeId) -> Option<NodeId> {
        self.by_rank.range(self.rank(node) + 1..).next().map(|(_, &next)| next)
    }

    /// Puts a new node before another, or at the end.
    pub(super) fn insert(&mut self, node: NodeId, before: Option<NodeId>) {
        let rank = self.free_rank(before).unwrap_or_else(|| {
            self.spread();
            self.free_rank(before).expect("ranks that were spread have room between them")
        });
        self.by_rank.insert(rank, node);
        let index = node.0 as usize;
        if self.ranks.len() <= index {
            self.ranks.resize(index + 1, None);
        }
        self.ranks[index] = Some(rank);
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        if let Some(rank) = self.ranks.get_mut(node.0 as usize).and_then(Option::take) {
            self.by_rank.remove(&rank);
        }
    }

    /// A rank in the middle of the gap before a node, or one gap after the last.
    fn free_rank(&self, before: Option<NodeId>) -> Option<u64> {
        let Some(next) = before.map(|node| self.rank(node)) else {
            return self.by_rank.last_key_value().map_or(Some(GAP), |(last, _)| last.checked_add(GAP));
        };
        let previous = self.by_rank.range(..next).next_back().map_or(0, |(&rank, _)| rank);
        let middle = previous + (next - previous) / 2;
        (middle > previous).then_some(middle)
    }

    fn spread(&mut self) {
        *self = Self::of(std::mem::take(&mut self.by_rank).into_values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_is_used_up_is_made_again() {
        let mut order = Order::of([NodeId(0), NodeId(1)]);
        for index in 2..200 {
            order.insert(NodeId(index), Some(NodeId(1)));
        }
        let expected: Vec<NodeId> = std::iter::once(0).chain(2..200).chain([1]).map(NodeId).collect();
        assert_eq!(order.nodes().collect::<Vec<_>>(), expected);
        assert!(expected.is_sorted_by_key(|&node| order.rank(node)));
        assert_eq!(order.next(NodeId(199)), Some(NodeId(1)));
        order.remove(NodeId(1));
        assert_eq!(order.next(NodeId(199)), None);
    }
}
