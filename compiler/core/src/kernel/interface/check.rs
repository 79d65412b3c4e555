//! Calls held against the interfaces of their kernels.

use super::{Accessor, ConstantType, Prologue, Role, SlotSpec};
use crate::kernel::scalar::ScalarProgram;
use crate::kernel::{Constant, KernelCall, Slot};

/// How a call differs from the interface of its kernel. Always a bug of driftc.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// A constant that the interface does not declare.
    #[error("constant `{name}` is not declared")]
    UndeclaredConstant {
        /// Its name.
        name: &'static str,
    },
    /// A constant that the interface declares.
    #[error("constant `{name}` is missing")]
    MissingConstant {
        /// Its name.
        name: &'static str,
    },
    /// A constant that is given twice.
    #[error("constant `{name}` is given twice")]
    RepeatedConstant {
        /// Its name.
        name: &'static str,
    },
    /// A constant of another type.
    #[error("constant `{name}` is {found:?}, declared as {declared:?}")]
    ConstantType {
        /// Its name.
        name: &'static str,
        /// Its declared type.
        declared: ConstantType,
        /// The value.
        found: Constant,
    },
    /// A slot that neither the interface nor a generated function names.
    #[error("slot `{name}` is not declared, and no element-wise function reads it")]
    UndeclaredSlot {
        /// Its name.
        name: String,
    },
    /// A slot that the interface or an element-wise function names.
    #[error("slot `{name}` is missing")]
    MissingSlot {
        /// Its name.
        name: String,
    },
    /// A slot that is given twice.
    #[error("slot `{name}` is given twice")]
    RepeatedSlot {
        /// Its name.
        name: String,
    },
    /// A slot that is read where it is written by its interface, or the other way round, or that has a layout of weights
    /// where the kernel has no accessors for those, or another element.
    #[error("slot `{name}` is used otherwise than it is declared")]
    SlotUse {
        /// Its name.
        name: String,
    },
    /// An element-wise function that the kernel has no place for, or none where it needs one.
    #[error("{splice} is {}", if *is_given { "given, and the kernel has no place for it" } else { "missing" })]
    Splice {
        /// `the prologue` or `the epilogue`.
        splice: &'static str,
        /// Whether the call gives it.
        is_given: bool,
    },
}

/// Whether the text has no accessors for a slot but those that rows of weights have.
fn reads_rows(spec: &SlotSpec) -> bool {
    let rows = [Accessor::Read, Accessor::Load, Accessor::Packed, Accessor::Words];
    spec.accessors.iter().all(|accessor| rows.contains(accessor))
}

impl KernelCall {
    /// Fails unless the call gives the slots, constants and element-wise functions that the kernel's interface declares.
    pub fn check_interface(&self) -> Result<(), Mismatch> {
        self.check_constants()?;
        self.check_slots()?;
        self.check_splices()
    }

    fn check_constants(&self) -> Result<(), Mismatch> {
        let interface = &self.kernel.interface;
        let scalar = self.scalar_slot().map(|slot| slot.layout.element);
        for (at, (name, value)) in self.constants.iter().enumerate() {
            let spec = interface.constant(name).ok_or(Mismatch::UndeclaredConstant { name })?;
            if self.constants[..at].iter().any(|(other, _)| other == name) {
                return Err(Mismatch::RepeatedConstant { name });
            }
            if !spec.ty.admits(value, scalar) {
                return Err(Mismatch::ConstantType { name, declared: spec.ty, found: value.clone() });
            }
        }
        let is_given = |name: &str| self.constants.iter().any(|(given, _)| *given == name);
        match interface.constants().find(|spec| !spec.optional && !is_given(spec.name)) {
            Some(spec) => Err(Mismatch::MissingConstant { name: spec.name }),
            None => Ok(()),
        }
    }

    fn check_slots(&self) -> Result<(), Mismatch> {
        let interface = &self.kernel.interface;
        let is_read = |slot: &Slot| self.operands().any(|name| name == slot.name);
        for (at, slot) in self.slots.iter().enumerate() {
            let name = || slot.name.clone();
            if self.slots[..at].iter().any(|other| other.name == slot.name) {
                return Err(Mismatch::RepeatedSlot { name: name() });
            }
            match interface.slot(&slot.name) {
                None if self.role(slot) == Role::Operand && !is_read(slot) => {
                    return Err(Mismatch::UndeclaredSlot { name: name() });
                }
                Some(spec)
                    if spec.access() != slot.access
                        || slot.weights.is_some() && spec.role != Role::Weights
                        || slot.rows.is_none() && spec.calls(Accessor::Words)
                        || slot.rows.is_some() && !reads_rows(spec)
                        || spec.element.is_some_and(|element| element != slot.layout.element) =>
                {
                    return Err(Mismatch::SlotUse { name: name() });
                }
                Some(_) | None => {}
            }
        }
        let declared = interface.slots.iter().filter(|spec| !spec.optional).map(|spec| spec.name);
        let shifts = self.slots.iter().filter_map(|slot| Some(slot.address.shift()?.slot.as_str()));
        let is_given = |name: &str| self.slots.iter().any(|slot| slot.name == name);
        match declared.chain(shifts).chain(self.operands()).find(|name| !is_given(name)) {
            Some(name) => Err(Mismatch::MissingSlot { name: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn check_splices(&self) -> Result<(), Mismatch> {
        let interface = &self.kernel.interface;
        let fits = match interface.prologue {
            Prologue::None => self.prologue.is_none(),
            Prologue::MakesResult | Prologue::FinishesValue => self.prologue.is_some(),
            Prologue::FinishesReads(_) => true,
        };
        if !fits {
            return Err(Mismatch::Splice { splice: "the prologue", is_given: self.prologue.is_some() });
        }
        if self.epilogue.is_some() && interface.slots.iter().all(|slot| slot.role != Role::Result) {
            return Err(Mismatch::Splice { splice: "the epilogue", is_given: true });
        }
        Ok(())
    }

    /// Names of the slots that element-wise functions read.
    fn operands(&self) -> impl Iterator<Item = &str> {
        let programs = self.prologue.iter().chain(&self.epilogue);
        programs.flat_map(|program: &ScalarProgram| &program.operands).map(|operand| operand.slot.as_str())
    }
}
