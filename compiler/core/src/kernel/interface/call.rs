//! What stages ask of a call by the interface of its kernel.

use super::{Meaning, Role};
use crate::kernel::{Constant, KernelCall, Slot};
use crate::physical::{NotKnown, Size};

impl KernelCall {
    /// What a slot of this call is to the kernel. One that the text does not name is read by generated functions: as an operand,
    /// or for where a part of another slot begins.
    pub fn role(&self, slot: &Slot) -> Role {
        let says_where = |other: &Slot| other.address.shift().is_some_and(|shift| shift.slot == slot.name);
        match self.kernel.interface.slot(&slot.name) {
            Some(spec) => spec.role,
            None if self.slots.iter().any(says_where) => Role::BlockStart,
            None => Role::Operand,
        }
    }

    /// The constant that means this, where the call gives it.
    pub fn constant(&self, meaning: Meaning) -> Option<u64> {
        let spec = self.kernel.interface.constants().find(|spec| spec.meaning == Some(meaning))?;
        self.constants.iter().find_map(|(name, value)| match value {
            Constant::U32(value) if *name == spec.name => Some(*value),
            _ => None,
        })
    }

    /// A free size among those that the kernel takes as constants.
    pub fn free_where_fixed(&self) -> Option<NotKnown> {
        self.slots.iter().find_map(|slot| {
            let fixed = self.kernel.interface.slot(&slot.name)?.fixed;
            fixed.iter().find_map(|&of| slot.size(of).to_known().err())
        })
    }

    /// A free size that may be zero: kernels clamp indices to a last element, which there has to be.
    pub fn may_be_empty(&self) -> Option<&Size> {
        self.slots.iter().flat_map(|slot| &slot.shape).find(|size| size.is_free() && size.min() == 0)
    }

    /// The slot whose element the kernel computes with.
    pub(in crate::kernel) fn scalar_slot(&self) -> Option<&Slot> {
        let name = self.kernel.interface.scalar?;
        self.slots.iter().find(|slot| slot.name == name)
    }

    /// The same call for the block that begins where `start` says.
    pub fn at_block(&self, start: &Slot) -> Self {
        let is_start = |slot: &Slot| self.role(slot) == Role::BlockStart;
        let slots = self.slots.iter().map(|slot| if is_start(slot) { start } else { slot }.clone());
        Self { slots: slots.collect(), ..self.clone() }
    }
}
