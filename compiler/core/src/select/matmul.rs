//! Matrix products: cooperative matrices, workgroup tiles, or a matrix-vector product for few rows.

use super::factors::{Sizes, axes};
use super::product::{self, Product};
use super::{Chosen, Context, Declined, matvec, orders, weights};
use crate::estimate::FEW_ROWS;
use crate::kernel::{Access, Constant, Slot};
use crate::physical::weights::Filters;
use crate::physical::{AxisMap, Order, Size};
use drift_ir::op::MatMul;
use drift_ir::{Node, ValueId};

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: MatMul) -> Result<Vec<Chosen>, Declined> {
    let a_shape = context.sizes(node.inputs[0]);
    let dst_shape = context.sizes(node.outputs[0]);
    let rank = dst_shape.len();
    let merged = merges_batches(context, node);
    let batches: Size = dst_shape[..rank - 2].iter().product();
    let m = &dst_shape[rank - 2];
    let sizes = Sizes {
        m: if merged { batches.times(m) } else { m.clone() },
        batches: if merged { Size::ONE } else { batches },
        n: dst_shape[rank - 1].clone(),
        k: a_shape[a_shape.len() - 1].clone(),
        merged,
    };
    let candidates: [(&str, Candidate); 5] = [
        ("matvec_rows_subgroup", |context, node, op, sizes| {
            orders::allows_rows(context, node.inputs[1])?;
            matvec::subgroups(context, node, op, sizes)
        }),
        ("matvec_rows", |context, node, op, sizes| {
            orders::allows_rows(context, node.inputs[1])?;
            matvec::workgroups(context, node, op, sizes)
        }),
        ("matvec", matvec),
        ("matmul_cooperative", cooperative),
        ("matmul_tiled", tiled),
    ];
    product::first(candidates, |candidate| candidate(context, node, op, &sizes))
}

type Candidate = fn(&mut Context<'_>, &Node, MatMul, &Sizes) -> Result<Vec<Chosen>, Declined>;

/// Whether batches are rows of one product: b is one matrix, and all else is dense and broadcasts by whole rows.
fn merges_batches(context: &Context<'_>, node: &Node) -> bool {
    let (a, b, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let shape = context.sizes(y);
    let rank = shape.len();
    let dense = |value| context.placement(value).is_some_and(|p| p.layout.order == Order::RowMajor);
    let one_matrix = context.sizes(b).iter().rev().skip(2).all(|size| size.is_always(1));
    let by_rows = node.epilogue.operands.iter().all(|&operand| {
        let own = context.sizes(operand);
        let whole = own == shape && (dense(operand) || context.constant_tensor(operand).is_some());
        whole || own.iter().rev().skip(1).all(|size| size.is_always(1))
    });
    let a_shape = context.sizes(a);
    let same_rows = a_shape[..a_shape.len() - 1] == shape[..rank - 1];
    rank > 2 && same_rows && one_matrix && dense(a) && dense(y) && by_rows
}

/// Slots of a, b and the result.
fn slots(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<(Slot, Slot, Slot), Declined> {
    let (a, b, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let [a_axes, y_axes] = axes(context, node, sizes);
    let dst = context.slot("dst", Access::Write, y, &y_axes)?;
    if !sizes.merged && context.rank(y) > 4 {
        // Several axes of batches are one coordinate, along which factors may repeat in part.
        let factors = (factor(context, "a", a, &dst)?, factor(context, "b", b, &dst)?);
        return Ok((factors.0, factors.1, dst));
    }
    let a_slot = context.slot("a", Access::Read, a, &a_axes)?;
    let b_slot = match context.constant_tensor(b).is_some_and(|tensor| tensor.shape().len() == 2) {
        true => matrix(context, b, op.transpose_b)?,
        false => context.slot("b", Access::Read, b, &AxisMap::channels_last(context.rank(b)))?,
    };
    Ok((a_slot, b_slot, dst))
}

/// A factor of a product of more axes than there are coordinates, under those of the result.
fn factor(context: &mut Context<'_>, name: &str, value: ValueId, dst: &Slot) -> Result<Slot, Declined> {
    let own = context.sizes(value);
    let batches = &dst.shape[..dst.shape.len() - 2];
    let full = [batches, &own[own.len() - 2..]].concat();
    let under = Slot {
        layout: dst.layout.clone(),
        ..Slot::new("", Access::Read, dst.source, full, dst.layout.clone())
    };
    context.operand(name, value, &under).map(|(slot, _)| slot)
}

/// A constant matrix in the form that entries agreed on, or else the profile prefers; quantized as it is.
fn matrix(context: &mut Context<'_>, b: ValueId, transposed: bool) -> Result<Slot, Declined> {
    if let Some(slot) = weights::quantized(context, "b", b, transposed)? {
        return Ok(slot);
    }
    let form = orders::form(context, b);
    weights::right_side(context, b, filters(context, b, transposed)?, form)
}

fn filters(context: &Context<'_>, b: ValueId, transposed: bool) -> Result<Filters, Declined> {
    let shape = constant_matrix(context, b)
        .ok_or_else(|| Declined::Shape("needs a constant matrix on the right".to_owned()))?;
    let sizes = if transposed { [shape[1], shape[0]] } else { [shape[0], shape[1]] };
    Ok(Filters::matrix(sizes, transposed))
}

/// Whether rows of b are outputs. Constant matrices were turned when they were packed.
fn is_transposed(b: &Slot, op: MatMul) -> bool {
    if b.weights.is_some() || b.rows.is_some() { weights::is_transposed(b) } else { op.transpose_b }
}

/// The shape of a constant matrix.
fn constant_matrix(context: &Context<'_>, b: ValueId) -> Option<Vec<u64>> {
    context.constant_tensor(b).map(|tensor| tensor.shape().to_vec()).filter(|shape| shape.len() == 2)
}

fn product_of(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<Product, Declined> {
    let (a, b, dst) = slots(context, node, op, sizes)?;
    let b_transposed = is_transposed(&b, op);
    Ok(Product {
        batches: sizes.batches.clone(),
        m: sizes.m.clone(),
        n: sizes.n.clone(),
        k: sizes.k.clone(),
        a,
        b,
        dst,
        b_transposed,
        window: None,
        bias: None,
        flops: sizes.flops(),
    })
}

fn cooperative(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<Vec<Chosen>, Declined> {
    context
        .profile
        .cooperative
        .ok_or(Declined::Feature { feature: "cooperative matrices", profile: context.profile.name })?;
    let product = product_of(context, node, op, sizes)?;
    product::cooperative(context, node, product)
}

fn tiled(context: &mut Context<'_>, node: &Node, op: MatMul, sizes: &Sizes) -> Result<Vec<Chosen>, Declined> {
    let product = product_of(context, node, op, sizes)?;
    product::tiled(context, node, product)
}

fn matvec(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<Vec<Chosen>, Declined> {
    if sizes.m.max() > FEW_ROWS {
        return Err(Declined::Shape(format!("needs at most {FEW_ROWS} rows, has {}", sizes.m)));
    }
    let (a, b, dst) = slots(context, node, op, sizes)?;
    let transposed = is_transposed(&b, op);
    if transposed {
        return Err(Declined::Shape("needs rows of k on the right".to_owned()));
    }
    // Few columns: more invocations share one, so that all of the device reads.
    let slices = sizes.n.div_ceil(4);
    let groups = |x: u64| slices.div_ceil(x).times(&sizes.m).times(&sizes.batches).max();
    let x = [16, 8, 4].into_iter().find(|&x| groups(x) >= u64::from(context.profile.busy_workgroups));
    let x = x.unwrap_or(4);
    let y = 256 / x;
    let workgroups = [slices.div_ceil(x), sizes.m.clone(), sizes.batches.clone()];
    let constants = vec![("K_ALIGNED", Constant::Bool(sizes.k.is_multiple_of(4)))];
    let call =
        context.call(node, "matvec", constants, vec![a, b], dst, [x as u32, y as u32, 1], workgroups)?;
    let why = format!("{} row(s): bound by reading the matrix", sizes.m);
    Ok(vec![Chosen { call, why, declined: Vec::new(), flops: sizes.flops() }])
}
