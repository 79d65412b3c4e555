//! Structured control flow: every branch stays in its construct, or leaves it to a place that the construct names.

use super::flaw::SpirvFlaw;
use super::flow::Order;
use super::words::Instruction;

/// A block that says where its construct ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) merge: u32,
    /// For a loop: where it goes on.
    pub(super) next: Option<u32>,
    pub(super) switch: bool,
}

/// What a header opens: a selection, a loop, or the part of a loop that goes on.
struct Construct {
    merge: u32,
    /// Where an enclosing loop, or this one, goes on; its header; and where it ends.
    loop_at: Option<Loop>,
    /// Where a branch out of enclosing selections may go: the end of the nearest loop.
    breaks: Option<u32>,
    /// The same of the nearest switch in that loop.
    switch: Option<u32>,
    /// The loop that goes on here, if it does: only the branch back to it may end it as well.
    goes_on: Option<u32>,
    /// Lies where some loop goes on, which must come back.
    returns: bool,
}

#[derive(Clone, Copy)]
struct Loop {
    header: u32,
    next: u32,
}

impl Construct {
    /// Whether a branch from within may go to `block` although it is outside.
    fn names(&self, block: u32) -> bool {
        let loops = self.loop_at.is_some_and(|at| at.next == block || at.header == block);
        loops || self.merge == block || self.breaks == Some(block) || self.switch == Some(block)
    }
}

/// The construct that a function is.
const OUTERMOST: Construct =
    Construct { merge: u32::MAX, loop_at: None, breaks: None, switch: None, goes_on: None, returns: true };

/// The place of [`OUTERMOST`] in the list.
const FUNCTION: usize = 0;

/// Holds the branches in `after` to the rules.
pub(super) fn check(
    end: &Instruction<'_>,
    after: &[Vec<u32>],
    headers: &[Option<Header>],
    order: &Order,
) -> Result<(), SpirvFlaw> {
    let mut walk = Walk {
        constructs: vec![OUTERMOST],
        within: vec![FUNCTION; after.len()],
        inner: vec![FUNCTION; after.len()],
        merge_of: vec![None; after.len()],
        next_of: vec![None; after.len()],
    };
    for (header, ends) in (0..).zip(headers) {
        let Some(Header { merge, next, .. }) = ends.filter(|_| order.is_reached(header)) else { continue };
        let marks = [(Some(merge), &mut walk.merge_of), (next, &mut walk.next_of)];
        for (block, marks) in marks {
            let Some(block) = block else { continue };
            end.ensure(
                marks[block as usize].replace(header).is_none(),
                "ends a function in which two headers share a block",
            )?;
            let inside = !order.is_reached(block) || order.dominates(header, block);
            end.ensure(inside, "ends a function in which a header does not lead to its own end")?;
        }
        end.ensure(
            merge != header && Some(merge) != next,
            "ends a function in which a header is its own end",
        )?;
    }
    for block in 0..after.len() as u32 {
        if order.is_reached(block) {
            let placed = walk.place(block, headers, order);
            end.ensure(placed, "ends a function in which a loop goes on outside of itself")?;
        }
    }
    for (block, exits) in (0..).zip(after) {
        if order.is_reached(block) {
            end.ensure(
                walk.may_end(block, exits),
                "ends a function in which a loop goes on and does not come back",
            )?;
            for to in exits {
                let stays = walk.may_go(block, *to);
                end.ensure(stays, "ends a function in which a branch leaves its construct")?;
            }
            let splits = exits.len() > 1 && headers[block as usize].is_none();
            end.ensure(
                !splits || walk.may_split(block, exits),
                "ends a function with a branch without a merge",
            )?;
        }
    }
    loops_close(end, after, headers, order)
}

/// Exactly one branch leads back to each loop that is reached again, from where it goes on.
fn loops_close(
    end: &Instruction<'_>,
    after: &[Vec<u32>],
    headers: &[Option<Header>],
    order: &Order,
) -> Result<(), SpirvFlaw> {
    for (from, exits) in (0..).zip(after) {
        for to in exits {
            let back = order.is_reached(from) && order.dominates(*to, from);
            let goes_on = headers[*to as usize].and_then(|ends| ends.next);
            let fits = goes_on.is_some_and(|next| order.is_reached(next) && order.dominates(next, from));
            end.ensure(!back || fits, "ends a function with a loop that has no header")?;
        }
    }
    for (header, ends) in (0..).zip(headers) {
        if ends.is_some_and(|ends| ends.next.is_some()) {
            let backs = order.before(header).iter();
            let backs =
                backs.filter(|from| order.is_reached(**from) && order.dominates(header, **from)).count();
            end.ensure(backs <= 1, "ends a function with two ways back to one loop")?;
        }
    }
    Ok(())
}

struct Walk {
    constructs: Vec<Construct>,
    /// The construct that a block is in.
    within: Vec<usize>,
    /// The construct that a block opens, or else the one it is in.
    inner: Vec<usize>,
    merge_of: Vec<Option<u32>>,
    next_of: Vec<Option<u32>>,
}

impl Walk {
    /// Finds the construct of a block from that of its nearest dominator, which has been placed before. Fails
    /// where a loop goes on in a block that is in another.
    fn place(&mut self, block: u32, headers: &[Option<Header>], order: &Order) -> bool {
        let n = block as usize;
        let around = match (self.merge_of[n], block) {
            (Some(header), _) => self.within[header as usize],
            (None, 0) => FUNCTION,
            (None, _) => self.inner[order.parent(block) as usize],
        };
        self.within[n] = match self.next_of[n] {
            // The part that goes on is a construct of its own in its loop.
            Some(header) if header != block => {
                if self.constructs[around].loop_at.map(|at| at.header) != Some(header) {
                    return false;
                }
                let outer = &self.constructs[self.inner[header as usize]];
                let (loop_at, breaks) = (outer.loop_at, outer.breaks);
                let goes_on = Some(header);
                self.constructs.push(Construct { loop_at, breaks, goes_on, returns: false, ..OUTERMOST });
                self.constructs.len() - 1
            }
            _ => around,
        };
        self.inner[n] = self.within[n];
        if let Some(Header { merge, next, switch }) = headers[n] {
            let outer = &self.constructs[self.within[n]];
            let construct = match next {
                Some(next) => {
                    let loop_at = Some(Loop { header: block, next });
                    let returns = outer.returns;
                    Construct { merge, loop_at, breaks: Some(merge), returns, ..OUTERMOST }
                }
                None => Construct {
                    merge,
                    loop_at: outer.loop_at,
                    breaks: outer.breaks,
                    switch: if switch { Some(merge) } else { outer.switch },
                    goes_on: outer.goes_on,
                    returns: outer.returns,
                },
            };
            self.constructs.push(construct);
            self.inner[n] = self.constructs.len() - 1;
        }
        true
    }

    /// Whether a branch stays in its construct or leaves it to a place that the construct names.
    fn may_go(&self, from: u32, to: u32) -> bool {
        let inner = self.inner[from as usize];
        self.constructs[inner].names(to) || self.within[to as usize] == inner
    }

    /// A loop that goes on comes back: it is left only together with the branch to its header.
    fn may_end(&self, block: u32, exits: &[u32]) -> bool {
        let construct = &self.constructs[self.inner[block as usize]];
        let leaves = construct.breaks.is_some_and(|end| exits.contains(&end) && construct.merge != end);
        let back = construct.goes_on.is_none_or(|header| exits.contains(&header));
        (!exits.is_empty() || construct.returns) && (!leaves || back)
    }

    /// A branch to two places needs no merge where one of them leaves the construct.
    fn may_split(&self, block: u32, exits: &[u32]) -> bool {
        let construct = &self.constructs[self.inner[block as usize]];
        let leaves = |to: &u32| construct.names(*to);
        exits.windows(2).all(|pair| pair[0] == pair[1]) || exits.iter().any(leaves)
    }
}
