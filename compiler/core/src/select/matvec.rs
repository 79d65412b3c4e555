//! Few rows times a constant matrix: bound by reading the matrix, so all that matters is how many of its bytes are on their way at
//! once (`Profile::rates.few_rows`).

use super::factors::{Sizes, outer_slots};
use super::{Chosen, Context, Declined, grid, weights};
use crate::estimate::FEW_ROWS;
use crate::kernel::scalar::{Kind, ScalarProgram};
use crate::kernel::{Constant, KernelCall, Slot};
use crate::physical::weights::{Filters, PackedRows, RowFormat, WeightsForm, WeightsOrder, WeightsStorage};
use crate::physical::{LANES, Size};
use crate::profile::Profile;
use crate::profile::rates::FewRowsRates;
use drift_ir::op::MatMul;
use drift_ir::{Node, ValueId};

/// How a loop goes along the rows of a matrix.
struct Walk {
    /// Outputs that share the loop, and with it what is read of A.
    outputs: u64,
    /// Invocations that share it.
    lanes: u64,
    /// Chunks that each asks for at once.
    unroll: u64,
    steps: u64,
}

impl Walk {
    /// As many invocations as have all their chunks to ask for, and no more: at least `least`. With two `products` each
    /// invocation asks for as many bytes in half as many chunks.
    fn along(rates: &FewRowsRates, rows: &PackedRows, m: u64, least: u64, products: u64) -> Self {
        let [few_rows, more_rows] = rates.float_chunks;
        let most = match rows.format() {
            RowFormat::Floats(_) if m <= 2 => few_rows / products,
            RowFormat::Floats(_) => more_rows / products,
            RowFormat::Blocks { .. } => rates.block_chunks,
        };
        let chunks = rows.chunks();
        let [_, most_lanes] = rates.lanes;
        let lanes = (0..).map(|n| least << n).take_while(|&lanes| lanes <= most_lanes.max(least));
        let lanes = lanes.filter(|lanes| lanes * most <= chunks).last().unwrap_or(least);
        let unroll = chunks.div_ceil(lanes).clamp(1, most);
        Self { outputs: rates.outputs, lanes, unroll, steps: chunks.div_ceil(lanes * unroll) }
    }
}

/// Subgroups add up the parts of their invocations.
pub(super) fn subgroups(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<Vec<Chosen>, Declined> {
    let profile = context.profile;
    let missing = |feature| Declined::Feature { feature, profile: profile.name };
    if !profile.subgroups {
        return Err(missing("subgroup operations"));
    }
    let subgroup = profile.subgroup_size.ok_or(missing("a fixed subgroup size"))?;
    select(context, node, op, sizes, Some(subgroup))
}

/// Workgroup memory adds up the parts.
pub(super) fn workgroups(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
) -> Result<Vec<Chosen>, Declined> {
    select(context, node, op, sizes, None)
}

fn select(
    context: &mut Context<'_>,
    node: &Node,
    op: MatMul,
    sizes: &Sizes,
    subgroup: Option<u32>,
) -> Result<Vec<Chosen>, Declined> {
    let m = sizes.m.max();
    let is_deep = !sizes.merged && context.rank(node.outputs[0]) > 4;
    if m > FEW_ROWS || !sizes.batches.is_always(1) || is_deep {
        let rows = m * sizes.batches.max();
        return Err(Declined::Shape(format!("needs at most {FEW_ROWS} rows of one product, has {rows}")));
    }
    let b = node.inputs[1];
    let (m, n) = (sizes.m.to_known()?, sizes.n.to_known()?);
    let quantized = weights::quantized(context, "b", b, op.transpose_b)?;
    let b_slot = match quantized {
        Some(slot) => slot,
        None => float_rows(context, b, op.transpose_b)?,
    };
    let Some(rows) = b_slot.rows.clone() else {
        return Err(Declined::Unsupported("weights are not in rows".to_owned()));
    };
    let (a, dst) = outer_slots(context, node, sizes)?;
    let rates = &context.profile.rates.few_rows;
    let walk = Walk::along(rates, &rows, m, least_lanes(rates, subgroup.map(u64::from)), 1);
    let (size, workgroups) = grid_of(context.profile, &walk, n);
    let mut constants = constants(&rows, &walk, (m, 1));
    let name = match subgroup {
        Some(size) => {
            constants.push(("SUBGROUP_SIZE", Constant::U32(size.into())));
            "matvec_rows_subgroup"
        }
        None => "matvec_rows",
    };
    let call = context.call(node, name, constants, vec![a, b_slot], dst, size, workgroups)?;
    let call = KernelCall { prologue: Some(ScalarProgram::new(Kind::Float, Vec::new(), Vec::new())), ..call };
    let why =
        format!("{m} row(s): {} invocations per {} outputs, sixteen bytes a load", walk.lanes, walk.outputs);
    Ok(vec![Chosen { call, why, declined: Vec::new(), flops: sizes.flops() }])
}

/// Invocations that share a loop at least: whole subgroups where those add up their parts.
fn least_lanes(rates: &FewRowsRates, subgroup: Option<u64>) -> u64 {
    subgroup.unwrap_or(rates.lanes[0])
}

/// Invocations of a workgroup, and workgroups for `n` outputs.
fn grid_of(profile: &Profile, walk: &Walk, n: u64) -> ([u32; 3], [Size; 3]) {
    let walks = n.div_ceil(walk.outputs);
    let threads = workgroup_size(profile, walks, walk.lanes);
    let [x, y] = grid(&(walks * walk.lanes).div_ceil(threads).into(), u64::from(profile.grid_axis));
    ([threads as u32, 1, 1], [x, y, Size::ONE])
}

/// A number that a call is given.
pub(super) fn constant(call: &KernelCall, name: &str) -> Option<u64> {
    call.constants.iter().find_map(|(given, constant)| match constant {
        Constant::U32(value) if *given == name => Some(*value),
        _ => None,
    })
}

/// A product of few rows that has been given a second matrix, `c`: with walks over both.
pub(super) fn gated(call: &KernelCall, profile: &Profile) -> Option<KernelCall> {
    let b = call.slots.iter().find(|slot| slot.name == "b")?;
    let (rows, m) = (b.rows.as_ref()?, constant(call, "ROWS_M")?);
    let subgroup = constant(call, "SUBGROUP_SIZE");
    let rates = &profile.rates.few_rows;
    let walk = Walk::along(rates, rows, m, least_lanes(rates, subgroup), 2);
    let (workgroup_size, workgroups) = grid_of(profile, &walk, b.extents().width.as_known()?);
    let mut constants = constants(rows, &walk, (m, 2));
    constants.extend(subgroup.map(|size| ("SUBGROUP_SIZE", Constant::U32(size))));
    // Rows of the sums that workgroup memory adds up.
    let most = u64::from(profile.shared_bytes) / 16;
    if subgroup.is_none() && u64::from(workgroup_size[0]) * (m * walk.outputs * 2 / LANES + 1) > most {
        return None;
    }
    Some(KernelCall { constants, workgroup_size, workgroups, ..call.clone() })
}

/// Workgroups of 128 where there are enough of those to keep the device busy.
fn workgroup_size(profile: &Profile, walks: u64, lanes: u64) -> u64 {
    let busy = u64::from(profile.busy_workgroups);
    let sizes = [128, 64].into_iter().filter(|&threads| threads >= lanes);
    let mut enough = sizes.filter(|threads| (walks * lanes).div_ceil(*threads) >= busy);
    enough.next().unwrap_or(lanes.max(64))
}

fn constants(rows: &PackedRows, walk: &Walk, (m, products): (u64, u64)) -> Vec<(&'static str, Constant)> {
    let (span, chunk) = (rows.span(), rows.chunk());
    let spans = chunk / span;
    let block_spans = match rows.format() {
        RowFormat::Blocks { size, .. } if rows.per_row() > 1 => size / span,
        RowFormat::Blocks { .. } | RowFormat::Floats(_) => rows.chunks() * spans,
    };
    vec![
        ("ROWS_M", Constant::U32(m)),
        ("OUTPUTS", Constant::U32(walk.outputs)),
        ("LANES", Constant::U32(walk.lanes)),
        ("STEPS", Constant::U32(walk.steps)),
        ("UNROLL", Constant::U32(walk.unroll)),
        ("CHUNKS", Constant::U32(rows.chunks())),
        ("SPANS", Constant::U32(spans)),
        ("SPAN_SLICES", Constant::U32(span / LANES)),
        ("BLOCK_SPANS", Constant::U32(block_spans)),
        ("BLOCKS", Constant::U32(rows.per_row())),
        ("PRODUCTS", Constant::U32(products)),
        ("SQUARES", Constant::U32(0)),
        ("EPSILON", Constant::F32(0.0)),
        ("ALL_LIVE", Constant::Bool(rows.columns().div_ceil(LANES) * LANES == rows.chunks() * chunk)),
    ]
}

/// Rows of floats in whole chunks, where the profile has weights of products in buffers.
fn float_rows(context: &mut Context<'_>, b: ValueId, transposed: bool) -> Result<Slot, Declined> {
    let shape = context.shape(b)?;
    let (Some(_), &[rows, columns]) = (context.constant_tensor(b), &shape[..]) else {
        return Err(Declined::Shape("needs a constant matrix on the right".to_owned()));
    };
    let storage = context.profile.weights.product.storage;
    if storage != WeightsStorage::Buffer {
        return Err(Declined::Unsupported(format!("weights are in a {}", storage.name())));
    }
    let [n, k] = if transposed { [rows, columns] } else { [columns, rows] };
    let element = context.element(b)?;
    let rows = PackedRows::floats([n, k], element).ok_or_else(|| {
        Declined::Shape(format!("needs rows of whole sixteen bytes, has {k} of {}", element.name()))
    })?;
    let form = WeightsForm::buffer(WeightsOrder::ROWS_OF_INPUTS);
    let slot = weights::right_side(context, b, Filters::matrix([k, n], transposed), form)?;
    Ok(Slot { weights: None, rows: Some(rows), ..slot })
}
