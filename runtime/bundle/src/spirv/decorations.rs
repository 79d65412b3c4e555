//! What a module says of its ids beside their definitions.

use std::collections::BTreeMap;

use super::flaw::SpirvFlaw;
use super::op::{self, decoration};
use super::types::Id;
use super::words::Instruction;

/// Of an id, or of a member of a structure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decorated {
    pub(super) block: bool,
    pub(super) array_stride: Option<u32>,
    pub(super) built_in: Option<u32>,
    pub(super) non_writable: bool,
    pub(super) non_readable: bool,
    pub(super) no_contraction: bool,
    pub(super) binding: Option<u32>,
    pub(super) descriptor_set: Option<u32>,
    pub(super) offset: Option<u32>,
}

/// All decorations of a module.
#[derive(Debug, Default)]
pub(super) struct Decorations {
    ids: BTreeMap<Id, Decorated>,
    members: BTreeMap<(Id, u32), Decorated>,
}

impl Decorations {
    /// Reads a decoration. One that is not known here may change what the code means, so it is refused.
    pub(super) fn add(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        if one.opcode == op::DECORATE {
            let ([id, what], values) = one.at_least::<2>()?;
            self.ids.entry(id).or_default().set(one, what, values)
        } else {
            let ([id, member, what], values) = one.at_least::<3>()?;
            self.members.entry((id, member)).or_default().set(one, what, values)
        }
    }

    pub(super) fn of(&self, id: Id) -> Decorated {
        self.ids.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn member(&self, id: Id, member: u32) -> Decorated {
        self.members.get(&(id, member)).copied().unwrap_or_default()
    }

    /// Whether every member of structure `id` is `NonWritable`.
    pub(super) fn members_non_writable(&self, id: Id, count: usize) -> bool {
        (0..count as u32).all(|member| self.member(id, member).non_writable)
    }

    /// Every id that is decorated, and how.
    pub(super) fn ids(&self) -> impl Iterator<Item = (Id, &Decorated)> {
        self.ids.iter().map(|(id, decorated)| (*id, decorated))
    }

    /// Every member that is decorated, and how.
    pub(super) fn members(&self) -> impl Iterator<Item = (Id, u32, &Decorated)> {
        self.members.iter().map(|((id, member), decorated)| (*id, *member, decorated))
    }
}

impl Decorated {
    /// Whether there is nothing but what a member of a structure may have.
    pub(super) fn is_of_a_member(&self) -> bool {
        let Self { block, array_stride, built_in, binding, descriptor_set, .. } = self;
        !block
            && !self.no_contraction
            && array_stride.or(*built_in).or(*binding).or(*descriptor_set).is_none()
    }

    fn set(&mut self, one: &Instruction<'_>, what: u32, values: &[u32]) -> Result<(), SpirvFlaw> {
        let once = |slot: &mut Option<u32>| {
            let &[value] = values else { return Err(one.flaw("has another number of operands")) };
            one.ensure(slot.replace(value).is_none(), "decorates an id for the second time")
        };
        let flag = match what {
            decoration::ARRAY_STRIDE => return once(&mut self.array_stride),
            decoration::BUILT_IN => return once(&mut self.built_in),
            decoration::BINDING => return once(&mut self.binding),
            decoration::DESCRIPTOR_SET => return once(&mut self.descriptor_set),
            decoration::OFFSET => return once(&mut self.offset),
            decoration::BLOCK => &mut self.block,
            decoration::NON_WRITABLE => &mut self.non_writable,
            decoration::NON_READABLE => &mut self.non_readable,
            decoration::NO_CONTRACTION => &mut self.no_contraction,
            _ => return Err(one.flaw("is a decoration that no kernel may have")),
        };
        one.ensure(!std::mem::replace(flag, true), "decorates an id for the second time")?;
        one.ensure(values.is_empty(), "has another number of operands")
    }
}
