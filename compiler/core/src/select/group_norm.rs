//! Group normalisation: a workgroup for each group, or three dispatches where groups are few and large or do not fall on
//! whole slices.

use super::image::slots;
use super::{Chosen, Context, Declined, grid};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::module::LOOP_ROUNDS;
use crate::physical::{AxisMap, Element, LANES, Size};
use drift_ir::Node;
use drift_ir::op::GroupNorm;

pub(super) fn select(context: &mut Context<'_>, node: &Node, op: GroupNorm) -> Result<Vec<Chosen>, Declined> {
    let (src, dst) = slots(context, node)?;
    let channels = src.extents().channels.to_known()?;
    let scale = parameter(context, node, ("scale", 1), 1.0, channels)?;
    let bias = parameter(context, node, ("bias", 2), 0.0, channels)?;
    let parts = Parts { src, dst, scale, bias, groups: op.groups, epsilon: op.epsilon };
    let reason = match parts.unit(context) {
        Ok(unit) => return Ok(vec![parts.whole(context, node, unit)?]),
        Err(reason) => reason,
    };
    parts.split(context, node, vec![format!("group_norm: {reason}")])
}

/// Scale or bias, or a constant in place of one that the node has not.
fn parameter(
    context: &mut Context<'_>,
    node: &Node,
    (name, operand): (&'static str, usize),
    default: f32,
    channels: u64,
) -> Result<Slot, Declined> {
    if let Some(&value) = node.inputs.get(operand) {
        return context.slot(name, Access::Read, value, &AxisMap::channels_last(1));
    }
    context.filled(name, default, channels)
}

/// What a workgroup normalises on its own.
struct Unit {
    slices: u64,
    /// Channels of a group in a slice.
    lanes: u64,
}

struct Parts {
    src: Slot,
    dst: Slot,
    scale: Slot,
    bias: Slot,
    groups: u64,
    epsilon: f64,
}

impl Parts {
    fn group_channels(&self) -> u64 {
        self.src.extents().channels.max() / self.groups
    }

    /// The slices of a group, or the slice of several groups, if a workgroup each keeps the device busy.
    fn unit(&self, context: &Context<'_>) -> Result<Unit, Declined> {
        let e = self.src.extents().largest();
        let channels = self.group_channels();
        let unit = match channels {
            _ if self.groups == 1 => Unit { slices: e.slices(), lanes: LANES },
            1 | 2 => Unit { slices: 1, lanes: channels },
            _ if channels.is_multiple_of(LANES) => Unit { slices: channels / LANES, lanes: LANES },
            _ => {
                let reason = format!("groups of {channels} channels begin within slices");
                return Err(Declined::Shape(reason));
            }
        };
        let workgroups = e.batch * e.slices() / unit.slices;
        let vectors = unit.slices * e.height * e.width;
        if 3 * vectors.div_ceil(256) > LOOP_ROUNDS {
            return Err(Declined::Shape(format!(
                "{vectors} vectors of a group are too many for one workgroup"
            )));
        }
        let small_group = context.profile.rates.reductions.small_group;
        if workgroups < u64::from(context.profile.busy_workgroups) && vectors > small_group {
            return Err(Declined::Shape(format!(
                "{workgroups} workgroups of {vectors} vectors leave a device idle"
            )));
        }
        Ok(unit)
    }

    fn whole(self, context: &mut Context<'_>, node: &Node, unit: Unit) -> Result<Chosen, Declined> {
        let own = self.src.extents();
        let count = own.height.times(&own.width).times(&self.group_channels().into());
        let e = own.largest();
        let units = e.slices() / unit.slices;
        let vectors = unit.slices * e.height * e.width;
        let threads = vectors.next_power_of_two().clamp(32, 256) as u32;
        let [x, y] = grid(&own.batch.times(&units.into()), u64::from(context.profile.grid_axis));
        let constants = vec![
            ("UNITS", Constant::U32(units)),
            ("UNIT_SLICES", Constant::U32(unit.slices)),
            ("GROUP_LANES", Constant::U32(unit.lanes)),
            ("COUNT", Constant::float_size(&count)),
            ("EPSILON", Constant::F32(self.epsilon as f32)),
        ];
        let slots = vec![self.src, self.scale, self.bias];
        let call = context.call(
            node,
            "group_norm",
            constants,
            slots,
            self.dst,
            [threads, 1, 1],
            [x, y, Size::ONE],
        )?;
        let why = format!("{threads} invocations a group of {vectors} vectors");
        Ok(Chosen { call, why, declined: Vec::new(), flops: 8 * e.elements() })
    }

    /// Moments of each channel by chunks of pixels, their combination for each group, then the normalisation.
    fn split(
        self,
        context: &mut Context<'_>,
        node: &Node,
        declined: Vec<String>,
    ) -> Result<Vec<Chosen>, Declined> {
        const THREADS: u64 = 128;
        const ITEMS: u64 = 4;
        let own = self.src.extents();
        let e = own.largest();
        let pixels = e.height * e.width;
        // At least one round of loads an invocation, at most as many workgroups as keep the device busy twice.
        let wanted = (2 * u64::from(context.profile.busy_workgroups)).div_ceil(e.slices() * e.batch);
        let least = pixels.div_ceil(THREADS * ITEMS * LOOP_ROUNDS / 2);
        let chunks = wanted.min(pixels.div_ceil(THREADS * ITEMS)).max(least).max(1);
        let chunk = pixels.div_ceil(chunks);
        // A chunk has as many pixels at every size, so fewer pixels are fewer chunks.
        let pixels = own.height.times(&own.width);
        let chunks = pixels.div_ceil(chunk);
        let count = pixels.times(&self.group_channels().into());
        let slices = || Size::Const(e.slices());
        let moments_grid = [chunks.clone(), slices(), own.batch.clone()];
        let combine_grid = [slices(), own.batch.clone(), Size::ONE];
        let apply_grid = [pixels.div_ceil(THREADS * ITEMS), slices(), own.batch.clone()];

        // What the epilogue reads may have to be converted first: ask before anything is made.
        context.epilogue(node, &self.dst)?;
        let scratch = |context: &mut Context<'_>, name, rows: &Size| {
            let what = format!("{} ({name})", node.name);
            let sizes = [Size::ONE, rows.clone(), own.batch.clone(), own.channels.clone()];
            context.scratch(name, &what, Element::F32, sizes)
        };
        let [mean, factor] = ["mean", "factor"].map(|name| scratch(context, name, &Size::ONE));
        let [means, squares] = ["means", "squares"].map(|name| scratch(context, name, &chunks));
        let read = |slot: &Slot| Slot { access: Access::Read, ..slot.clone() };
        let slots = vec![self.src.clone(), means.clone(), squares.clone()];
        let constants = vec![("CHUNK", Constant::U32(chunk))];
        let moments = plain("group_norm_moments", constants, slots, THREADS as u32, moments_grid);
        let constants = vec![
            ("CHUNK", Constant::U32(chunk)),
            ("PIXELS", Constant::count(pixels)),
            ("GROUP_CHANNELS", Constant::U32(self.group_channels())),
            ("COUNT", Constant::float_size(&count)),
            ("EPSILON", Constant::F32(self.epsilon as f32)),
        ];
        let slots = vec![read(&means), read(&squares), self.scale, mean.clone(), factor.clone()];
        let combine = plain("group_norm_combine", constants, slots, 64, combine_grid);
        let constants = vec![("ITEMS", Constant::U32(ITEMS))];
        let slots = vec![self.src, read(&mean), read(&factor), self.bias];
        let size = [THREADS as u32, 1, 1];
        let apply = context.call(node, "group_norm_apply", constants, slots, self.dst, size, apply_grid)?;
        let step = |call, why, declined, flops| Chosen { call, why, declined, flops };
        let moments_why = format!("moments of {chunks} chunks of {chunk} pixels");
        let combine_why = "mean and factor of each channel's group".to_owned();
        let apply_why = format!("{ITEMS} pixels an invocation");
        Ok(vec![
            step(moments, moments_why, declined, 6 * e.elements()),
            step(combine, combine_why, Vec::new(), 8 * chunks.max() * e.batch * e.channels),
            step(apply, apply_why, Vec::new(), 3 * e.elements()),
        ])
    }
}

/// A dispatch without an epilogue.
fn plain(
    kernel: &'static str,
    constants: Vec<(&'static str, Constant)>,
    slots: Vec<Slot>,
    size: u32,
    workgroups: [Size; 3],
) -> KernelCall {
    KernelCall::plain(kernel, constants, slots, [size, 1, 1], workgroups)
}
