//! Sequences and optionals whose contents are known while a model is imported.
//!
//! Old exporters write lists of tensors as sequences: `SplitToSequence`, then `SequenceAt` or `ConcatFromSequence`. Where
//! lengths and positions are constant no sequence remains. Others are refused by the node that needs them.

use crate::budget::{Resource, SEQUENCE};
use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::node::NodeCx;
use crate::ops::axis;
use crate::proto::NodeProto;
use crate::scope::{Scope, Slot};
use drift_ir::op::{Concat, Slice, data::SliceAxis};
use drift_ir::{Dim, Op, ValueId};

/// What a node of this file gives.
enum Made {
    Tensor(ValueId),
    Sequence(Vec<ValueId>),
    Same(Slot),
}

/// Operators of ONNX's own domain that make or read sequences or optionals.
pub(crate) const OPERATORS: [&str; 11] = [
    "ConcatFromSequence",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SplitToSequence",
];
/// What is refused of them.
pub(crate) const REFUSED: &str =
    "lengths and positions that are data; sequences as inputs or outputs of a model";

/// Whether an operator of ONNX's own domain makes or reads sequences or optionals.
pub(crate) fn is_operator(name: &str) -> bool {
    OPERATORS.contains(&name)
}

impl<'m> Importer<'m> {
    /// Imports one of these nodes; its operands are available.
    pub(crate) fn add_sequence_node(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
        opset: i64,
    ) -> Result<Vec<Slot>, ImportError> {
        let error = |reason| scope.error(node, reason);
        let items = operands.iter().map(|slot| self.sequence(*slot).map_or(0, <[ValueId]>::len) as u64).sum();
        self.budget.take(Resource::SequenceItems, items).map_err(|limit| error(limit.into()))?;
        let sequences: Vec<Option<Vec<ValueId>>> =
            operands.iter().map(|slot| self.sequence(*slot).map(<[ValueId]>::to_vec)).collect();
        let attributes = scope.attributes(node).map_err(error)?;
        let values = operands.iter().map(|slot| slot.value()).collect();
        let mut cx = NodeCx::new(self, node, scope, values, attributes, opset);
        let made = make(&mut cx, &node.op_type, operands, &sequences).map_err(error)?;
        if let Some(name) = cx.attributes.unread() {
            let reason = format!("attribute `{name}` is not known for operator set {opset}");
            return Err(error(NodeError::Unsupported(reason)));
        }
        if let Made::Tensor(value) = made {
            cx.name_results(&[value]);
        }
        Ok(vec![match made {
            Made::Tensor(value) => Slot::Value(value),
            Made::Same(slot) => slot,
            Made::Sequence(values) => {
                let items = self.budget.take(Resource::SequenceItems, values.len() as u64);
                items.map_err(|limit| error(limit.into()))?;
                self.sequences.push(values);
                Slot::Sequence(self.sequences.len() - 1)
            }
        }])
    }

    /// The tensors of a sequence.
    pub(crate) fn sequence(&self, slot: Slot) -> Option<&[ValueId]> {
        match slot {
            Slot::Sequence(index) => self.sequences.get(index).map(Vec::as_slice),
            Slot::Value(_) | Slot::Absent | Slot::Unavailable => None,
        }
    }
}

fn make(
    cx: &mut NodeCx<'_, '_>,
    name: &str,
    operands: &[Slot],
    sequences: &[Option<Vec<ValueId>>],
) -> Result<Made, NodeError> {
    let sequence = || match sequences.first() {
        Some(Some(sequence)) => Ok(sequence.clone()),
        _ => Err(NodeError::Operands("operand 0 is not a sequence".to_owned())),
    };
    Ok(match name {
        "SequenceEmpty" => {
            cx.attributes.ignore(&["dtype"]);
            Made::Sequence(Vec::new())
        }
        "SequenceConstruct" => {
            Made::Sequence((0..operands.len()).map(|at| cx.operand(at)).collect::<Result<_, _>>()?)
        }
        "SequenceLength" => {
            let length = sequence()?.len() as i64;
            Made::Tensor(cx.constant_i64(&[], &[length])?)
        }
        "SequenceAt" => {
            let sequence = sequence()?;
            Made::Tensor(sequence[position(cx, 1, sequence.len())?])
        }
        "SequenceErase" => {
            let mut sequence = sequence()?;
            let at = match cx.optional(1) {
                Some(_) => position(cx, 1, sequence.len())?,
                None => sequence.len().checked_sub(1).ok_or_else(empty)?,
            };
            sequence.remove(at);
            Made::Sequence(sequence)
        }
        "SequenceInsert" => {
            let mut sequence = sequence()?;
            let at = if cx.optional(2).is_some() { place(cx, 2, sequence.len())? } else { sequence.len() };
            sequence.insert(at, cx.operand(1)?);
            Made::Sequence(sequence)
        }
        "SplitToSequence" => Made::Sequence(split(cx)?),
        "ConcatFromSequence" => Made::Tensor(concat(cx, sequence()?)?),
        // An optional is what is in it.
        "Optional" if operands.is_empty() => {
            cx.attributes.ignore(&["type"]);
            Made::Same(Slot::Absent)
        }
        "Optional" | "OptionalGetElement" => {
            cx.attributes.ignore(&["type"]);
            match operands.first() {
                Some(&slot) if slot != Slot::Absent => Made::Same(slot),
                _ => return Err(NodeError::Operands("the optional is empty".to_owned())),
            }
        }
        _ => {
            let is_there = operands.first().is_some_and(|slot| *slot != Slot::Absent);
            Made::Tensor(cx.constant(drift_ir::Tensor::scalar_bool(is_there))?)
        }
    })
}

fn empty() -> NodeError {
    NodeError::Operands("the sequence is empty".to_owned())
}

/// A constant position, which may count from the end.
fn position(cx: &NodeCx<'_, '_>, operand: usize, count: usize) -> Result<usize, NodeError> {
    resolved(cx, operand, |given| axis(given, count).ok(), count)
}

/// The constant place of a new item, which one that counts from the end is put before: -1 is before the last.
fn place(cx: &NodeCx<'_, '_>, operand: usize, count: usize) -> Result<usize, NodeError> {
    let end = |given| (usize::try_from(given).ok()? == count).then_some(count);
    resolved(cx, operand, |given| axis(given, count).ok().or_else(|| end(given)), count + 1)
}

fn resolved(
    cx: &NodeCx<'_, '_>,
    operand: usize,
    place: impl Fn(i64) -> Option<usize>,
    count: usize,
) -> Result<usize, NodeError> {
    let given = cx.operand(operand)?;
    match cx.constant_ints(given, "position")?[..] {
        [given] => place(given).ok_or_else(|| NodeError::Value {
            name: "position",
            value: given.to_string(),
            expected: format!("one of {count} places"),
        }),
        _ => Err(NodeError::Operands("the position is not one number".to_owned())),
    }
}

/// SplitToSequence, since 11: parts of the sizes given, or of one size but for the last; without sizes parts of one
/// element, whose axis `keepdims` 0 drops.
fn split(cx: &mut NodeCx<'_, '_>) -> Result<Vec<ValueId>, NodeError> {
    let x = cx.operand(0)?;
    let axis = axis(cx.attributes.int("axis")?.unwrap_or(0), cx.rank(x))?;
    let keeps = cx.attributes.flag("keepdims", true)?;
    let Dim::Const(size) = cx.shape(x)[axis] else {
        let reason = "the axis that is split has a free size; fix it with --dim";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    let sizes = match cx.optional(1) {
        None => vec![1; size.min(SEQUENCE) as usize],
        Some(given) => {
            let is_scalar = cx.rank(given) == 0;
            let given = cx.constant_ints(given, "split")?;
            part_sizes(&given, is_scalar, size)?
        }
    };
    if sizes.iter().try_fold(0u64, |sum, &part| sum.checked_add(part)) != Some(size) {
        let expected = format!("at most {SEQUENCE} sizes with the sum {size}");
        return Err(NodeError::Value { name: "split", value: format!("{} sizes", sizes.len()), expected });
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for part in sizes {
        let cut =
            SliceAxis { axis, start: if part == 0 { 0 } else { start }, step: 1, count: Dim::Const(part) };
        let mut y = cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[x])?;
        if !keeps && cx.optional(1).is_none() {
            let mut shape = cx.shape(y);
            shape.remove(axis);
            y = cx.reshape(y, shape)?;
        }
        parts.push(y);
        start += part;
    }
    Ok(parts)
}

fn part_sizes(given: &[i64], is_scalar: bool, size: u64) -> Result<Vec<u64>, NodeError> {
    let bad = || NodeError::Value {
        name: "split",
        value: format!("{given:?}"),
        expected: format!("sizes, or one positive size for all of at most {SEQUENCE} parts"),
    };
    let sizes: Vec<u64> =
        given.iter().map(|&part| u64::try_from(part)).collect::<Result<_, _>>().map_err(|_| bad())?;
    match (is_scalar, &sizes[..]) {
        (false, _) => Ok(sizes),
        (true, &[part]) if part > 0 && size / part < SEQUENCE => {
            let mut parts = vec![part; (size / part) as usize];
            if !size.is_multiple_of(part) {
                parts.push(size % part);
            }
            Ok(parts)
        }
        (true, _) => Err(bad()),
    }
}

/// ConcatFromSequence, since 11: joined along an axis, or along a new one.
fn concat(cx: &mut NodeCx<'_, '_>, sequence: Vec<ValueId>) -> Result<ValueId, NodeError> {
    let given = cx.attributes.int("axis")?.ok_or(NodeError::MissingAttribute("axis"))?;
    let adds = cx.attributes.flag("new_axis", false)?;
    let first = *sequence.first().ok_or_else(empty)?;
    let axis = axis(given, cx.rank(first) + usize::from(adds))?;
    let mut parts = sequence;
    if let Some(other) = parts.iter().find(|&&part| cx.rank(part) != cx.rank(first)) {
        let (one, other) = (cx.rank(first), cx.rank(*other));
        return Err(NodeError::Operands(format!("the sequence has tensors of ranks {one} and {other}")));
    }
    if adds {
        for part in &mut parts {
            *part = cx.insert_axis(*part, axis)?;
        }
    }
    match parts[..] {
        [only] => Ok(only),
        _ => cx.emit(Op::Concat(Concat { axis }), &parts),
    }
}
