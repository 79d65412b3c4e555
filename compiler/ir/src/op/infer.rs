//! What inference is given, how it fails, and the shape rules that several ops share.

use crate::dim::{Dim, DimError, IntExpr, SymbolId, Symbols};
use crate::op::known::{FloatExpr, Known};
use crate::tensor::{ElementType, Tensor, TensorType, show_shape};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is known about an operand.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Element type and shape.
    pub ty: &'a TensorType,
    /// Its elements, where shape arithmetic determines them.
    pub known: Option<&'a Known>,
    /// Its content, where it is a constant.
    pub constant: Option<&'a Tensor>,
}

impl<'a> Operand<'a> {
    /// An operand of which only the type is known.
    pub const fn of_type(ty: &'a TensorType) -> Self {
        Self { ty, known: None, constant: None }
    }

    /// The elements as integer expressions, from shape arithmetic or from a small integer constant.
    pub fn ints(&self) -> Option<Cow<'a, [IntExpr]>> {
        match self.known {
            Some(known) => known.ints().map(Cow::Borrowed),
            None => super::known::of_constant(self.constant?).map(Cow::Owned),
        }
    }

    /// The elements as floats, from shape arithmetic or from a small constant.
    pub fn floats(&self) -> Option<Cow<'a, [FloatExpr]>> {
        match self.known {
            Some(known) => known.floats().map(Cow::Borrowed),
            None => FloatExpr::of_constant(self.constant?).map(Cow::Owned),
        }
    }
}

/// Why a node cannot have the operands and attributes that it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}` ({op}): {kind}")]
pub struct InferError {
    /// The node, by its name in the model.
    pub node: String,
    /// The op's name.
    pub op: &'static str,
    /// What is wrong.
    #[source]
    pub kind: InferErrorKind,
}

/// What is wrong with a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferErrorKind {
    /// Too few or too many operands.
    #[error("expected {expected} operands, got {actual}")]
    OperandCount {
        /// How many the op takes, such as `2` or `2..=3`.
        expected: String,
        /// How many there are.
        actual: usize,
    },
    /// An operand has an element type that the op does not take.
    #[error("operand {operand} is {actual}, expected {expected}; insert a cast")]
    Element {
        /// Which operand.
        operand: usize,
        /// What the op takes.
        expected: String,
        /// What it is.
        actual: ElementType,
    },
    /// An operand has a shape that the op does not take.
    #[error("operand {operand} has shape {actual}, expected {expected}")]
    Shape {
        /// Which operand.
        operand: usize,
        /// What the op takes.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// Shapes do not broadcast.
    #[error(
        "shapes {left} and {right} do not broadcast; sizes that depend on free dims must be provably equal ({advice})"
    )]
    Broadcast {
        /// One shape.
        left: String,
        /// The other.
        right: String,
        /// What to do.
        advice: String,
    },
    /// An attribute does not fit the operands.
    #[error("attribute {attribute} is {actual}, expected {expected}")]
    Attribute {
        /// Its name.
        attribute: &'static str,
        /// What would fit.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// The result's shape depends on data that only exists when the model runs.
    #[error("operand {operand} decides the result's shape, so it must be a constant or computed from shapes")]
    DataDependent {
        /// Which operand.
        operand: usize,
    },
    /// The result could not be addressed.
    #[error("the result {0}")]
    TooLarge(TooLarge),
    /// A step of the epilogue is wrong.
    #[error("epilogue step {step}: {problem}")]
    Epilogue {
        /// Which step.
        step: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Shape arithmetic failed.
    #[error("a size cannot be computed: {0}")]
    Dim(#[from] DimError),
    /// A name is in use.
    #[error("the name `{0}` is taken by another value; ask the graph for a unique one")]
    NameTaken(String),
    /// The number of result names is not the op's number of results.
    #[error("the op has {expected} results, {actual} names were given")]
    ResultCount {
        /// How many the op has.
        expected: usize,
        /// How many names there are.
        actual: usize,
    },
    /// An operand is not in the graph.
    #[error("operand {0} is not a value of this graph")]
    UnknownValue(usize),
    /// An operand is defined after the node.
    #[error("`{0}` would be used before it is computed; move its producer first")]
    UsedBeforeDefined(String),
}

/// Checks made for one op's operands, with errors in the operands' own terms.
pub(crate) struct Check<'a> {
    pub(crate) operands: &'a [Operand<'a>],
    pub(crate) symbols: &'a Symbols,
}

type Checked<T> = Result<T, InferErrorKind>;

impl<'a> Check<'a> {
    pub(crate) fn ty(&self, operand: usize) -> &'a TensorType {
        self.operands[operand].ty
    }

    pub(crate) fn shape(&self, operand: usize) -> &'a [Dim] {
        &self.operands[operand].ty.shape
    }

    pub(crate) fn shape_error(&self, operand: usize, expected: impl Into<String>) -> InferErrorKind {
        InferErrorKind::Shape {
            operand,
            expected: expected.into(),
            actual: show_shape(self.shape(operand), self.symbols),
        }
    }

    pub(crate) fn element(
        &self,
        operand: usize,
        takes: fn(ElementType) -> bool,
        expected: &str,
    ) -> Checked<()> {
        let actual = self.ty(operand).element;
        if takes(actual) {
            return Ok(());
        }
        Err(InferErrorKind::Element { operand, expected: expected.to_owned(), actual })
    }

    pub(crate) fn float(&self, operand: usize) -> Checked<()> {
        self.element(operand, ElementType::is_float, "a float type")
    }

    pub(crate) fn index(&self, operand: usize) -> Checked<()> {
        let takes = |element| matches!(element, ElementType::I64 | ElementType::I32);
        self.element(operand, takes, "i64 or i32")
    }

    /// Every operand has the element type of the first.
    pub(crate) fn same_elements(&self) -> Checked<ElementType> {
        let first = self.ty(0).element;
        for (operand, given) in self.operands.iter().enumerate() {
            if given.ty.element != first {
                return Err(InferErrorKind::Element {
                    operand,
                    expected: format!("{first} like operand 0"),
                    actual: given.ty.element,
                });
            }
        }
        Ok(first)
    }

    pub(crate) fn rank_at_least(&self, operand: usize, rank: usize) -> Checked<()> {
        if self.shape(operand).len() < rank {
            return Err(self.shape_error(operand, format!("at least {rank} axes")));
        }
        Ok(())
    }

    pub(crate) fn axis(&self, attribute: &'static str, axis: usize, rank: usize) -> Checked<()> {
        if axis < rank {
            return Ok(());
        }
        Err(attribute_error(attribute, format!("below the rank {rank}"), axis))
    }

    /// One size for two axes that must agree; prefers the known one. Fails when the bounds rule out equality.
    pub(crate) fn unify(&self, left: &Dim, right: &Dim) -> Option<Dim> {
        unify(left, right, self.symbols)
    }

    pub(crate) fn show(&self, shape: &[Dim]) -> String {
        show_shape(shape, self.symbols)
    }
}

pub(crate) fn attribute_error(
    attribute: &'static str,
    expected: impl Into<String>,
    actual: impl ToString,
) -> InferErrorKind {
    InferErrorKind::Attribute { attribute, expected: expected.into(), actual: actual.to_string() }
}

fn unify(left: &Dim, right: &Dim, symbols: &Symbols) -> Option<Dim> {
    if left == right {
        return Some(left.clone());
    }
    if left.differs_from(right, symbols) {
        return None;
    }
    Some(if right.as_const().is_some() { right } else { left }.clone())
}

/// The shape that both broadcast to under numpy's rules. A size of more than one wins over a free one, which then has
/// to be the same or one when the model runs; two different free sizes do not broadcast.
pub fn broadcast(left: &[Dim], right: &[Dim], symbols: &Symbols) -> Result<Vec<Dim>, InferErrorKind> {
    let rank = left.len().max(right.len());
    let one = Dim::Const(1);
    let size = |shape: &[Dim], axis: usize| -> Dim {
        (axis + shape.len()).checked_sub(rank).map_or_else(|| one.clone(), |axis| shape[axis].clone())
    };
    (0..rank)
        .map(|axis| broadcast_size(size(left, axis), size(right, axis), symbols))
        .collect::<Option<Vec<Dim>>>()
        .ok_or_else(|| {
            let bounds = (0..rank).find_map(|axis| bound_of(&size(left, axis), &size(right, axis), symbols));
            InferErrorKind::Broadcast {
                left: show_shape(left, symbols),
                right: show_shape(right, symbols),
                advice: bounds.unwrap_or_else(|| "bind them with --dim".to_owned()),
            }
        })
}

/// The bound under which two sizes would be one, where one is the smaller of a free dim and a number: rows cut from a table.
fn bound_of(left: &Dim, right: &Dim, symbols: &Symbols) -> Option<String> {
    [(left, right), (right, left)].into_iter().find_map(|(free, cut)| {
        let (symbol, (_, most)) = (free.as_symbol()?, cut.range(symbols));
        let (most, name) = (most?, symbols.name(symbol));
        let is_cut = free.min(&Dim::Const(most)).is_ok_and(|least| least == *cut);
        let (low, _) = symbols.bounds(symbol);
        is_cut.then(|| format!("{name} may be at most {most} here: --dim {name}={low}..{most}"))
    })
}

fn broadcast_size(left: Dim, right: Dim, symbols: &Symbols) -> Option<Dim> {
    let fits = |free: &Dim, size: u64| {
        let (low, high) = free.range(symbols);
        let allows = |wanted| low <= wanted && high.is_none_or(|high| wanted <= high);
        allows(size) || allows(1)
    };
    match (left.as_const(), right.as_const()) {
        _ if left == right => Some(left),
        (Some(1), _) => Some(right),
        (_, Some(1)) => Some(left),
        (Some(size), None) if fits(&right, size) => Some(left),
        (None, Some(size)) if fits(&left, size) => Some(right),
        _ => None,
    }
}

/// Most elements of a value, a terabyte and more: no device holds such a tensor.
pub const MAX_ELEMENTS: u64 = 1 << 40;

/// A type that cannot be addressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ty} is too large: at most 2^40 elements and 2^31 - 1 along an axis can be compiled{}", self.advice())]
pub struct TooLarge {
    /// Its shape and element.
    pub ty: String,
    /// The dims that its sizes depend on, and the largest size that each may have.
    pub dims: Vec<(String, u64)>,
}

impl TooLarge {
    fn advice(&self) -> String {
        if self.dims.is_empty() {
            return String::new();
        }
        let dims: Vec<String> =
            self.dims.iter().map(|(name, high)| format!("`{name}` may be up to {high}")).collect();
        format!(
            "; {}: lower the bound of a dim (--dim NAME=LO..HI, or --bound NAME=N where data decide it)",
            dims.join(" and ")
        )
    }
}

/// Fails unless the sizes multiply to at most [`MAX_ELEMENTS`], those of an empty tensor beside its zeros too, and each axis can be
/// counted in 32 bits. A size that is free is the largest that its bounds allow; one without bounds is not counted.
pub(crate) fn check_addressable(ty: &TensorType, symbols: &Symbols) -> Result<(), TooLarge> {
    let sizes = || ty.shape.iter().filter_map(|dim| largest(dim, symbols)).filter(|&size| size > 0);
    let count = sizes().try_fold(1u64, |count, size| count.checked_mul(size));
    if count.is_some_and(|count| count <= MAX_ELEMENTS) && sizes().all(|size| size <= i32::MAX as u64) {
        return Ok(());
    }
    let free: BTreeSet<SymbolId> = ty.shape.iter().flat_map(Dim::symbols).collect();
    let high = |symbol: SymbolId| {
        let symbol = symbols.get(symbol)?;
        Some((symbol.dim().to_owned(), symbol.high?.saturating_mul(symbol.step())))
    };
    Err(TooLarge { ty: ty.display(symbols).to_string(), dims: free.into_iter().filter_map(high).collect() })
}

/// The largest that a size may be, or more; `None` where it depends on a dim without bounds.
fn largest(dim: &Dim, symbols: &Symbols) -> Option<u64> {
    if dim.symbols().any(|symbol| symbols.bounds(symbol).1.is_none()) {
        return None;
    }
    // What the bounds do not tell leaves 64 bits on the way.
    Some(dim.range(symbols).1.unwrap_or(u64::MAX))
}

/// Types of a node's results, epilogue included. `operands` are the node's inputs, then the epilogue's operands.
pub fn infer_node(
    op: &super::Op,
    epilogue: &super::Epilogue,
    operands: &[Operand<'_>],
    symbols: &Symbols,
) -> Result<Vec<TensorType>, InferErrorKind> {
    let inputs = operands.len().checked_sub(epilogue.operands.len());
    let Some((inputs, extra)) = inputs.map(|inputs| operands.split_at(inputs)) else {
        return Err(InferErrorKind::OperandCount {
            expected: format!("{} or more", epilogue.operands.len()),
            actual: operands.len(),
        });
    };
    let mut types = op.infer(inputs, symbols)?;
    if let Some(first) = types.first_mut() {
        first.element = epilogue.infer(first, extra, symbols)?;
    }
    for ty in &types {
        check_addressable(ty, symbols).map_err(InferErrorKind::TooLarge)?;
    }
    Ok(types)
}
