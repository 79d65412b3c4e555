//! What becomes of each op where data decide the size of an axis.

use super::numbers::binary;
use super::{Padded, Padder, Refusal};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{
    BinaryOp, Concat, Gather, MatMul, Pad, PadMode, Reduce, ReduceKind, ScalarOp, Slice, Update,
};
use drift_ir::{Dim, ElementType, Node, NodeId, Op, Tensor, ValueId};

fn mixes<T>(axis: usize, reason: &str) -> Padded<T> {
    Err(Refusal::Mixes { axis, reason: reason.to_owned() })
}

/// What the op does with the other places is not known to be harmless.
const UNKNOWN: &str = "the operation would mix values that are meant with others behind them; cut the model before it (--outputs)";

impl Padder<'_> {
    /// Makes a node compute the same with all places as with those that are meant.
    pub(super) fn pad(&mut self, id: NodeId) -> Padded<()> {
        let node = self.graph.node(id).clone();
        // What makes a counted axis of others: a slice or an expansion from the front on, which is right, or one of these.
        let may_make = matches!(node.op, Op::Reshape(_) | Op::Resize(_));
        let reads = node.inputs.iter().chain(node.outputs.iter().filter(|_| may_make));
        let reads_counted = reads.copied().any(|value| !self.counted_axes(value).is_empty());
        match &node.op {
            Op::Range(_) => {}
            _ if !reads_counted => return Ok(()),
            Op::Elementwise(_) => self.aligned(id, &node.inputs)?,
            Op::ShapeOf(op) => {
                let sizes = self.shape(node.inputs[0])[op.start..op.end].to_vec();
                if sizes.iter().any(|size| self.numbers.decide(size)) {
                    let sizes = self.vector(id, &sizes)?;
                    self.graph.replace_uses(node.outputs[0], sizes)?;
                }
            }
            Op::MatMul(op) => self.matmul(id, &node.inputs, *op)?,
            Op::Reduce(op) => self.reduce(id, op)?,
            Op::Softmax(op) => {
                let lowest = f64::NEG_INFINITY;
                self.mask_operand(id, 0, &[op.axis], lowest)?;
            }
            Op::ArgReduce(op) => {
                if op.last && self.counted_axes(node.inputs[0]).contains(&op.axis) {
                    return mixes(op.axis, "of equals the last one is not supported");
                }
                let element = self.graph.value(node.inputs[0]).ty.element;
                self.mask_operand(id, 0, &[op.axis], extreme(element, op.largest))?;
            }
            Op::CumSum(op) if op.reverse => self.mask_operand(id, 0, &[op.axis], 0.0)?,
            Op::CumSum(_) | Op::Transpose(_) => {}
            Op::Expand(_) => self.aligned(id, &node.inputs)?,
            Op::Reshape(op) => {
                let from = self.shape(node.inputs[0]);
                if let Some(axis) = self.scattered(&from, &op.shape)? {
                    return mixes(
                        axis,
                        "the reshape would put others between values that are meant; cut the model before it (--outputs)",
                    );
                }
            }
            Op::Slice(op) => self.slice(&node, op)?,
            Op::Concat(op) => self.concat(id, *op)?,
            Op::Pad(op) => self.check_pad(node.inputs[0], op)?,
            Op::Gather(op) => self.gather(id, op.axis)?,
            Op::GatherElements(op) => self.gather(id, op.axis)?,
            Op::GatherNd(op) => self.gather_nd(id, op.batch_dims)?,
            Op::ScatterElements(op) => self.scatter_elements(id, op.axis, op.update)?,
            Op::ScatterNd(op) => self.scatter_nd(id, op.update)?,
            Op::TopK(_) => self.only(&node.inputs, |rank, axis| axis + 1 < rank)?,
            Op::LayerNorm(op) => self.only_first(&node.inputs, |axis| axis < op.axis)?,
            Op::RmsNorm(op) => self.only_first(&node.inputs, |axis| axis < op.axis)?,
            Op::Resize(op) => {
                let counted = self.counted_axes(node.outputs[0]);
                if let Some(resized) = op.axes.iter().find(|resized| counted.contains(&resized.axis)) {
                    return mixes(resized.axis, UNKNOWN);
                }
                self.only_first(&node.inputs, |axis| op.axes.iter().all(|resized| resized.axis != axis))?;
            }
            Op::Conv(_) | Op::ConvTranspose(_) | Op::Pool(_) | Op::GroupNorm(_) => {
                self.only_first(&node.inputs, |axis| axis == 0)?;
            }
            Op::Suppress(_) => self.only(&node.inputs, |_, _| false)?,
            Op::Attention(_) | Op::Rotary(_) | Op::WriteRows(_) => self.only(&node.inputs, |_, _| false)?,
        }
        Ok(())
    }

    /// Refuses counted axes but those that are allowed.
    fn only(&self, inputs: &[ValueId], allowed: impl Fn(usize, usize) -> bool) -> Padded<()> {
        for &input in inputs {
            let rank = self.shape(input).len();
            if let Some(&axis) = self.counted_axes(input).iter().find(|&&axis| !allowed(rank, axis)) {
                return mixes(axis, UNKNOWN);
            }
        }
        Ok(())
    }

    /// The same, all of them of the first operand.
    fn only_first(&self, inputs: &[ValueId], allowed: impl Fn(usize) -> bool) -> Padded<()> {
        self.only(&inputs[..1], |_, axis| allowed(axis))?;
        self.only(&inputs[1..], |_, _| false)
    }

    /// Refuses operands that broadcast to another size than one that data decide: it would only be right by chance.
    fn aligned(&self, id: NodeId, inputs: &[ValueId]) -> Padded<()> {
        let result = self.shape(self.graph.node(id).outputs[0]);
        for &input in inputs {
            let shape = self.shape(input);
            let skipped = result.len() - shape.len();
            if let Some(axis) =
                self.counted_axes(input).into_iter().find(|&axis| shape[axis] != result[skipped + axis])
            {
                return mixes(
                    axis,
                    "another operand has another size there, and whether they are equal is not known",
                );
            }
        }
        Ok(())
    }

    /// Masks an operand along those of these axes that data decide.
    fn mask_operand(&mut self, id: NodeId, operand: usize, axes: &[usize], fill: f64) -> Padded<()> {
        let mut inputs = self.graph.node(id).inputs.clone();
        let counted = self.counted_axes(inputs[operand]);
        let axes: Vec<usize> = axes.iter().copied().filter(|axis| counted.contains(axis)).collect();
        if axes.is_empty() {
            return Ok(());
        }
        inputs[operand] = self.masked(id, inputs[operand], &axes, fill)?;
        Ok(self.graph.set_inputs(id, &inputs)?)
    }

    /// Zeros in both factors where they are summed over what is not meant: in one alone they would meet infinities of the other.
    fn matmul(&mut self, id: NodeId, inputs: &[ValueId], op: MatMul) -> Padded<()> {
        let (a, b) = (self.shape(inputs[0]), self.shape(inputs[1]));
        let (inner, other) = (a.len() - 1, b.len() - if op.transpose_b { 1 } else { 2 });
        if a[inner] != b[other] {
            let axis = if self.numbers.decide(&a[inner]) { inner } else { other };
            return mixes(
                axis,
                "the other factor has another size there, and whether they are equal is not known",
            );
        }
        let result = self.shape(self.graph.node(id).outputs[0]);
        for (&input, shape) in inputs.iter().zip([&a, &b]) {
            let batches = shape.len() - 2;
            let skipped = result.len() - shape.len();
            let differs = |&axis: &usize| axis < batches && shape[axis] != result[skipped + axis];
            if let Some(axis) = self.counted_axes(input).into_iter().find(|axis| differs(axis)) {
                return mixes(
                    axis,
                    "the other factor has another size there, and whether they are equal is not known",
                );
            }
        }
        self.mask_operand(id, 0, &[inner], 0.0)?;
        self.mask_operand(id, 1, &[other], 0.0)
    }

    /// What changes no result of the reduction behind what is meant; a mean is a sum over the count.
    fn reduce(&mut self, id: NodeId, op: &Reduce) -> Padded<()> {
        let (x, result) = (self.graph.node(id).inputs[0], self.graph.node(id).outputs[0]);
        let shape = self.shape(x);
        let counted: Vec<usize> =
            self.counted_axes(x).into_iter().filter(|axis| op.axes.contains(axis)).collect();
        let element = self.graph.value(x).ty.element;
        let fill = match op.kind {
            ReduceKind::Sum | ReduceKind::Mean | ReduceKind::L2 => 0.0,
            ReduceKind::Prod => 1.0,
            ReduceKind::Max => extreme(element, true),
            ReduceKind::Min => extreme(element, false),
        };
        if counted.is_empty() || op.kind != ReduceKind::Mean {
            return self.mask_operand(id, 0, &counted, fill);
        }
        let masked = self.masked(id, x, &counted, 0.0)?;
        let sum = Op::Reduce(Reduce { kind: ReduceKind::Sum, ..op.clone() });
        let sum = self.before(id, sum, &[masked])?;
        let reduced: Vec<Dim> = op.axes.iter().map(|&axis| shape[axis].clone()).collect();
        let count = self.number(id, &drift_ir::tensor::product(&reduced)?)?;
        let count = self.before(id, Op::Elementwise(ScalarOp::Cast(element)), &[count])?;
        let mean = self.before(id, binary(BinaryOp::Div), &[sum, count])?;
        Ok(self.graph.replace_uses(result, mean)?)
    }

    /// The first axis whose places a reshape would not leave in front: within a group of axes that become others, what data decide must
    /// be outermost before and after.
    fn scattered(&self, from: &[Dim], to: &[Dim]) -> Padded<Option<usize>> {
        let (mut a, mut b) = (0, 0);
        while a < from.len() || b < to.len() {
            let (mut next, mut ends) = (None, Vec::new());
            for end in a..=from.len() {
                for other in b..=to.len() {
                    if end + other > a + b {
                        ends.push((end, other));
                    }
                }
            }
            ends.sort_by_key(|(end, other)| end + other);
            for (end, other) in ends {
                if drift_ir::tensor::product(&from[a..end])? == drift_ir::tensor::product(&to[b..other])? {
                    next = Some((end, other));
                    break;
                }
            }
            let Some((end, other)) = next else { return Ok(Some(a.min(from.len().saturating_sub(1)))) };
            if !self.leads(&from[a..end]) || !self.leads(&to[b..other]) {
                return Ok(Some(a.min(from.len().saturating_sub(1))));
            }
            (a, b) = (end, other);
        }
        Ok(None)
    }

    /// Whether in a group of axes only the outermost but ones has a size that data decide.
    fn leads(&self, group: &[Dim]) -> bool {
        let mut sizes = group.iter().filter(|size| **size != Dim::Const(1));
        sizes.next();
        !sizes.any(|size| self.numbers.decide(size))
    }

    /// A slice leaves what is meant in front if it walks up, and has a size that data decide itself, or is meant to have all places.
    fn slice(&self, node: &Node, op: &Slice) -> Padded<()> {
        let shape = self.shape(node.inputs[0]);
        for cut in op.axes.iter().filter(|cut| self.numbers.decide(&shape[cut.axis])) {
            if cut.step < 0 || !(self.numbers.decide(&cut.count) || self.whole.contains(&node.outputs[0])) {
                return mixes(cut.axis, UNKNOWN);
            }
        }
        Ok(())
    }

    /// Joined parts whose places that are not meant are taken out from between them.
    fn concat(&mut self, id: NodeId, op: Concat) -> Padded<()> {
        let node = self.graph.node(id).clone();
        let result = self.shape(node.outputs[0]);
        let shapes: Vec<Vec<Dim>> = node.inputs.iter().map(|&input| self.shape(input)).collect();
        for shape in &shapes {
            let differs = |axis: usize| axis != op.axis && shape[axis] != result[axis];
            if let Some(axis) =
                (0..result.len()).find(|&axis| differs(axis) && self.numbers.decide(&shape[axis]))
            {
                return mixes(
                    axis,
                    "another part has another size there, and whether they are equal is not known",
                );
            }
        }
        let sizes: Vec<Dim> = shapes.iter().map(|shape| shape[op.axis].clone()).collect();
        let before_last = &sizes[..sizes.len() - 1];
        if !before_last.iter().any(|size| self.numbers.decide(size)) {
            return Ok(());
        }
        let total = &result[op.axis];
        let places = self.places(id, total)?;
        let (mut from, mut begin, mut stored) = (places, Dim::Const(0), 0_u64);
        for size in before_last {
            begin = begin.add(size)?;
            stored += self.largest(size)?;
            // Where this part begins, and how much further behind it is stored.
            let starts = self.number(id, &begin)?;
            let stored = self.integers(&[], &[i64::try_from(stored).unwrap_or(i64::MAX)])?;
            let gap = self.before(id, binary(BinaryOp::Sub), &[stored, starts])?;
            let moved = self.before(id, binary(BinaryOp::Add), &[places, gap])?;
            let is_there = self.before(id, binary(BinaryOp::GreaterOrEqual), &[places, starts])?;
            from = self.before(id, Op::Elementwise(ScalarOp::Select), &[is_there, moved, from])?;
        }
        let from = self.masked(id, from, &[0], 0.0)?;
        let joined = self.before(id, Op::Concat(op), &node.inputs)?;
        let close = self.before(id, Op::Gather(Gather { axis: op.axis }), &[joined, from])?;
        Ok(self.graph.replace_uses(node.outputs[0], close)?)
    }

    fn check_pad(&self, x: ValueId, op: &Pad) -> Padded<()> {
        let rank = self.shape(x).len();
        for axis in self.counted_axes(x) {
            let [begin, end] = [op.pads[axis], op.pads[rank + axis]];
            if end > 0 || begin > 0 && !matches!(op.mode, PadMode::Constant(_)) {
                return mixes(axis, UNKNOWN);
            }
        }
        Ok(())
    }

    /// Indices of an axis: from the end of what is meant where they are negative, and zero where they are not meant themselves.
    fn gather(&mut self, id: NodeId, axis: usize) -> Padded<()> {
        let (data, indices) = (self.graph.node(id).inputs[0], self.graph.node(id).inputs[1]);
        let size = self.shape(data)[axis].clone();
        let mut found = indices;
        if self.numbers.decide(&size) && self.may_be_negative(indices) {
            let size = self.number(id, &size)?;
            found = self.wrapped(id, found, size)?;
        }
        let axes = self.counted_axes(indices);
        found = self.masked(id, found, &axes, 0.0)?;
        Ok(self.graph.set_inputs(id, &[data, found])?)
    }

    fn may_be_negative(&self, indices: ValueId) -> bool {
        let constant = self.graph.constant(indices);
        constant.is_none_or(|indices| indices.to_i64_vec().into_iter().any(|index| index < 0))
    }

    /// Negative indices plus sizes, i64, that broadcast.
    fn wrapped(&mut self, id: NodeId, indices: ValueId, sizes: ValueId) -> Padded<ValueId> {
        let element = self.graph.value(indices).ty.element;
        let sizes = match element {
            ElementType::I64 => sizes,
            _ => self.before(id, Op::Elementwise(ScalarOp::Cast(element)), &[sizes])?,
        };
        let zero = Tensor::from_f64_as(element, [], &[0.0]);
        let zero = self.constant(zero.unwrap_or_else(|error| unreachable!("one element: {error}")))?;
        let is_negative = self.before(id, binary(BinaryOp::Less), &[indices, zero])?;
        let wrapped = self.before(id, binary(BinaryOp::Add), &[indices, sizes])?;
        self.before(id, Op::Elementwise(ScalarOp::Select), &[is_negative, wrapped, indices])
    }

    /// The same for tuples of indices of the axes from `first` on; where data decide one of their sizes, or `always`.
    fn tuples(
        &mut self,
        id: NodeId,
        (data, indices): (ValueId, ValueId),
        first: usize,
        always: bool,
    ) -> Padded<ValueId> {
        let shape = self.shape(indices);
        let width = shape.last().and_then(Dim::as_const).unwrap_or(0) as usize;
        let sizes = self.shape(data)[first..first + width].to_vec();
        if !always && !sizes.iter().any(|size| self.numbers.decide(size)) || !self.may_be_negative(indices) {
            return Ok(indices);
        }
        let sizes = self.vector(id, &sizes)?;
        self.wrapped(id, indices, sizes)
    }

    fn gather_nd(&mut self, id: NodeId, batch_dims: usize) -> Padded<()> {
        let (data, indices) = (self.graph.node(id).inputs[0], self.graph.node(id).inputs[1]);
        let (shape, own) = (self.shape(data), self.shape(indices));
        if let Some(axis) = (0..batch_dims).find(|&axis| shape[axis] != own[axis]) {
            return mixes(
                axis,
                "the indices have another size there, and whether they are equal is not known",
            );
        }
        let found = self.tuples(id, (data, indices), batch_dims, false)?;
        let axes = self.counted_axes(indices);
        let found = self.masked(id, found, &axes, 0.0)?;
        Ok(self.graph.set_inputs(id, &[data, found])?)
    }

    fn scatter_elements(&mut self, id: NodeId, axis: usize, update: Update) -> Padded<()> {
        let inputs = self.graph.node(id).inputs.clone();
        let size = self.shape(inputs[0])[axis].clone();
        let mut indices = inputs[1];
        let is_moved = self.numbers.decide(&size) || !self.counted_axes(indices).is_empty();
        if is_moved && self.may_be_negative(indices) {
            let size = self.number(id, &size)?;
            indices = self.wrapped(id, indices, size)?;
        }
        self.scatter(id, (inputs[0], indices, inputs[2]), axis, update)
    }

    fn scatter_nd(&mut self, id: NodeId, update: Update) -> Padded<()> {
        let inputs = self.graph.node(id).inputs.clone();
        let always = !self.counted_axes(inputs[1]).is_empty();
        let indices = self.tuples(id, (inputs[0], inputs[1]), 0, always)?;
        self.scatter(id, (inputs[0], indices, inputs[2]), 0, update)
    }

    /// Updates that are not meant go to a row of their own behind the data, which is cut off again.
    fn scatter(
        &mut self,
        id: NodeId,
        (data, indices, updates): (ValueId, ValueId, ValueId),
        axis: usize,
        update: Update,
    ) -> Padded<()> {
        let counted = self.counted_axes(indices);
        if counted.is_empty() {
            if let (Some(&axis), []) = (self.counted_axes(updates).first(), &self.counted_axes(data)[..]) {
                return mixes(axis, UNKNOWN);
            }
            return Ok(self.graph.set_inputs(id, &[data, indices, updates])?);
        }
        let result = self.graph.node(id).outputs[0];
        let op = self.graph.node(id).op.clone();
        let shape = self.shape(data);
        let size = shape[axis].clone();
        let stored = self.largest(&size)?;
        let mut pads = vec![0; 2 * shape.len()];
        pads[shape.len() + axis] = 1;
        let mode = PadMode::Constant(if update == Update::Mul { 1.0 } else { 0.0 });
        let longer = self.before(id, Op::Pad(Pad { mode, pads }), &[data])?;
        let indices = self.masked(id, indices, &counted, stored as f64)?;
        let indices = match op {
            // Of a tuple only the first index may be beyond its axis.
            Op::ScatterNd(_) => self.clamped(id, indices, &shape)?,
            _ => indices,
        };
        let written = self.before(id, op, &[longer, indices, updates])?;
        let cut = SliceAxis { axis, start: 0, step: 1, count: size };
        let kept = self.before(id, Op::Slice(Slice { axes: vec![cut] }), &[written])?;
        Ok(self.graph.replace_uses(result, kept)?)
    }

    /// Tuples whose indices but the first are within the data.
    fn clamped(&mut self, id: NodeId, indices: ValueId, shape: &[Dim]) -> Padded<ValueId> {
        let own = self.shape(indices);
        let width = own.last().and_then(Dim::as_const).unwrap_or(1) as usize;
        let mut most = Vec::with_capacity(width);
        for (axis, size) in shape[..width].iter().enumerate() {
            let size = self.largest(size)?;
            most.push(
                i64::try_from(if axis == 0 { size } else { size.saturating_sub(1) }).unwrap_or(i64::MAX),
            );
        }
        let element = self.graph.value(indices).ty.element;
        let most = Tensor::from_i64_as(element, [width as u64], &most);
        let most =
            self.constant(most.unwrap_or_else(|error| unreachable!("an index for each axis: {error}")))?;
        self.before(id, binary(BinaryOp::Min), &[indices, most])
    }

    /// A range whose length or numbers data decide: `start + delta * (0, 1, ..)`.
    pub(super) fn range(&mut self, id: NodeId) -> Padded<()> {
        let node = self.graph.node(id).clone();
        if !matches!(node.op, Op::Range(_)) {
            return Ok(());
        }
        let length = self.shape(node.outputs[0])[0].clone();
        let is_counted = |value: &ValueId| {
            let ints = self.graph.known_ints(*value).unwrap_or_default();
            ints.iter().any(|int| Dim::try_from(int.clone()).is_ok_and(|dim| self.numbers.decide(&dim)))
        };
        if !self.numbers.decide(&length) && !node.inputs.iter().any(is_counted) {
            return Ok(());
        }
        let element = self.graph.value(node.outputs[0]).ty.element;
        let places = match length.as_const() {
            Some(length) => self.up_to(id, length)?,
            None => self.places(id, &length)?,
        };
        let places = match element {
            ElementType::I64 => places,
            _ => self.before(id, Op::Elementwise(ScalarOp::Cast(element)), &[places])?,
        };
        let steps = self.before(id, binary(BinaryOp::Mul), &[places, node.inputs[2]])?;
        let made = self.before(id, binary(BinaryOp::Add), &[steps, node.inputs[0]])?;
        Ok(self.graph.replace_uses(node.outputs[0], made)?)
    }
}

/// The lowest or the highest number of a type, as devices hold it.
pub(crate) fn extreme(element: ElementType, lowest: bool) -> f64 {
    let of = |low: f64, high: f64| if lowest { low } else { high };
    match element {
        ElementType::F32 | ElementType::F16 | ElementType::F64 => of(f64::NEG_INFINITY, f64::INFINITY),
        ElementType::I64 | ElementType::I32 => of(i32::MIN.into(), i32::MAX.into()),
        ElementType::I8 => of(i8::MIN.into(), i8::MAX.into()),
        ElementType::U8 => of(0.0, u8::MAX.into()),
        ElementType::I16 => of(i16::MIN.into(), i16::MAX.into()),
        ElementType::U16 => of(0.0, u16::MAX.into()),
        ElementType::U32 | ElementType::U64 => of(0.0, u32::MAX.into()),
        ElementType::Bool => of(0.0, 1.0),
    }
}
