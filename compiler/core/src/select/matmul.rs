//! Matrix products: cooperative matrices, workgroup tiles, or a matrix-vector product for few rows.

use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{AxisMap, Element, Layout, Object, Order, Packing};
use drift_ir::op::MatMul;
use drift_ir::{Node, ValueId};

/// Rows up to which a product is bound by reading the matrix once.
const FEW_ROWS: u64 = 4;

/// The sizes of a product.
struct Sizes {
    batches: u64,
    m: u64,
    n: u64,
    k: u64,
}

impl Sizes {
    fn flops(&self) -> u64 {
        2 * self.batches * self.m * self.n * self.k
    }
}

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: MatMul) -> Result<Chosen, Declined> {
    let a_shape = context.shape(node.inputs[0]);
    let dst_shape = context.shape(node.outputs[0]);
    let rank = dst_shape.len();
    let sizes = Sizes {
        batches: dst_shape[..rank - 2].iter().product(),
        m: dst_shape[rank - 2],
        n: dst_shape[rank - 1],
        k: a_shape[a_shape.len() - 1],
    };
    let mut declined = Vec::new();
    let candidates: [(&str, Candidate); 4] = [
        ("matmul_cooperative", cooperative),
        ("matvec_subgroup", matvec_subgroup),
        ("matvec", matvec),
        ("matmul_tiled", tiled),
    ];
    for (name, candidate) in candidates {
        match candidate(context, node, op, &sizes) {
            Ok((call, why)) => return Ok(Chosen { call, why, declined, flops: sizes.flops() }),
            Err(convert @ Declined::Convert { .. }) => return Err(convert),
            Err(reason) => declined.push(format!("{name}: {reason}")),
        }
    }
    Err(Declined::Unsupported(declined.join("; ")))
}

type Candidate = fn(&mut Context<'_>, &Node, MatMul, &Sizes) -> Result<(KernelCall, String), Declined>;

/// Slots of a, b and the result. Batches that no operand broadcasts collapse into rows where b has none.
fn slots(context: &mut Context<'_>, node: &Node, transpose_b: bool) -> Result<(Slot, Slot, Slot), Declined> {
    let (a, b, y) = (node.inputs[0], node.inputs[1], node.outputs[0]);
    let y_axes = AxisMap::channels_last(context.shape(y).len());
    let dst = context.slot("dst", Access::Write, y, &y_axes)?;
    if dst.shape.len() > 4 {
        return Err(Declined::Shape(format!(
            "rank {} is beyond batch, height, rows and columns",
            dst.shape.len()
        )));
    }
    let a_slot = context.slot("a", Access::Read, a, &AxisMap::channels_last(context.shape(a).len()))?;
    let b_slot = match transpose_b {
        false => context.slot("b", Access::Read, b, &AxisMap::channels_last(context.shape(b).len()))?,
        true => transposed(context, b)?,
    };
    Ok((a_slot, b_slot, dst))
}

/// A constant `[n, k]` packed as `[k, n]`.
fn transposed(context: &mut Context<'_>, b: ValueId) -> Result<Slot, Declined> {
    let shape = constant_matrix(context, b).ok_or_else(|| {
        Declined::Unsupported("a transposed right side that is not a constant matrix".to_owned())
    })?;
    let layout = padded_rows(context.element(b)?);
    context.packed_slot("b", b, Packing::transposed(&shape), layout)
}

/// The shape of a constant matrix.
fn constant_matrix(context: &Context<'_>, b: ValueId) -> Option<Vec<u64>> {
    context.constant_tensor(b).map(|tensor| tensor.shape().to_vec()).filter(|shape| shape.len() == 2)
}

/// Dense rows, each padded to whole slices.
fn padded_rows(element: Element) -> Layout {
    Layout { object: Object::Buffer, order: Order::Slices, element, axes: AxisMap::channels_last(2) }
}

fn cooperative(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<(KernelCall, String), Declined> {
    const TILE: u64 = 128;
    const TILE_K: u64 = 32;
    let profile = context.profile;
    let missing = |feature| Declined::Feature { feature, profile: profile.name };
    profile.cooperative.ok_or(missing("cooperative matrices"))?;
    let subgroup = profile.subgroup_size.ok_or(missing("a fixed subgroup size"))?;
    if !sizes.m.is_multiple_of(TILE) || !sizes.n.is_multiple_of(TILE) || !sizes.k.is_multiple_of(TILE_K) {
        let found = format!("{}x{}x{}", sizes.m, sizes.n, sizes.k);
        return Err(Declined::Shape(format!("needs multiples of {TILE}x{TILE}x{TILE_K}, has {found}")));
    }
    let (a, b, dst) = slots(context, node, op.transpose_b)?;
    for slot in [&a, &b] {
        if slot.layout.element != Element::F16 {
            return Err(Declined::Element { needed: "f16", found: slot.layout.element.name() });
        }
    }
    let threads = 4 * subgroup;
    let constants = vec![
        ("TILE_M", Constant::U32(TILE as u32)),
        ("TILE_N", Constant::U32(TILE as u32)),
        ("TILE_K", Constant::U32(TILE_K as u32)),
        ("SUBGROUP_M", Constant::U32(64)),
        ("SUBGROUP_N", Constant::U32(64)),
        ("SUBGROUP_SIZE", Constant::U32(subgroup)),
    ];
    let workgroups = [(sizes.n / TILE) as u32, (sizes.m / TILE) as u32, sizes.batches as u32];
    let call =
        context.call(node, "matmul_cooperative", constants, vec![a, b], dst, [threads, 1, 1], workgroups)?;
    Ok((call, "whole tiles of halves on cooperative matrices".to_owned()))
}

fn matvec_subgroup(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<(KernelCall, String), Declined> {
    let profile = context.profile;
    let missing = |feature| Declined::Feature { feature, profile: profile.name };
    if !profile.subgroups {
        return Err(missing("subgroup operations"));
    }
    let subgroup = profile.subgroup_size.ok_or(missing("a fixed subgroup size"))?;
    if sizes.m * sizes.batches > 1 || !sizes.k.is_multiple_of(8) {
        return Err(Declined::Shape(format!(
            "needs one row and a multiple of 8 for k, has {} and {}",
            sizes.m, sizes.k
        )));
    }
    let b = node.inputs[1];
    let element = context.element(b)?;
    if element != Element::F16 {
        return Err(Declined::Element { needed: "f16", found: element.name() });
    }
    let shape =
        constant_matrix(context, b).ok_or_else(|| Declined::Shape("needs a constant matrix".to_owned()))?;
    // Rows of halves `[n, k]`, read as words of two.
    let packing = if op.transpose_b { Packing::plain(&shape) } else { Packing::transposed(&shape) };
    let mut b_slot = context.packed_slot("b", b, packing, Layout::row_major(Element::F16, 2))?;
    b_slot.layout.element = Element::U32;
    b_slot.shape = vec![sizes.n, sizes.k / 2];
    let (a_axes, y_axes) = (
        AxisMap::rows(context.shape(node.inputs[0]).len() - 1, context.shape(node.inputs[0]).len()),
        context.shape(node.outputs[0]).len(),
    );
    let a = context.slot("a", Access::Read, node.inputs[0], &a_axes)?;
    let dst = context.slot("dst", Access::Write, node.outputs[0], &AxisMap::rows(y_axes - 1, y_axes))?;
    const THREADS: u32 = 128;
    let slices = sizes.n.div_ceil(4).div_ceil(u64::from(THREADS / subgroup));
    let [x, y] = super::grid(slices, u64::from(profile.grid_axis));
    let steps = (sizes.k / 8).div_ceil(u64::from(subgroup)) as u32;
    let constants = vec![("SUBGROUP_SIZE", Constant::U32(subgroup)), ("STEPS", Constant::U32(steps))];
    let call =
        context.call(node, "matvec_subgroup", constants, vec![a, b_slot], dst, [THREADS, 1, 1], [x, y, 1])?;
    Ok((call, "one row: a subgroup per four outputs, sixteen bytes a load".to_owned()))
}

fn matvec(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<(KernelCall, String), Declined> {
    if sizes.m > FEW_ROWS {
        return Err(Declined::Shape(format!("needs at most {FEW_ROWS} rows, has {}", sizes.m)));
    }
    let (a, b, dst) = slots(context, node, op.transpose_b)?;
    let (x, y) = (16, 16);
    let workgroups =
        [sizes.n.div_ceil(4).div_ceil(u64::from(x)) as u32, sizes.m as u32, sizes.batches as u32];
    let constants = vec![("K_ALIGNED", Constant::Bool(sizes.k.is_multiple_of(4)))];
    let call = context.call(node, "matvec", constants, vec![a, b], dst, [x, y, 1], workgroups)?;
    Ok((call, format!("{} row(s): bound by reading the matrix", sizes.m)))
}

/// A tiling of [`tiled`]: tile sides, groups of four rows and slices per invocation.
struct Tile {
    m: u64,
    n: u64,
    k: u64,
    row_groups: u64,
    column_slices: u64,
}

/// Largest first.
const TILES: [Tile; 3] = [
    Tile { m: 128, n: 128, k: 16, row_groups: 2, column_slices: 2 },
    Tile { m: 64, n: 64, k: 16, row_groups: 1, column_slices: 1 },
    Tile { m: 32, n: 32, k: 16, row_groups: 1, column_slices: 1 },
];

fn tiled(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<(KernelCall, String), Declined> {
    // Constants are turned at compile time; activations on their way into workgroup memory.
    let turned = op.transpose_b && context.constant_tensor(node.inputs[1]).is_none();
    let (a, b, dst) = slots(context, node, op.transpose_b && !turned)?;
    let busy = u64::from(context.profile.busy_workgroups);
    let groups = |tile: &Tile| sizes.n.div_ceil(tile.n) * sizes.m.div_ceil(tile.m) * sizes.batches;
    let tile = TILES.iter().find(|tile| groups(tile) >= busy).unwrap_or(&TILES[2]);
    let threads = tile.m * tile.n / (16 * tile.row_groups * tile.column_slices);
    let constants = vec![
        ("TILE_M", Constant::U32(tile.m as u32)),
        ("TILE_N", Constant::U32(tile.n as u32)),
        ("TILE_K", Constant::U32(tile.k as u32)),
        ("ROW_GROUPS", Constant::U32(tile.row_groups as u32)),
        ("COLUMN_SLICES", Constant::U32(tile.column_slices as u32)),
        ("B_TRANSPOSED", Constant::Bool(turned)),
        ("K_ALIGNED", Constant::Bool(sizes.k.is_multiple_of(tile.k))),
    ];
    let workgroups = [sizes.n.div_ceil(tile.n) as u32, sizes.m.div_ceil(tile.m) as u32, sizes.batches as u32];
    let call =
        context.call(node, "matmul_tiled", constants, vec![a, b], dst, [threads as u32, 1, 1], workgroups)?;
    Ok((call, format!("{}x{} tiles", tile.m, tile.n)))
}
