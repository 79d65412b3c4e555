//! Counts and what follows from them, as values of the graph: each is made once, before the first node that asks for it.

use super::{Padded, Padder, Refusal};
use crate::bounds::RunTimeSize;
use drift_ir::dim::DimTerm;
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, Range, Reshape, ScalarOp, ShapeOf, Slice};
use drift_ir::{Dim, NodeId, Op, SymbolId, Tensor, ValueId};
use std::collections::HashMap;

/// The sizes that data decide, and what was computed from them.
pub(super) struct Numbers {
    sizes: HashMap<SymbolId, (ValueId, u64)>,
    scalars: HashMap<Dim, ValueId>,
    /// By the size, and the axes behind its own.
    masks: HashMap<(Dim, usize), ValueId>,
}

impl Numbers {
    pub(super) fn new(sizes: &[RunTimeSize]) -> Self {
        let sizes = sizes.iter().map(|size| (size.symbol, (size.count, size.bound))).collect();
        Self { sizes, scalars: HashMap::new(), masks: HashMap::new() }
    }

    /// Whether data decide a size.
    pub(super) fn decide(&self, dim: &Dim) -> bool {
        dim.symbols().any(|symbol| self.sizes.contains_key(&symbol))
    }

    /// The size with bounds in the place of counts; refused where it depends on free dims as well.
    fn largest(&self, dim: &Dim) -> Padded<u64> {
        if dim.symbols().any(|symbol| !self.sizes.contains_key(&symbol)) {
            return Err(Refusal::Free(dim.clone()));
        }
        Ok(dim.evaluate(|symbol| self.sizes.get(&symbol).map(|(_, bound)| *bound))?)
    }
}

pub(super) const fn binary(op: BinaryOp) -> Op {
    Op::Elementwise(ScalarOp::Binary(op))
}

impl Padder<'_> {
    pub(super) fn integers(&mut self, shape: &[u64], numbers: &[i64]) -> Padded<ValueId> {
        let tensor = Tensor::from_i64(shape, numbers);
        self.constant(
            tensor.unwrap_or_else(|error| unreachable!("as many numbers as the shape has: {error}")),
        )
    }

    /// A size as it is when the model runs, i64 `[]`.
    pub(super) fn number(&mut self, anchor: NodeId, dim: &Dim) -> Padded<ValueId> {
        if let Some(&known) = self.numbers.scalars.get(dim) {
            return Ok(known);
        }
        let terms = match dim {
            Dim::Const(size) => vec![DimTerm::Const(i64::try_from(*size).unwrap_or(i64::MAX))],
            Dim::Expr(terms) => terms.to_vec(),
        };
        let mut stack: Vec<ValueId> = Vec::new();
        for term in terms {
            let value = match term {
                DimTerm::Const(number) => self.integers(&[], &[number])?,
                DimTerm::Symbol(symbol) => match self.numbers.sizes.get(&symbol) {
                    Some((count, _)) => *count,
                    None => self.free(anchor, symbol)?,
                },
                word => {
                    let (Some(b), Some(a)) = (stack.pop(), stack.pop()) else {
                        return Err(drift_ir::dim::DimError::Malformed.into());
                    };
                    self.combined(anchor, word, a, b)?
                }
            };
            stack.push(value);
        }
        let value = stack.pop().ok_or(drift_ir::dim::DimError::Malformed)?;
        self.numbers.scalars.insert(dim.clone(), value);
        Ok(value)
    }

    /// The size with bounds in the place of counts.
    pub(super) fn largest(&self, dim: &Dim) -> Padded<u64> {
        self.numbers.largest(dim)
    }

    /// A free dim as it is when the model runs, i64 `[]`: an input has it as the size of an axis.
    fn free(&mut self, anchor: NodeId, symbol: SymbolId) -> Padded<ValueId> {
        let inputs = self.graph.inputs().iter();
        let place = inputs.flat_map(|&input| {
            let shape = &self.graph.value(input).ty.shape;
            let multiple = |dim: &Dim| dim.as_multiple().filter(|(of, _)| *of == symbol);
            shape.iter().enumerate().filter_map(move |(axis, dim)| Some((input, axis, multiple(dim)?.1)))
        });
        let Some((input, axis, times)) = place.min_by_key(|(_, _, times)| *times) else {
            return Err(Refusal::Free(Dim::symbol(symbol)));
        };
        let size = self.before(anchor, Op::ShapeOf(ShapeOf { start: axis, end: axis + 1 }), &[input])?;
        let mut size = self.before(anchor, Op::Reshape(Reshape { shape: Vec::new() }), &[size])?;
        if times > 1 {
            let times = self.integers(&[], &[i64::try_from(times).unwrap_or(i64::MAX)])?;
            size = self.before(anchor, binary(BinaryOp::Div), &[size, times])?;
        }
        self.numbers.scalars.insert(Dim::symbol(symbol), size);
        Ok(size)
    }

    fn combined(&mut self, anchor: NodeId, word: DimTerm, a: ValueId, b: ValueId) -> Padded<ValueId> {
        let op = match word {
            DimTerm::Add => BinaryOp::Add,
            DimTerm::Sub => BinaryOp::Sub,
            DimTerm::Mul => BinaryOp::Mul,
            DimTerm::Max => BinaryOp::Max,
            DimTerm::Min => BinaryOp::Min,
            DimTerm::FloorDiv => {
                // Division truncates; without the remainder it is exact.
                let rest = self.before(anchor, binary(BinaryOp::Mod), &[a, b])?;
                let exact = self.before(anchor, binary(BinaryOp::Sub), &[a, rest])?;
                return self.before(anchor, binary(BinaryOp::Div), &[exact, b]);
            }
            DimTerm::Const(_) | DimTerm::Symbol(_) => return Err(drift_ir::dim::DimError::Malformed.into()),
        };
        self.before(anchor, binary(op), &[a, b])
    }

    /// Sizes as they are when the model runs, i64 with one for each.
    pub(super) fn vector(&mut self, anchor: NodeId, dims: &[Dim]) -> Padded<ValueId> {
        let mut parts = Vec::with_capacity(dims.len());
        for dim in dims {
            let number = self.number(anchor, dim)?;
            let one = Op::Reshape(Reshape { shape: vec![Dim::Const(1)] });
            parts.push(self.before(anchor, one, &[number])?);
        }
        self.before(anchor, Op::Concat(Concat { axis: 0 }), &parts)
    }

    /// `0, 1, ..` below a number, i64.
    pub(super) fn up_to(&mut self, anchor: NodeId, end: u64) -> Padded<ValueId> {
        let end = i64::try_from(end).unwrap_or(i64::MAX);
        let numbers = [self.integers(&[], &[0])?, self.integers(&[], &[end])?, self.integers(&[], &[1])?];
        self.before(anchor, Op::Range(Range), &numbers)
    }

    /// `0, 1, ..` below a size, i64 with that size.
    pub(super) fn places(&mut self, anchor: NodeId, dim: &Dim) -> Padded<ValueId> {
        let most = self.largest(dim)?;
        let all = self.up_to(anchor, most.max(1))?;
        let cut = SliceAxis { axis: 0, start: 0, step: 1, count: dim.clone() };
        self.before(anchor, Op::Slice(Slice { axes: vec![cut] }), &[all])
    }

    /// Which places along an axis of this size are meant: bool, of that size with ones behind it.
    pub(super) fn mask(&mut self, anchor: NodeId, dim: &Dim, behind: usize) -> Padded<ValueId> {
        let key = (dim.clone(), behind);
        if let Some(&known) = self.numbers.masks.get(&key) {
            return Ok(known);
        }
        let (places, count) = (self.places(anchor, dim)?, self.number(anchor, dim)?);
        let mut mask = self.before(anchor, binary(BinaryOp::Less), &[places, count])?;
        if behind > 0 {
            let mut shape = vec![Dim::Const(1); behind + 1];
            shape[0] = dim.clone();
            mask = self.before(anchor, Op::Reshape(Reshape { shape }), &[mask])?;
        }
        self.numbers.masks.insert(key, mask);
        Ok(mask)
    }
}
