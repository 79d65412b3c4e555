//! Padding of any axes.

pub(crate) mod eval;

use crate::dim::Dim;
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::{ElementType, TensorType};

/// What the elements beyond the operand are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This value.
    Constant(f64),
    /// The nearest element.
    Edge,
    /// The operand mirrored at its first and last elements, which are not repeated.
    Reflect,
    /// The operand over and over.
    Wrap,
}

/// Adds elements before and after each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// What is added.
    pub mode: PadMode,
    /// How much, one entry per axis of the operand: begins, then ends.
    pub pads: Vec<u64>,
}

impl PadMode {
    /// Name in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant(_) => "pad",
            Self::Edge => "pad_edge",
            Self::Reflect => "pad_reflect",
            Self::Wrap => "pad_wrap",
        }
    }
}

impl Pad {
    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        let TensorType { element, shape } = check.ty(0);
        if self.pads.len() != 2 * shape.len() {
            let expected = format!("{} values", 2 * shape.len());
            return Err(attribute_error("pads", expected, format!("{:?}", self.pads)));
        }
        if let PadMode::Constant(value) = self.mode {
            check_value(*element, value)?;
        }
        let (begins, ends) = self.pads.split_at(shape.len());
        let mut padded = Vec::new();
        for (axis, ((size, &begin), &end)) in shape.iter().zip(begins).zip(ends).enumerate() {
            self.check_axis(axis, size, begin.max(end), check)?;
            padded.push(size.add(&Dim::Const(begin))?.add(&Dim::Const(end))?);
        }
        Ok(TensorType { element: *element, shape: padded })
    }

    /// What is copied has to be there: one element for the edge and to repeat, `most + 1` to mirror.
    fn check_axis(
        &self,
        axis: usize,
        size: &Dim,
        most: u64,
        check: &Check<'_>,
    ) -> Result<(), InferErrorKind> {
        let needed = match self.mode {
            PadMode::Constant(_) => return Ok(()),
            _ if most == 0 => return Ok(()),
            PadMode::Edge | PadMode::Wrap => 1,
            PadMode::Reflect => most.saturating_add(1),
        };
        if size.range(check.symbols).1.is_some_and(|high| high < needed) {
            return Err(check.shape_error(0, format!("at least {needed} on axis {axis}")));
        }
        Ok(())
    }
}

fn check_value(element: ElementType, value: f64) -> Result<(), InferErrorKind> {
    let fits = match element {
        ElementType::F32 | ElementType::F16 | ElementType::F64 => true,
        ElementType::Bool => value == 0.0 || value == 1.0,
        // Beyond 2^53 a float does not hold every integer.
        ElementType::I64
        | ElementType::I32
        | ElementType::I8
        | ElementType::U8
        | ElementType::I16
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64 => value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0,
    };
    if fits {
        return Ok(());
    }
    Err(attribute_error("value", format!("a number that {element} holds"), value))
}
