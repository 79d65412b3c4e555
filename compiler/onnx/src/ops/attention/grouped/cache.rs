//! Present keys and values: the past, the new ones, zeros.

use super::{Dim, ElementType, First, NodeCx, NodeError, ROWS, Sizes, concat, counted, number, zero_rows};
use drift_ir::op::{BinaryOp, Expand, Gather, GatherElements, ScalarOp, WriteRows};
use drift_ir::{Op, ValueId};

/// Where each batch's keys begin and end.
#[derive(Clone, Copy)]
pub(super) struct Cache {
    /// The row of the first new key.
    pub(super) first: First,
    /// Valid rows where that is data, or fewer than there are keys: i32 `[batch, 1, 1, 1]`.
    pub(super) count: Option<ValueId>,
}

/// Keys or values.
pub(super) struct Joined {
    /// As the result of the node.
    pub(super) present: ValueId,
    /// As attention reads them: without rows that no query sees, where those are known.
    pub(super) seen: ValueId,
}

/// What `seqlens_k` says: the number of valid rows of each batch, less one.
pub(super) fn lengths(cx: &mut NodeCx<'_, '_>, sizes: Sizes) -> Result<Cache, NodeError> {
    let given = cx.operand(5)?;
    let batch = Dim::Const(sizes.batch);
    if let Some(position) = cx.cache_position().filter(|_| sizes.is_state) {
        // `seqlens_k` says the same: the mask shows what is there and what is new.
        let first = cx.reshape(position, vec![Dim::Const(1); 4])?;
        let new = number(cx, sizes.queries)?;
        let count = cx.binary(BinaryOp::Add, first, new)?;
        return Ok(Cache { first: First::Data(first), count: Some(count) });
    }
    if cx.product(&cx.shape(given))? != batch {
        let reason = format!("`seqlens_k` does not have one number for each of {} batches", sizes.batch);
        return Err(NodeError::Operands(reason));
    }
    let known = known(cx, sizes, given)?;
    let least = known.as_ref().and_then(|counts| counts.iter().min().copied());
    let most = known.as_ref().and_then(|counts| counts.iter().max().copied());
    let same = least.filter(|_| least == most);
    let shape = vec![batch, Dim::Const(1), Dim::Const(1), Dim::Const(1)];
    let one = number(cx, 1)?;
    let given = cx.cast(given, ElementType::I32)?;
    let given = cx.reshape(given, shape)?;
    let count = cx.binary(BinaryOp::Add, given, one)?;
    if sizes.is_first() {
        return Ok(Cache { first: First::Known(0), count: Some(count) });
    }
    if let Some(same) = same {
        return Ok(Cache { first: First::Known((same - sizes.queries) as i64), count: None });
    }
    let queries = number(cx, sizes.queries)?;
    let first = cx.binary(BinaryOp::Sub, count, queries)?;
    Ok(Cache { first: First::Data(first), count: Some(count) })
}

/// The numbers of valid rows, where they are constant.
fn known(cx: &NodeCx<'_, '_>, sizes: Sizes, given: ValueId) -> Result<Option<Vec<u64>>, NodeError> {
    let Some(tensor) = cx.constant_tensor(given) else { return Ok(None) };
    if !matches!(tensor.element(), ElementType::I32 | ElementType::I64) {
        return Ok(None);
    }
    let least = if sizes.is_first() { 1 } else { sizes.queries };
    let count = |given: i64| {
        let count = given.checked_add(1).and_then(|count| u64::try_from(count).ok());
        count.filter(|count| (least..=sizes.total).contains(count)).ok_or_else(|| NodeError::Value {
            name: "seqlens_k",
            value: given.to_string(),
            expected: format!("{} to {}", least.saturating_sub(1), sizes.total.saturating_sub(1)),
        })
    };
    tensor.to_i64_vec().into_iter().map(count).collect::<Result<_, _>>().map(Some)
}

/// Past rows, which are operand `past`, with the new ones at their place.
pub(super) fn joined(
    cx: &mut NodeCx<'_, '_>,
    sizes: Sizes,
    lengths: &Cache,
    past: usize,
    new: ValueId,
) -> Result<Joined, NodeError> {
    let past = cx.optional(past);
    if let Some((state, position)) = past.and_then(|past| cx.cache(past)).zip(cx.cache_position()) {
        if sizes.new_keys == 0 {
            let reason = "a layer that reads the cache of another is not supported with the cache as a state";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
        let write = Op::WriteRows(WriteRows { axis: ROWS, circular: false });
        let present = cx.emit(write, &[state.state, new, position])?;
        cx.write_cache(state.state, present);
        return Ok(Joined { present, seen: present });
    }
    match lengths.first {
        First::Known(first) => {
            let end = first as u64 + sizes.queries;
            let seen = match past {
                Some(past) => {
                    let kept = cx.part(past, ROWS, 0, end - sizes.new_keys)?;
                    concat(cx, ROWS, &[kept, new])?
                }
                None => new,
            };
            let rest = zero_rows(cx, new, sizes.present() - end)?;
            Ok(Joined { present: concat(cx, ROWS, &[seen, rest])?, seen })
        }
        First::Data(first) => {
            let present = gathered(cx, sizes, first, past, new)?;
            Ok(Joined { present, seen: present })
        }
    }
}

/// Rows picked one by one: of the past before `first`, then new ones, then zeros.
fn gathered(
    cx: &mut NodeCx<'_, '_>,
    sizes: Sizes,
    first: ValueId,
    past: Option<ValueId>,
    new: ValueId,
) -> Result<ValueId, NodeError> {
    let zero = zero_rows(cx, new, 1)?;
    let rows = match past {
        Some(past) => concat(cx, ROWS, &[past, new, zero])?,
        None => concat(cx, ROWS, &[new, zero])?,
    };
    let shape = [sizes.batch, 1].map(Dim::Const).to_vec();
    let first = cx.reshape(first, shape)?;
    let place = counted(cx, [1, sizes.present()])?;
    let new_rows = number(cx, sizes.queries)?;
    let end = cx.binary(BinaryOp::Add, first, new_rows)?;
    let is_past = cx.binary(BinaryOp::Less, place, if sizes.new_keys == 0 { end } else { first })?;
    let is_valid = cx.binary(BinaryOp::Less, place, end)?;
    let past_rows = number(cx, sizes.past)?;
    let behind = cx.binary(BinaryOp::Sub, place, first)?;
    let of_new = cx.binary(BinaryOp::Add, behind, past_rows)?;
    let of_zero = number(cx, sizes.past + sizes.new_keys)?;
    let select = Op::Elementwise(ScalarOp::Select);
    let row = cx.emit(select.clone(), &[is_valid, of_new, of_zero])?;
    let row = cx.emit(select, &[is_past, place, row])?;
    if sizes.batch == 1 {
        let row = cx.reshape(row, vec![Dim::Const(sizes.present())])?;
        return cx.emit(Op::Gather(Gather { axis: ROWS }), &[rows, row]);
    }
    let row = cx.reshape(row, [sizes.batch, 1, sizes.present(), 1].map(Dim::Const).to_vec())?;
    let shape = [sizes.batch, sizes.kv_heads, sizes.present(), sizes.channels].map(Dim::Const).to_vec();
    let row = cx.emit(Op::Expand(Expand { shape }), &[row])?;
    cx.emit(Op::GatherElements(GatherElements { axis: ROWS }), &[rows, row])
}
