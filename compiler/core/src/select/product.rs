//! Matrix products, and convolutions as such: tiles through workgroup memory, multiplied by invocations or by cooperative
//! matrices. What is common to both ops: the slots of a product, its tiling, and the sum of parts where k is split.

use super::tiling::{self, Shared, Size, Tiling};
use super::{Chosen, Context, Declined, grid, headroom};
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{self, AxisMap, Element, LANES, Order};
use crate::profile::rates::Tile;
use crate::profile::{MatrixShape, Profile};
use drift_ir::op::{BinaryOp, ScalarOp, Step, StepArg};
use drift_ir::{Node, ValueId};

/// The window of a convolution, rows first.
pub(super) struct Window {
    pub(super) kernel: [u64; 2],
    pub(super) strides: [u64; 2],
    pub(super) dilations: [u64; 2],
    pub(super) pads: [u64; 2],
    pub(super) padded: bool,
}

/// One product, or a batch of them. Rows of `a` are its width coordinate, or the output pixels of a window over it.
pub(super) struct Product {
    pub(super) batches: physical::Size,
    pub(super) m: physical::Size,
    pub(super) n: physical::Size,
    /// Rows of `b`: for a window, taps times the source's channels in whole slices.
    pub(super) k: physical::Size,
    pub(super) a: Slot,
    pub(super) b: Slot,
    pub(super) dst: Slot,
    /// Rows of `b` are n and its channels k.
    pub(super) b_transposed: bool,
    pub(super) window: Option<Window>,
    /// One value per channel of the result.
    pub(super) bias: Option<ValueId>,
    /// Arithmetic, without padding.
    pub(super) flops: u64,
}

/// What the first candidate that does not decline makes; its last step keeps the reasons of those before it.
pub(super) fn first<C: Copy, const N: usize>(
    candidates: [(&str, C); N],
    mut make: impl FnMut(C) -> Result<Vec<Chosen>, Declined>,
) -> Result<Vec<Chosen>, Declined> {
    let mut declined = Vec::new();
    for (name, candidate) in candidates {
        match make(candidate) {
            Ok(mut steps) => {
                if let Some(last) = steps.last_mut() {
                    last.declined = declined;
                }
                return Ok(steps);
            }
            Err(convert @ Declined::Convert { .. }) => return Err(convert),
            Err(reason) => declined.push(format!("{name}: {reason}")),
        }
    }
    Err(Declined::Unsupported(declined.join("; ")))
}

impl Product {
    /// Its size as a product of `node`. Split-K partial sums may take 1.5 times the peak live bytes, which makes products of f32
    /// twice as fast (vit_base on an H200). They are f32 whatever activations are stored as, so that under f16, where the peak
    /// is half as large, as many are allowed.
    fn size(&self, context: &Context<'_>, node: &Node) -> Size {
        /// Bytes that no device misses.
        const LEAST: u64 = 1 << 20;
        let Self { batches, m, n, k, b_transposed: transposed, .. } = self;
        let [batches, m, n, k] = [batches, m, n, k].map(Clone::clone);
        let transposed = *transposed;
        let widened = Element::F32.size_bytes() / self.dst.layout.element.size_bytes();
        let peak = headroom::of(context, node.outputs[0]).peak * widened;
        let parts_bytes = (peak + peak / 2).max(LEAST);
        Size { batches, m, n, k, transposed, parts_bytes }
    }

    /// Whether rows of one slice are side by side in `a` and in the result.
    fn rows_adjacent(&self) -> bool {
        self.window.is_some()
            || self.a.layout.order == Order::Slices && self.dst.layout.order == Order::Slices
    }

    fn taps(&self) -> u64 {
        self.window.as_ref().map_or(1, |window| window.kernel[0] * window.kernel[1])
    }

    /// Constants that the kernels have in common.
    fn constants(&self) -> Vec<(&'static str, Constant)> {
        let one = Window { kernel: [1; 2], strides: [1; 2], dilations: [1; 2], pads: [0; 2], padded: false };
        let window = self.window.as_ref().unwrap_or(&one);
        let [out_batch, out_height, out_width] = self.result_extents();
        vec![
            ("ROWS_M", Constant::count(self.m.clone())),
            ("PIXELS", Constant::Bool(self.window.is_some())),
            ("ROWS_ADJACENT", Constant::Bool(self.rows_adjacent())),
            ("BATCH_INNERMOST", Constant::Bool(self.dst.layout.order != Order::RowMajor)),
            ("OUT_BATCH", Constant::count(out_batch)),
            ("OUT_HEIGHT", Constant::count(out_height)),
            ("OUT_WIDTH", Constant::count(out_width)),
            ("TAPS", Constant::U32(self.taps())),
            ("KERNEL_X", Constant::U32(window.kernel[1])),
            ("STRIDE_Y", Constant::U32(window.strides[0])),
            ("STRIDE_X", Constant::U32(window.strides[1])),
            ("DILATION_Y", Constant::U32(window.dilations[0])),
            ("DILATION_X", Constant::U32(window.dilations[1])),
            ("PAD_Y", Constant::signed(window.pads[0])),
            ("PAD_X", Constant::signed(window.pads[1])),
            ("PADDED", Constant::Bool(window.padded)),
            ("B_TRANSPOSED", Constant::Bool(self.b_transposed)),
        ]
    }

    fn result_extents(&self) -> [physical::Size; 3] {
        let e = self.dst.extents();
        [e.batch, e.height, e.width]
    }

    /// Constants that follow from a tiling.
    fn tile_constants(&self, tiling: &Tiling) -> Vec<(&'static str, Constant)> {
        let tile = &tiling.tile;
        // Pixels of one slice are neighbours, and so are the slices of a row of a matrix.
        let run = if self.rows_adjacent() { tile.m.min(tile.threads) } else { tile.matrix_run };
        let whole_taps = self.a.extents().slices().is_multiple_of(tile.k / 4);
        vec![
            ("TILE_M", Constant::U32(tile.m)),
            ("TILE_N", Constant::U32(tile.n)),
            ("TILE_K", Constant::U32(tile.k)),
            ("RUN", Constant::U32(run)),
            ("K_ALIGNED", Constant::Bool(self.k.is_multiple_of(tile.k))),
            ("M_ALIGNED", Constant::Bool(self.m.is_multiple_of(tile.m))),
            ("N_ALIGNED", Constant::Bool(self.n.is_multiple_of(tile.n))),
            ("PREFETCH", Constant::Bool(tile.prefetch)),
            ("BUFFERS", Constant::U32(tiling.buffers)),
            ("WHOLE_TAPS", Constant::Bool(whole_taps)),
            ("STEPS", Constant::count(tiling.steps.clone())),
            ("PART_STEPS", Constant::U32(tiling.part_steps)),
            ("SPLIT", Constant::U32(tiling.split)),
        ]
    }
}

/// Register-blocked tiles, for any element type.
pub(super) fn tiled(
    context: &mut Context<'_>,
    node: &Node,
    product: Product,
) -> Result<Vec<Chosen>, Declined> {
    let (size, element) = (product.size(context, node), product.a.layout.element);
    let tiling = invocation_tiling(context.profile, &size, element, product.b_transposed)?;
    let tile = &tiling.tile;
    let [rows, column_slices] = tile.block;
    let threads_x = tile.n / (4 * column_slices);
    let mut constants = product.constants();
    constants.extend(product.tile_constants(&tiling));
    constants.extend([
        ("B_PITCH", Constant::U32(b_pitch(tile, product.b_transposed))),
        ("ROWS", Constant::U32(rows)),
        ("COLUMN_SLICES", Constant::U32(column_slices)),
        ("LANES_X", Constant::U32(threads_x.min(8))),
    ]);
    finish(context, node, product, "matmul_tiled", constants, &tiling)
}

/// Cooperative matrices: f16 in, f32 sums.
pub(super) fn cooperative(
    context: &mut Context<'_>,
    node: &Node,
    product: Product,
) -> Result<Vec<Chosen>, Declined> {
    for slot in [&product.a, &product.b] {
        if slot.layout.element != Element::F16 {
            return Err(Declined::Element { needed: "f16", found: slot.layout.element.name() });
        }
    }
    let (tiling, Pieces { kernel, subgroup, .. }) =
        cooperative_tiling(context.profile, &product.size(context, node), product.b_transposed)?;
    let tile = &tiling.tile;
    let [b_rows, b_columns] = b_tile(tile, product.b_transposed);
    let mut constants = product.constants();
    constants.extend(product.tile_constants(&tiling));
    constants.extend([
        ("B_TILE_ROWS", Constant::U32(b_rows)),
        ("B_TILE_SLICES", Constant::U32(b_columns / 4)),
        ("PIECE_N", Constant::U32(piece_columns(tile))),
        ("SUBGROUP_M", Constant::U32(tile.block[0])),
        ("SUBGROUP_N", Constant::U32(tile.block[1])),
        ("SUBGROUP_SIZE", Constant::U32(subgroup)),
    ]);
    finish(context, node, product, kernel, constants, &tiling)
}

/// Vectors of a row of b's tile in `matmul_tiled`.
fn b_pitch(tile: &Tile, transposed: bool) -> u64 {
    if transposed { tile.n + 8 } else { tile.n }
}

fn invocation_tiling(
    profile: &Profile,
    size: &Size,
    element: Element,
    transposed: bool,
) -> Result<Tiling, Declined> {
    let shared = |tile: &Tile| Shared { tiles: tile.k * (tile.m + b_pitch(tile, transposed)) * 4, rest: 0 };
    tiling::choose(profile.rates.products.tiled(element), size, profile, &shared)
}

/// Columns of a row of pieces that a subgroup stores at once: few, since workgroups share a unit only while their memory fits
/// it together.
fn piece_columns(tile: &Tile) -> u64 {
    tile.block[1].min(16)
}

/// Rows and columns of b's tile on cooperative matrices.
fn b_tile(tile: &Tile, transposed: bool) -> [u64; 2] {
    if transposed { [tile.n, tile.k] } else { [tile.k, tile.n] }
}

/// What cooperative matrices of a size ask for.
#[derive(Clone, Copy)]
struct Pieces {
    kernel: &'static str,
    rows: u64,
    subgroup: u64,
}

impl Pieces {
    /// Those of a profile that has matrices which a kernel is written for, and subgroups of one size.
    fn of(profile: &Profile) -> Result<Self, Declined> {
        let missing = |feature| Declined::Feature { feature, profile: profile.name };
        let (kernel, rows) = match profile.cooperative {
            Some(MatrixShape { m: 16, n: 16, k: 16 }) => ("matmul_cooperative", 16),
            Some(MatrixShape { m: 8, n: 8, k: 8 }) => ("matmul_cooperative_8x8", 8),
            Some(_) => return Err(missing("cooperative matrices of 16x16 or 8x8")),
            None => return Err(missing("cooperative matrices")),
        };
        let subgroup = profile.subgroup_size.ok_or(missing("a fixed subgroup size"))?.into();
        Ok(Self { kernel, rows, subgroup })
    }
}

/// The tiling on cooperative matrices, where the profile has them.
fn cooperative_tiling(
    profile: &Profile,
    size: &Size,
    transposed: bool,
) -> Result<(Tiling, Pieces), Declined> {
    let pieces = Pieces::of(profile)?;
    let shared = |tile: &Tile| {
        let [rows, columns] = b_tile(tile, transposed);
        let stored = tile.threads / pieces.subgroup * pieces.rows * (piece_columns(tile) + 4);
        Shared { tiles: (tile.m * (tile.k + 8) + rows * (columns + 8)) * 2, rest: stored * 4 }
    };
    Ok((tiling::choose(&profile.rates.products.cooperative_f16, size, profile, &shared)?, pieces))
}

/// Cycles that a product of `element`s takes in the kernel that it would get: as long as arithmetic or memory needs for
/// `bytes`.
pub(super) fn cycles(profile: &Profile, size: &Size, element: Element, bytes: u64) -> Result<f64, Declined> {
    let cooperative = match element {
        Element::F16 => cooperative_tiling(profile, size, size.transposed).ok().map(|(tiling, _)| tiling),
        Element::F32 | Element::I32 | Element::U32 => None,
    };
    let tiling =
        cooperative.map_or_else(|| invocation_tiling(profile, size, element, size.transposed), Ok)?;
    Ok(tiling.cycles.max(bytes as f64 / profile.rates.device.bytes_per_cycle))
}

/// The call of the product, or of the sum of its parts with the product pushed before it.
fn finish(
    context: &mut Context<'_>,
    node: &Node,
    product: Product,
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    tiling: &Tiling,
) -> Result<Vec<Chosen>, Declined> {
    let common = product.constants();
    let (batches, flops) = (product.batches.clone(), product.flops);
    let mut why = format!("{}x{}x{} tiles", tiling.tile.m, tiling.tile.n, tiling.tile.k);
    if product.window.is_some() {
        why.push_str(", one row a pixel");
    }
    let size = [tiling.tile.threads as u32, 1, 1];
    let (epilogue, operands) = finished(context, node, &product)?;
    let parts = (tiling.split > 1).then(|| parts_slot(context, &product, tiling.split, &node.name));
    let Product { a, b, dst, m, n, .. } = product;
    let product_call = |mut slots: Vec<Slot>, dst, epilogue| {
        slots.push(dst);
        let call = KernelCall::plain(kernel, constants, slots, size, tiling.workgroups.clone());
        KernelCall { epilogue, ..call }
    };
    let Some(parts) = parts else {
        let slots = [vec![a, b], operands].concat();
        let call = product_call(slots, dst, epilogue);
        return Ok(vec![Chosen { call, why, declined: Vec::new(), flops }]);
    };
    let call = product_call(vec![a, b], parts.clone(), None);
    why.push_str(&format!(", k in {} parts", tiling.split));
    let made = Chosen { call, why, declined: Vec::new(), flops };

    let slices = batches.times(&m).times(&n.div_ceil(LANES));
    let [x, y] = grid(&slices.div_ceil(64), u64::from(context.profile.grid_axis));
    let mut constants = common;
    constants.push(("SPLIT", Constant::U32(tiling.split)));
    let flops = tiling.split * batches.times(&m).times(&n).max();
    constants.push(("BATCHES", Constant::count(batches)));
    let src = parts.as_argument("src", Access::Read);
    let slots = [vec![src], operands, vec![dst]].concat();
    let call = KernelCall::plain("split_sum", constants, slots, [64, 1, 1], [x, y, physical::Size::ONE]);
    let call = KernelCall { epilogue, ..call };
    let why = format!("adds up {} parts", tiling.split);
    Ok(vec![made, Chosen { call, why, declined: Vec::new(), flops }])
}

/// Where the parts of a split product are: f32, and in the order in which the result is finished.
fn parts_slot(context: &mut Context<'_>, product: &Product, split: u64, name: &str) -> Slot {
    // Rows of the parts are whole vectors, whatever the result's are.
    let whole = |size: &physical::Size| size.div_ceil(LANES).times(&LANES.into());
    let batches = product.batches.times(&split.into());
    let sizes = [physical::Size::ONE, batches, product.m.clone(), whole(&product.n)];
    let mut slot = context.scratch("dst", &format!("{name} (parts)"), Element::F32, sizes);
    if product.rows_adjacent() {
        slot.layout.order = Order::Slices;
    }
    slot
}

/// The node's epilogue with the bias added first.
fn finished(
    context: &mut Context<'_>,
    node: &Node,
    product: &Product,
) -> Result<(Option<ScalarProgram>, Vec<Slot>), Declined> {
    let (epilogue, mut slots) = context.epilogue(node, &product.dst)?;
    let Some(bias) = product.bias else {
        return Ok((epilogue, slots));
    };
    slots.push(context.slot("bias", Access::Read, bias, &AxisMap::channels_last(1))?);
    let ScalarProgram { steps, mut operands, .. } =
        epilogue.unwrap_or_else(|| ScalarProgram::new(Kind::Float, Vec::new(), Vec::new()));
    let added = Step {
        op: ScalarOp::Binary(BinaryOp::Add),
        args: vec![StepArg::Result, StepArg::Operand(operands.len() as u32)],
    };
    operands.push(Operand { slot: "bias".to_owned(), kind: Kind::Float });
    let later = |arg| match arg {
        StepArg::Result => StepArg::Step(0),
        StepArg::Step(n) => StepArg::Step(n + 1),
        StepArg::Operand(_) | StepArg::Const(_) => arg,
    };
    let shifted =
        steps.into_iter().map(|step| Step { op: step.op, args: step.args.into_iter().map(later).collect() });
    let steps = std::iter::once(added).chain(shifted).collect();
    Ok((Some(ScalarProgram::new(Kind::Float, steps, operands)), slots))
}
