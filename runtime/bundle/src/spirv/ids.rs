//! What each id of a module stands for.

use super::flaw::SpirvFlaw;
use super::types::{Cooperative, Id, Image, Memory, Scalar, Type};
use super::words::Instruction;

/// What an id stands for.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    Type(Type, Memory),
    Value(Value),
    Label(u32),
    Function {
        ty: Id,
    },
    /// The extended instructions `GLSL.std.450`.
    Glsl,
    Text,
}

/// A constant, a variable or a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) ty: Id,
    /// The bits of a 32-bit constant.
    pub(super) literal: Option<u32>,
    pub(super) place: Place,
    /// For a pointer or a loaded image: the variable that it leads to.
    pub(super) root: Option<Id>,
}

/// Where a value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Constant,
    /// A variable of the module.
    Global,
    /// A parameter of the function at hand.
    Parameter,
    /// A block of the function at hand.
    Block(u32),
    /// A function that has ended.
    Gone,
}

/// Definitions by id.
#[derive(Debug)]
pub(super) struct Ids {
    /// Position in `definitions` plus one, zero where there is none.
    index: Vec<u32>,
    definitions: Vec<Definition>,
}

impl Ids {
    pub(super) fn new(bound: usize) -> Self {
        Self { index: vec![0; bound], definitions: Vec::new() }
    }

    /// Defines `id`, which must be within the bound and new.
    pub(super) fn define(
        &mut self,
        one: &Instruction<'_>,
        id: Id,
        definition: Definition,
    ) -> Result<(), SpirvFlaw> {
        one.ensure(id != 0, "defines the id 0")?;
        let slot = self.index.get_mut(id as usize);
        let slot = slot.ok_or_else(|| one.flaw("defines an id that is not below the bound"))?;
        one.ensure(*slot == 0, "defines an id for the second time")?;
        self.definitions.push(definition);
        *slot = self.definitions.len() as u32;
        Ok(())
    }

    pub(super) fn get(&self, id: Id) -> Option<&Definition> {
        self.definitions.get(self.position(id)?)
    }

    /// How many ids were defined before `id`.
    pub(super) fn position(&self, id: Id) -> Option<usize> {
        Some(self.index.get(id as usize)?.checked_sub(1)? as usize)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.definitions.len()
    }

    /// Makes the values of a function that has ended unknown to the next: those from definition `from` on.
    pub(super) fn end_function(&mut self, from: usize) {
        for definition in self.definitions.iter_mut().skip(from) {
            match definition {
                Definition::Value(value) if value.place != Place::Constant => value.place = Place::Gone,
                Definition::Label(_) => *definition = Definition::Text,
                _ => {}
            }
        }
    }

    pub(super) fn ty(&self, id: Id) -> Option<&Type> {
        match self.get(id)? {
            Definition::Type(ty, _) => Some(ty),
            _ => None,
        }
    }

    /// The memory of a type that a variable may have.
    pub(super) fn memory(&self, id: Id) -> Option<&Memory> {
        match self.get(id)? {
            Definition::Type(_, memory)
                if memory.natural.is_some() || memory.explicit.is_some() || memory.open =>
            {
                Some(memory)
            }
            _ => None,
        }
    }

    pub(super) fn value(&self, id: Id) -> Option<&Value> {
        match self.get(id)? {
            Definition::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The bits of a constant integer of 32 bits.
    pub(super) fn literal(&self, id: Id) -> Option<u32> {
        let value = self.value(id)?;
        matches!(self.ty(value.ty), Some(Type::Int { .. })).then_some(value.literal)?
    }

    pub(super) fn scalar(&self, ty: Id) -> Option<Scalar> {
        match self.ty(ty)? {
            Type::Bool => Some(Scalar::Bool),
            Type::Int { .. } => Some(Scalar::Int),
            Type::Float { bits } => Some(Scalar::Float(*bits)),
            _ => None,
        }
    }

    /// Component and count of a scalar, which counts 1, or of a vector.
    pub(super) fn shape(&self, ty: Id) -> Option<(Scalar, u32)> {
        match *self.ty(ty)? {
            Type::Vector { of, count } => Some((self.scalar(of)?, count)),
            _ => Some((self.scalar(ty)?, 1)),
        }
    }

    pub(super) fn image(&self, ty: Id) -> Option<Image> {
        match self.ty(ty)? {
            Type::Image(image) => Some(*image),
            _ => None,
        }
    }

    pub(super) fn cooperative(&self, ty: Id) -> Option<Cooperative> {
        match self.ty(ty)? {
            Type::Cooperative(matrix) => Some(*matrix),
            _ => None,
        }
    }

    /// Storage class and what is pointed to.
    pub(super) fn pointer(&self, ty: Id) -> Option<(u32, Id)> {
        match self.ty(ty)? {
            Type::Pointer { class, to } => Some((*class, *to)),
            _ => None,
        }
    }
}
