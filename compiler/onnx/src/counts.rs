//! Values whose sizes data decide, as operators make and read them: how many places, which of them are meant, and where.

use crate::bounds::{LARGEST_BOUND, MOST_PLACES, Places, RunTimeSize};
use crate::error::NodeError;
use crate::free::fixing_flags;
use crate::node::NodeCx;
use crate::warning::Warning;
use drift_ir::dim::IntExpr;
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Range, Reduce, ReduceKind, ScalarOp, ShapeOf, Slice, TopK};
use drift_ir::{Dim, ElementType, Op, Tensor, ValueId};

impl NodeCx<'_, '_> {
    /// How many places the first result gets where data decide its size. `most` is what there can be, where the operator tells. Of several
    /// such axes of one result each has a name of its own, the later ones with a number; the name without one is for all that have none.
    pub(crate) fn places(&mut self, most: Option<u64>) -> Result<Places, NodeError> {
        let (result, node) = (self.result_name().to_owned(), self.name().to_owned());
        let (own, own_node) = (self.symbol_name(&result), self.symbol_name(&node));
        let (given, key) = self.bounds_mut().ask(&[&own, &own_node, &result, &node]);
        let name = match key {
            Some(key) if key == node || key == own_node => own_node,
            Some(_) | None => own,
        };
        let flag = format!("--bound {name}=N");
        if let Some(given) = given.filter(|&given| given == 0 || given > LARGEST_BOUND) {
            let expected = format!("1 to {LARGEST_BOUND}");
            return Err(NodeError::Value { name: "--bound", value: given.to_string(), expected });
        }
        match (given, most) {
            (Some(given), most) => {
                let bound = most.map_or(given, |most| most.min(given));
                Ok(Places { name, bound, may_exceed: most.is_none_or(|most| most > bound) })
            }
            (None, Some(most)) if most <= MOST_PLACES => {
                if most > 0 {
                    self.warn(Warning::Bounded { value: name.clone(), bound: most });
                }
                Ok(Places { name, bound: most, may_exceed: false })
            }
            (None, Some(most)) => Err(NodeError::Unsupported(format!(
                "data decide how large its result is, up to {most}; say for how many there are to be places: {flag}"
            ))),
            (None, None) => Err(NodeError::Unsupported(format!(
                "data decide how large its result is; say for how many there are to be places: {flag}"
            ))),
        }
    }

    /// The size of an axis of so many places, of which `count` (i64 `[]`) are meant.
    pub(crate) fn counted(&mut self, places: &Places, count: ValueId) -> Result<Dim, NodeError> {
        let Places { name, bound, may_exceed } = places.clone();
        if bound == 0 {
            return Ok(Dim::Const(0));
        }
        let symbol = self.new_symbol(&name, bound);
        self.bounds_mut().sizes.push(RunTimeSize { name, symbol, count, bound, may_exceed });
        Ok(Dim::symbol(symbol))
    }

    /// Gives the axis of a value, which has all places, a size that was counted.
    pub(crate) fn cut_to(&mut self, x: ValueId, axis: usize, size: &Dim) -> Result<ValueId, NodeError> {
        if self.shape(x)[axis] == *size {
            return Ok(x);
        }
        let cut = SliceAxis { axis, start: 0, step: 1, count: size.clone() };
        self.emit(Op::Slice(Slice { axes: vec![cut] }), &[x])
    }

    /// A value with all places along axes whose sizes data decide; those that are not meant hold `fill`. A free size is refused.
    pub(crate) fn whole(
        &mut self,
        mut x: ValueId,
        axes: &[usize],
        fill: Option<f64>,
    ) -> Result<ValueId, NodeError> {
        for &axis in axes {
            let size = self.shape(x)[axis].clone();
            if size.as_const().is_some() {
                continue;
            }
            let Some(bound) = self.bounds().largest(&size) else {
                let flags = self.free_flags(std::slice::from_ref(&size));
                let reason = format!("axis {axis} has a free size; fix it with {flags}");
                return Err(NodeError::Unsupported(reason));
            };
            let count = self.axis_size(x, axis)?;
            x = self.cut_to(x, axis, &Dim::Const(bound))?;
            self.bounds_mut().whole.insert(x);
            if let Some(fill) = fill {
                let is_meant = self.below(bound, count)?;
                let mut along = vec![Dim::Const(1); self.rank(x)];
                along[axis] = Dim::Const(bound);
                let is_meant = self.reshape(is_meant, along)?;
                let fill = self.constant(Tensor::from_f64_as(self.element(x), [], &[fill])?)?;
                x = self.emit(Op::Elementwise(ScalarOp::Select), &[is_meant, x, fill])?;
            }
        }
        Ok(x)
    }

    /// What fixes the free dims that sizes depend on, as `--dim NAME=N` each.
    pub(crate) fn free_flags(&self, dims: &[Dim]) -> String {
        let free = dims.iter().flat_map(Dim::symbols).filter(|&symbol| !self.bounds().has(symbol));
        fixing_flags(self.symbols(), free)
    }

    /// The number that a scalar is, where it is known.
    pub(crate) fn known_number(&self, value: ValueId) -> Option<f64> {
        let ints = || Some(self.ints(value, "").ok()?.first()?.as_const()? as f64);
        self.constant_scalar(value).or_else(ints)
    }

    /// The size of an axis as a number, i64 `[]`.
    pub(crate) fn axis_size(&mut self, x: ValueId, axis: usize) -> Result<ValueId, NodeError> {
        match self.shape(x)[axis].as_const() {
            Some(size) => {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                self.constant_i64(&[], &[size])
            }
            None => {
                let size = self.emit(Op::ShapeOf(ShapeOf { start: axis, end: axis + 1 }), &[x])?;
                self.reshape(size, Vec::new())
            }
        }
    }

    /// `0, 1, ..` below a number, i64; a constant only where it is short.
    pub(crate) fn up_to(&mut self, bound: u64) -> Result<ValueId, NodeError> {
        let end = i64::try_from(bound).unwrap_or(i64::MAX);
        let [zero, end, one] =
            [self.constant_i64(&[], &[0])?, self.constant_i64(&[], &[end])?, self.constant_i64(&[], &[1])?];
        self.emit(Op::Range(Range), &[zero, end, one])
    }

    /// Whether each of 0, 1, .. below `bound` is below `count`: bool `[bound]`.
    pub(crate) fn below(&mut self, bound: u64, count: ValueId) -> Result<ValueId, NodeError> {
        let all = self.up_to(bound)?;
        self.binary(BinaryOp::Less, all, count)
    }

    /// The places of those that hold, in order, and how many hold: i64 `[places]`, with zeros behind them, and i64 `[]`. `flags` are bool
    /// `[n]`, of a known size of at least `places`.
    pub(crate) fn places_of(
        &mut self,
        flags: ValueId,
        places: &Places,
    ) -> Result<(ValueId, ValueId), NodeError> {
        let ones = self.cast(flags, ElementType::I32)?;
        let sum = Reduce { kind: ReduceKind::Sum, axes: vec![0], keep_dims: false };
        let count = self.emit(Op::Reduce(sum), &[ones])?;
        let count = self.cast(count, ElementType::I64)?;
        // Of equals the first comes first.
        let found = self.emit(Op::TopK(TopK { k: places.bound, largest: true }), &[ones])?;
        let found = self.zero_behind(found, places, count)?;
        Ok((found, count))
    }

    /// Integers `[places]` with zeros from `count` on.
    pub(crate) fn zero_behind(
        &mut self,
        x: ValueId,
        places: &Places,
        count: ValueId,
    ) -> Result<ValueId, NodeError> {
        let is_meant = self.below(places.bound, count)?;
        let zero = self.constant(Tensor::from_f64_as(self.element(x), [], &[0.0])?)?;
        self.emit(Op::Elementwise(ScalarOp::Select), &[is_meant, x, zero])
    }

    /// One of a list of integers, i64 `[]`; a constant where it is known, also beside others that are data.
    pub(crate) fn one_of(&mut self, mut list: ValueId, mut at: u64) -> Result<ValueId, NodeError> {
        while let Some(parts) = self.parts(list) {
            for (part, length) in parts {
                list = part;
                match at.checked_sub(length) {
                    Some(behind) => at = behind,
                    None => break,
                }
            }
        }
        let known = self.ints(list, "").ok().and_then(|ints| ints.get(at as usize)?.as_const());
        if let Some(known) = known {
            return self.constant_i64(&[], &[known]);
        }
        let cut = SliceAxis { axis: 0, start: at, step: 1, count: Dim::Const(1) };
        let one = self.emit(Op::Slice(Slice { axes: vec![cut] }), &[list])?;
        let one = self.cast(one, ElementType::I64)?;
        self.reshape(one, Vec::new())
    }

    /// Whether nothing of a value is known before the model runs.
    pub(crate) fn is_unknown(&self, value: ValueId) -> bool {
        self.constant_tensor(value).is_none() && self.ints(value, "").is_err()
    }

    /// Whether an operand is known but for sizes that data decide, or not at all: it is computed with when the model runs. One that depends
    /// on free dimensions is neither.
    pub(crate) fn is_data(&self, value: ValueId) -> bool {
        match self.ints(value, "").ok() {
            None => self.constant_tensor(value).is_none(),
            Some(ints) => ints.iter().any(|int| match int {
                IntExpr::Const(_) => false,
                IntExpr::Expr(_) => {
                    Dim::try_from(int.clone()).is_ok_and(|dim| self.bounds().largest(&dim).is_some())
                }
            }),
        }
    }
}
