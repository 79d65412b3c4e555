//! Blocks of a function: that control flow is structured, and that values are known where they are used.
//!
//! Dominators come from passes in reverse postorder, repeated while something changes (Cooper, Harvey and Kennedy,
//! "A Simple, Fast Dominance Algorithm"); structured code needs two.

use super::flaw::SpirvFlaw;
use super::ids::{Definition, Ids};
use super::op;
use super::structure::{self, Header};
use super::types::Id;
use super::words::Instruction;

/// Where control flow of a header comes together, and where its loop goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Merge {
    pub(super) merge: Id,
    pub(super) next: Option<Id>,
}

#[derive(Debug)]
struct Block {
    merge: Option<Merge>,
    exits: Vec<Id>,
    /// Opcode of its last instruction.
    end: u16,
}

/// The blocks of a function, in their order in the module.
#[derive(Debug, Default)]
pub(super) struct Flow {
    blocks: Vec<Block>,
    open: bool,
    phis: bool,
    variables: bool,
    /// Word, block of the use and block of the definition.
    used: Vec<(usize, u32, u32)>,
}

/// Blocks after [`Flow::check`].
pub(super) struct Order {
    before: Vec<Vec<u32>>,
    tree: Tree,
}

/// No block.
const NONE: u32 = u32::MAX;

impl Flow {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The block that is being read.
    pub(super) fn current(&self) -> u32 {
        self.blocks.len().saturating_sub(1) as u32
    }

    pub(super) fn takes_phis(&self) -> bool {
        self.phis
    }

    pub(super) fn takes_variables(&self) -> bool {
        self.variables && self.blocks.len() == 1
    }

    /// An instruction that is neither phi nor variable.
    pub(super) fn past_phis(&mut self) {
        (self.phis, self.variables) = (false, false);
    }

    /// Notes that the block at hand uses a value of block `from`.
    pub(super) fn uses(&mut self, from: u32, word: usize) {
        let at = self.current();
        if from != at {
            self.used.push((word, at, from));
        }
    }

    pub(super) fn begin(&mut self, one: &Instruction<'_>) -> Result<u32, SpirvFlaw> {
        one.ensure(!self.open, "begins a block within another")?;
        self.blocks.push(Block { merge: None, exits: Vec::new(), end: op::LABEL });
        (self.open, self.phis, self.variables) = (true, true, true);
        Ok(self.current())
    }

    /// Only a branch may follow a merge instruction.
    pub(super) fn after_merge(&self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let merge = self.blocks.last().and_then(|block| block.merge);
        let fits = match merge {
            None => true,
            Some(Merge { next: None, .. }) => matches!(one.opcode, op::BRANCH_CONDITIONAL | op::SWITCH),
            Some(Merge { next: Some(_), .. }) => matches!(one.opcode, op::BRANCH | op::BRANCH_CONDITIONAL),
        };
        one.ensure(fits, "does not fit the merge instruction before it")
    }

    pub(super) fn merge(&mut self, merge: Merge) {
        if let Some(block) = self.blocks.last_mut() {
            block.merge = Some(merge);
        }
    }

    pub(super) fn end(&mut self, one: &Instruction<'_>, exits: Vec<Id>) -> Result<(), SpirvFlaw> {
        if let Some(block) = self.blocks.last_mut() {
            one.ensure(
                one.opcode != op::SWITCH || block.merge.is_some(),
                "has no merge instruction before it",
            )?;
            (block.exits, block.end) = (exits, one.opcode);
        }
        self.open = false;
        Ok(())
    }

    /// Checks everything that needs all blocks; `one` is the end of the function.
    pub(super) fn check(&self, one: &Instruction<'_>, ids: &Ids) -> Result<Order, SpirvFlaw> {
        let block = |label: Id| match ids.get(label) {
            Some(Definition::Label(block)) => Ok(*block),
            _ => Err(one.flaw("ends a function that branches to what is no block of it")),
        };
        let mut after = Vec::with_capacity(self.blocks.len());
        let mut headers = Vec::with_capacity(self.blocks.len());
        for one in &self.blocks {
            after.push(one.exits.iter().map(|to| block(*to)).collect::<Result<Vec<_>, _>>()?);
            headers.push(match one.merge {
                Some(Merge { merge, next }) => Some(Header {
                    merge: block(merge)?,
                    next: next.map(block).transpose()?,
                    switch: one.end == op::SWITCH,
                }),
                None => None,
            });
        }
        one.ensure(
            after.iter().flatten().all(|to| *to != 0),
            "ends a function that goes back to its first block",
        )?;
        let mut before = vec![Vec::new(); after.len()];
        for (from, exits) in (0..).zip(&after) {
            for to in exits {
                let list: &mut Vec<u32> = &mut before[*to as usize];
                if list.last() != Some(&from) {
                    list.push(from);
                }
            }
        }
        let tree = Tree::new(&after, &before);
        let tree = tree.ok_or_else(|| one.flaw("ends a function of control flow that is not structured"))?;
        one.ensure(tree.keeps_order(), "ends a function whose blocks stand before what leads to them")?;
        for (word, at, from) in &self.used {
            if tree.is_reached(*at) && !tree.dominates(*from, *at) {
                let problem = "takes a value that is not known on every way to it";
                return Err(SpirvFlaw::Instruction { word: *word, opcode: 0, problem });
            }
        }
        let order = Order { before, tree };
        structure::check(one, &after, &headers, &order)?;
        Ok(order)
    }
}

impl Order {
    /// The blocks that lead to `block`, each once, in order.
    pub(super) fn before(&self, block: u32) -> &[u32] {
        &self.before[block as usize]
    }

    pub(super) fn parent(&self, block: u32) -> u32 {
        self.tree.parent[block as usize]
    }

    pub(super) fn is_reached(&self, block: u32) -> bool {
        self.tree.is_reached(block)
    }

    pub(super) fn dominates(&self, a: u32, b: u32) -> bool {
        self.tree.dominates(a, b)
    }

    /// Whether a value of block `from` is known at the end of `at`; anything is where nothing comes.
    pub(super) fn reaches(&self, from: u32, at: u32) -> bool {
        !self.tree.is_reached(at) || self.tree.dominates(from, at)
    }
}

/// The tree of dominators.
struct Tree {
    /// The nearest dominator; the first block's is itself, and an unreached block has none.
    parent: Vec<u32>,
    /// First and last number of a walk over the tree.
    span: Vec<(u32, u32)>,
}

impl Tree {
    /// Nothing where that takes more work than structured code does.
    fn new(after: &[Vec<u32>], before: &[Vec<u32>]) -> Option<Self> {
        let order = reverse_postorder(after);
        let mut rank = vec![NONE; after.len()];
        for (n, block) in (0..).zip(&order) {
            rank[*block as usize] = n;
        }
        let mut parent = vec![NONE; after.len()];
        parent[0] = 0;
        let mut work = Work(256 * after.len() + (1 << 16));
        loop {
            let mut changed = false;
            for block in order.iter().skip(1) {
                let mut nearest = NONE;
                for from in &before[*block as usize] {
                    if parent[*from as usize] != NONE {
                        nearest = work.common(&parent, &rank, *from, nearest)?;
                    }
                }
                changed |= std::mem::replace(&mut parent[*block as usize], nearest) != nearest;
            }
            if !changed {
                break;
            }
        }
        let span = spans(&parent, &order);
        Some(Self { parent, span })
    }

    fn is_reached(&self, block: u32) -> bool {
        self.parent[block as usize] != NONE
    }

    /// Both must be reached.
    fn dominates(&self, a: u32, b: u32) -> bool {
        let ((first, last), (at, _)) = (self.span[a as usize], self.span[b as usize]);
        self.is_reached(a) && first <= at && at <= last
    }

    /// Dominators stand before what they dominate.
    fn keeps_order(&self) -> bool {
        (0..).zip(&self.parent).skip(1).all(|(block, parent)| *parent == NONE || *parent < block)
    }
}

/// Steps that may still be taken, so that a hostile function costs no more than its length.
struct Work(usize);

impl Work {
    /// The nearest block that dominates two, the second of which may be none.
    fn common(&mut self, parent: &[u32], rank: &[u32], mut a: u32, mut b: u32) -> Option<u32> {
        self.0 = self.0.checked_sub(1)?;
        if b == NONE {
            return Some(a);
        }
        while a != b {
            self.0 = self.0.checked_sub(1)?;
            if rank[a as usize] > rank[b as usize] {
                a = parent[a as usize];
            } else {
                b = parent[b as usize];
            }
        }
        Some(a)
    }
}

/// Blocks that the first one leads to, each before those it leads to as far as there are no loops.
fn reverse_postorder(after: &[Vec<u32>]) -> Vec<u32> {
    let mut seen = vec![false; after.len()];
    seen[0] = true;
    let (mut order, mut path) = (Vec::with_capacity(after.len()), vec![(0_u32, 0_usize)]);
    while let Some((block, next)) = path.last_mut() {
        match after[*block as usize].get(*next) {
            Some(to) => {
                *next += 1;
                if !std::mem::replace(&mut seen[*to as usize], true) {
                    path.push((*to, 0));
                }
            }
            None => {
                order.push(*block);
                path.pop();
            }
        }
    }
    order.reverse();
    order
}

/// Numbers of a walk over the tree: what a block dominates has numbers within the block's.
fn spans(parent: &[u32], order: &[u32]) -> Vec<(u32, u32)> {
    let mut sizes = vec![1_u32; parent.len()];
    for block in order.iter().skip(1).rev() {
        sizes[parent[*block as usize] as usize] += sizes[*block as usize];
    }
    let mut next = vec![0_u32; parent.len()];
    let mut span = vec![(NONE, 0); parent.len()];
    for block in order {
        let first = match (*block, parent[*block as usize]) {
            (0, _) => 0,
            (_, above) => {
                let first = next[above as usize];
                next[above as usize] = first + sizes[*block as usize];
                first
            }
        };
        next[*block as usize] = first + 1;
        span[*block as usize] = (first, first + sizes[*block as usize] - 1);
    }
    span
}
