//! Convolutions of 3x3 after Winograd: input tiles are transformed (filters were when the program was loaded), one product a
//! position of the transform domain adds up the channels, and a last transformation makes the pixels of the result.
//!
//! That takes 2.25 or 4 times fewer multiplications and moves the transform domain through memory, so a cost model decides, with
//! the same estimates that choose tilings; and a form whose error on a sample of the layer is above what the layer's
//! storage explains is not taken (docs/winograd.md).

mod form;
mod samples;

pub use samples::Samples;

use super::derive::{Derivation, Piece};
use super::headroom;
use super::product::{self, Product};
use super::tiling::Size;
use super::{Chosen, Context, Declined};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{Element, LANES, Layout, Order};
use crate::profile::{Profile, WinogradWhen};
use drift_ir::Node;
use drift_ir::op::ScalarOp;
use form::Form;

/// A convolution of 3x3 without strides, dilations or groups.
pub(super) struct Layer<'a> {
    pub(super) src: Slot,
    pub(super) dst: Slot,
    /// Makes a slot for the weights as the rhs of the direct product: rows are (tap, input channel in whole slices),
    /// columns output channels.
    pub(super) weights: &'a dyn Fn(&mut Context<'_>) -> Result<Slot, Declined>,
    /// Zeros before the first row and column.
    pub(super) pads: [u64; 2],
    pub(super) src_channels: u64,
    pub(super) dst_channels: u64,
}

/// A form, and the blocks of rows of tiles that it goes through.
struct Plan {
    form: Form,
    /// What input tiles and filters are stored as.
    domain: Element,
    /// Tiles along a row and a column.
    tiles: [u64; 2],
    /// Rows of tiles in a block.
    rows: u64,
    blocks: u64,
    cycles: f64,
}

/// The largest error of a layer's sample over its largest result that is accepted: for f16 two roundings of the result.
fn budget(stored: Element) -> f64 {
    match stored {
        Element::F16 => 1.0 / 1024.0,
        Element::F32 | Element::I32 | Element::U32 => 1e-5,
    }
}

pub(super) fn select(
    context: &mut Context<'_>,
    node: &Node,
    layer: Layer<'_>,
) -> Result<Vec<Chosen>, Declined> {
    let weights = node.inputs[1];
    let stored = context.element(weights)?;
    let Some(tensor) = context.constant_tensor(weights) else {
        return Err(Declined::Unsupported("weights that are not a constant".to_owned()));
    };
    if rounds_to_integers(node) || context.graph.is_single(node.outputs[0]) {
        return Err(Declined::Unsupported("sums that must be exact".to_owned()));
    }
    if stored == Element::F16 && context.element(node.inputs[0])? == Element::F32 {
        let reason = "an input that stays f32: the transform domain is stored as weights are";
        return Err(Declined::Unsupported(reason.to_owned()));
    }
    let profile = context.profile;
    let free = match profile.winograd.when {
        WinogradWhen::Faster => headroom::of(context, node.outputs[0]).most,
        WinogradWhen::Never => return Err(Declined::Shape("switched off".to_owned())),
        WinogradWhen::Always(tile) => {
            let form = if tile == 4 { Form::Four } else { Form::Two };
            let plan = layer.plan(profile, (form, stored), stored, u64::MAX)?;
            return layer.steps(context, node, &plan, format!("{}, as the profile wants", form.name()));
        }
    };
    let plans = storages(profile, stored).into_iter().flat_map(|domain| {
        [Form::Four, Form::Two].map(|form| layer.plan(profile, (form, domain), stored, free))
    });
    let plans: Vec<Result<Plan, Declined>> = plans.collect();
    let direct = layer.direct_cycles(profile, stored)?;
    let mut reasons: Vec<String> =
        plans.iter().filter_map(|plan| Some(plan.as_ref().err()?.to_string())).collect();
    reasons.dedup();
    let mut plans: Vec<Plan> = plans.into_iter().flatten().collect();
    plans.sort_by(|a, b| a.cycles.total_cmp(&b.cycles));
    for plan in plans {
        let name = plan.name(stored);
        let against = format!("{name}: {:.0}k cycles, direct {:.0}k", plan.cycles / 1e3, direct / 1e3);
        if plan.cycles * profile.rates.winograd.worth > direct {
            reasons.push(against);
            continue;
        }
        let growth = layer.growth_bytes(&plan, stored) as f64 / f64::from(1 << 20);
        if growth * profile.rates.winograd.worth_of_a_mib > direct - plan.cycles {
            reasons.push(format!("{against}, for {growth:.0} MiB more of filters"));
            continue;
        }
        let error = context.samples.error(plan.form, tensor, plan.domain);
        let most = budget(plan.domain);
        if error > most {
            reasons.push(format!("{name}: error {error:.1e} on a sample, above {most:.1e}"));
            continue;
        }
        let why = format!("{against}; error {error:.1e} on a sample");
        let mut steps = layer.steps(context, node, &plan, why)?;
        steps[0].declined = reasons;
        return Ok(steps);
    }
    Err(Declined::Shape(reasons.join("; ")))
}

/// What input tiles and filters may be stored as, beside activations that are stored as `stored`. Matrix units take f16 only; a
/// product by invocations computes in f32 whatever it reads, and f32 keeps the larger form within its budget.
fn storages(profile: &Profile, stored: Element) -> Vec<Element> {
    match stored {
        Element::F16 if profile.cooperative.is_none() => vec![Element::F16, Element::F32],
        stored => vec![stored],
    }
}

impl Plan {
    /// Its form, and how the transform domain is stored where that is not as activations are.
    fn name(&self, stored: Element) -> String {
        match self.domain == stored {
            true => self.form.name().to_owned(),
            false => format!("{} in {}", self.form.name(), self.domain.name()),
        }
    }
}

/// Whether a layer's sums become integers before all else, as those of integers do: transformed, they would not be exact.
fn rounds_to_integers(node: &Node) -> bool {
    let first = node.epilogue.steps.first().map(|step| step.op);
    matches!(first, Some(ScalarOp::Cast(to)) if to.is_integer())
}

impl Layer<'_> {
    /// Channels in whole slices, of the source and of the result.
    fn whole_channels(&self) -> [u64; 2] {
        [self.src_channels, self.dst_channels].map(|channels| channels.next_multiple_of(LANES))
    }

    /// Bytes that the filters of a plan take more on the device than the weights, which are given back.
    fn growth_bytes(&self, plan: &Plan, stored: Element) -> u64 {
        let [k, n] = self.whole_channels();
        (plan.form.positions() * plan.domain.size_bytes() - 9 * stored.size_bytes()) * k * n
    }

    fn direct_cycles(&self, profile: &Profile, stored: Element) -> Result<f64, Declined> {
        let [k, n] = self.whole_channels();
        let (src, dst) = (self.src.extents().known()?, self.dst.extents().known()?);
        let size = Size {
            batches: 1.into(),
            m: dst.pixels().into(),
            n: self.dst_channels.into(),
            k: (9 * k).into(),
            transposed: false,
            parts_bytes: u64::MAX,
        };
        let elements = src.elements() + dst.elements() + 9 * k * n;
        product::cycles(profile, &size, stored, elements * stored.size_bytes())
    }

    /// The fastest blocks of a form whose transform domain takes at most `free` bytes, and the cycles of all their dispatches.
    fn plan(
        &self,
        profile: &Profile,
        (form, domain): (Form, Element),
        stored: Element,
        free: u64,
    ) -> Result<Plan, Declined> {
        let e = self.dst.extents().known()?;
        let tiles = [e.width.div_ceil(form.tile()), e.height.div_ceil(form.tile())];
        let [few_blocks, most_blocks] = profile.rates.winograd.blocks;
        let plans = (1..=most_blocks.min(tiles[1])).map(|wanted| {
            let rows = tiles[1].div_ceil(wanted);
            let blocks = tiles[1].div_ceil(rows);
            let sizes = self.domain_bytes(form, domain, tiles[0] * rows * e.batch);
            (rows, blocks, sizes.iter().sum::<u64>())
        });
        let scratch = profile.winograd.scratch_bytes;
        let within = |limit: u64, blocks: std::ops::RangeInclusive<u64>| {
            plans.clone().filter(move |(_, count, bytes)| *bytes <= limit && blocks.contains(count))
        };
        let mut usable: Vec<_> = within(scratch.min(free), 1..=few_blocks).collect();
        // Beyond what caches hold, the least memory; more dispatches only where memory asks for them.
        if usable.is_empty() {
            let few = within(free, 1..=few_blocks).next_back();
            usable.extend(few.or_else(|| within(free, few_blocks + 1..=most_blocks).next()));
        }
        let cycles = usable.into_iter().map(|(rows, blocks, _)| {
            let m = tiles[0] * rows * e.batch;
            let cycles = self.cycles(profile, (form, domain), stored, (m, blocks))?;
            Ok(Plan { form, domain, tiles, rows, blocks, cycles })
        });
        let plans: Vec<Plan> = cycles.collect::<Result<_, Declined>>()?;
        plans.into_iter().min_by(|a, b| a.cycles.total_cmp(&b.cycles)).ok_or_else(|| {
            let (name, free) = (form.name(), free >> 20);
            Declined::Shape(format!(
                "{name}: the transform domain of a block does not fit the {free} MiB below the peak"
            ))
        })
    }

    /// Bytes of the input tiles and of the sums of `m` tiles. Sums stay f32: what input tiles and filters add up
    /// to is not bounded by a layer's results.
    fn domain_bytes(&self, form: Form, domain: Element, m: u64) -> [u64; 2] {
        let [k, n] = self.whole_channels();
        [k * domain.size_bytes(), n * 4].map(|bytes_of_row| form.positions() * m * bytes_of_row)
    }

    /// Cycles of all dispatches of `blocks` of `m` tiles.
    fn cycles(
        &self,
        profile: &Profile,
        (form, element): (Form, Element),
        stored: Element,
        (m, blocks): (u64, u64),
    ) -> Result<f64, Declined> {
        let [k, n] = self.whole_channels();
        let domain: u64 = self.domain_bytes(form, element, m).iter().sum();
        let filters = form.positions() * k * n * element.size_bytes();
        let [batches, m, n, k] = [form.positions(), m, n, k].map(Into::into);
        let size = Size { batches, m, n, k, transposed: false, parts_bytes: u64::MAX };
        let product = product::cycles(profile, &size, element, domain + filters)?;
        let images =
            (self.src.extents().elements() + self.dst.extents().elements()).max() * stored.size_bytes();
        let device = &profile.rates.device;
        let moved = (images / blocks + domain) as f64 / device.bytes_per_cycle;
        // A direct product is one dispatch; here each block has three.
        let transforms = 2.0 * profile.rates.winograd.transform;
        Ok(blocks as f64 * (product + moved + 3.0 * device.dispatch + transforms) - device.dispatch)
    }

    fn steps(
        self,
        context: &mut Context<'_>,
        node: &Node,
        plan: &Plan,
        why: String,
    ) -> Result<Vec<Chosen>, Declined> {
        let form = plan.form;
        let [k, n] = self.whole_channels();
        let m = plan.tiles[0] * plan.rows * self.dst.extents().batch.max();
        let filters = filters(context, node, &self, plan)?;
        let bias = node.inputs.get(2).copied();
        let weights = context.element(node.inputs[1])?;
        let bias = context.bias_slot("bias", bias, self.dst_channels, weights)?;
        // What the epilogue reads may have to be converted first: ask before anything is made.
        context.epilogue(node, &self.dst)?;
        let input_grid = grid_over(m, k / LANES);
        let output_grid = grid_over(m, n / LANES);

        let input_tiles = domain(context, node, "input tiles", plan.domain, [1, form.positions(), m, k]);
        let sums = domain(context, node, "sums", Element::F32, [1, form.positions(), m, n]);
        let start = |block| context.filled("block", (block * plan.rows) as f32, 1);
        let starts: Vec<Slot> = (0..plan.blocks).map(start).collect::<Result<_, _>>()?;
        let mut constants = vec![
            ("TILE", Constant::U32(form.tile())),
            ("TILES_X", Constant::U32(plan.tiles[0])),
            ("BLOCKS", Constant::U32(plan.blocks)),
            ("FILTER_SCALE", Constant::F32((1.0 / form.filter_scale()) as f32)),
        ];
        let (size, workgroups) = output_grid;
        let slots = vec![sums.as_argument("domain", Access::Read), bias, starts[0].clone()];
        let output =
            context.call(node, "winograd_output", constants.clone(), slots, self.dst, size, workgroups)?;

        let (workgroup_size, workgroups) = input_grid;
        constants
            .extend([("PAD_Y", Constant::signed(self.pads[0])), ("PAD_X", Constant::signed(self.pads[1]))]);
        let slots = vec![self.src, starts[0].clone(), input_tiles.as_argument("domain", Access::Write)];
        let input = KernelCall::plain("winograd_input", constants, slots, workgroup_size, workgroups);
        let product = Product {
            batches: form.positions().into(),
            m: m.into(),
            n: n.into(),
            k: k.into(),
            a: input_tiles.as_argument("a", Access::Read),
            b: filters,
            dst: sums.as_argument("dst", Access::Write),
            b_transposed: false,
            window: None,
            bias: None,
            flops: 2 * form.positions() * m * k * n,
        };
        let products = products(context, node, product)?;

        let step = |call, why: &str, flops| Chosen { call, why: why.to_owned(), declined: Vec::new(), flops };
        let [per_input_tile, per_tile] = additions(form);
        let mut steps = Vec::new();
        for start in &starts {
            steps.push(step(input.at_block(start), &why, per_input_tile * m * k));
            steps.extend(products.iter().cloned());
            steps.push(step(output.at_block(start), form.name(), per_tile * m * n));
        }
        Ok(steps)
    }
}

/// The transformed weights as the rhs of the products.
fn filters(context: &mut Context<'_>, node: &Node, layer: &Layer<'_>, plan: &Plan) -> Result<Slot, Declined> {
    let form = plan.form;
    let value = node.inputs[1];
    let weights = Slot { name: "weights".to_owned(), ..(layer.weights)(context)? };
    let [k, n] = layer.whole_channels();
    let (size, workgroups) = grid_over(n / LANES, k);
    let what = format!("winograd {}", form.name());
    let layout = Layout::row_major(plan.domain, 3);
    let derivation = Derivation { value, what: &what, shape: &[form.positions(), k, n], layout };
    context.derive("b", derivation, |_, Piece { first, dst }| {
        let constants = vec![("TILE", Constant::U32(form.tile())), ("FIRST_POSITION", Constant::U32(first))];
        let slots = vec![weights.clone(), dst];
        let call = KernelCall::plain("winograd_filters", constants, slots, size, workgroups);
        let why = format!("weights of {} for every run", form.name());
        Ok(Chosen { call, why, declined: Vec::new(), flops: filter_flops(form) * k * n })
    })
}

/// Positions of the transform domain, each rows of whole slices, neighbouring rows of a slice side by side.
fn domain(context: &mut Context<'_>, node: &Node, what: &str, element: Element, sizes: [u64; 4]) -> Slot {
    let mut slot = context.scratch("domain", &format!("{} ({what})", node.name), element, sizes);
    slot.layout.order = Order::Slices;
    slot
}

/// The products of all positions; the node's epilogue waits for the transformation after them.
fn products(context: &mut Context<'_>, node: &Node, product: Product) -> Result<Vec<Chosen>, Declined> {
    let bare = Node { epilogue: Default::default(), ..node.clone() };
    let is_f16 = product.a.layout.element == Element::F16 && product.b.layout.element == Element::F16;
    match is_f16 && context.profile.cooperative.is_some() {
        true => product::cooperative(context, &bare, product),
        false => product::tiled(context, &bare, product),
    }
}

/// Invocations over columns, which are side by side, and rows.
fn grid_over(columns: u64, rows: u64) -> ([u32; 3], [u64; 3]) {
    const INVOCATIONS: u64 = 64;
    let x = columns.next_power_of_two().min(INVOCATIONS);
    let y = INVOCATIONS / x;
    ([x as u32, y as u32, 1], [columns.div_ceil(x), rows.div_ceil(y), 1])
}

/// Additions and multiplications of a channel of an input tile and of a tile.
const fn additions(form: Form) -> [u64; 2] {
    match form {
        Form::Two => [8 * 4, 6 * 4],
        Form::Four => [12 * 24, 10 * 18],
    }
}

/// Additions and multiplications of a filter.
const fn filter_flops(form: Form) -> u64 {
    match form {
        Form::Two => 7 * 7,
        Form::Four => 14 * 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Source;
    use crate::layout::{self, LayoutChoice, Precision};
    use crate::program::{Content, PackedConstant, Program};
    use crate::{profile, select};

    /// The program of a convolution of 3x3 between others.
    fn program(attributes: &str, precision: Precision, profile: &str) -> Program {
        let text = format!(
            "%x: f32[1,128,64,64]\n@v: f32[128,128,1,1] = random(1)\n@w: f32[128,128,3,3] = random(2)\n\
             %1 = conv %x, @v\n%2 = conv %1, @w {{{attributes}}} epilogue(relu)\n%3 = conv %2, @v\nreturn %3"
        );
        let graph = drift_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let profile = profile::find(profile).expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Auto, Some(precision)).expect("layouts");
        select::choose(&graph, &layouts, profile, Some(precision)).expect("kernels")
    }

    fn kernels(program: &Program) -> Vec<&str> {
        program.steps.iter().map(|step| step.call.kernel.name).collect()
    }

    #[test]
    fn a_faster_form_is_taken_and_says_why() {
        let program = program("pads=[1,1,1,1]", Precision::F32, "generic");
        // The transform domain of all 256 tiles takes 9 MiB, which is more than so small a run has to spare.
        let block = ["winograd_input", "matmul_tiled", "winograd_output"];
        assert_eq!(kernels(&program)[1..7], [block, block].concat());
        assert!(program.steps[1].why.starts_with("F(4x4, 3x3): "), "{}", program.steps[1].why);
        let domain = program.steps[1].bytes_written;
        assert_eq!((program.steps[2].bytes_read > domain, domain), (true, 36 * 128 * 128 * 4));
        assert!(program.steps[2].call.epilogue.is_none() && program.steps[3].call.epilogue.is_some());
    }

    /// Blocks share filters, which are made of what the direct product would read.
    #[test]
    fn filters_are_made_at_load_of_the_weights_of_a_direct_product() {
        fn constant<'a>(program: &'a Program, slot: &Slot) -> Option<&'a PackedConstant> {
            match slot.source {
                Source::Constant(index) => Some(&program.constants[index as usize]),
                Source::Activation(_) => None,
            }
        }
        let winograd = program("pads=[1,1,1,1]", Precision::F32, "generic");
        let [step] = &winograd.init[..] else { panic!("{} dispatches at load", winograd.init.len()) };
        assert_eq!((step.call.kernel.name, step.bytes_written), ("winograd_filters", 36 * 128 * 128 * 4));
        let [weights, filters] = &step.call.slots[..] else { panic!("{:?}", step.call.slots) };
        let made = constant(&winograd, filters).map(|constant| &constant.content);
        assert!(matches!(made, Some(Content::Derived { size_bytes: 2_359_296 })), "{made:?}");
        let reads = winograd.steps.iter().flat_map(|step| &step.call.slots);
        assert_eq!(reads.filter(|slot| slot.source == filters.source).count(), 2, "one a block");
        let direct = program("pads=[1,1,1,1], strides=[2,2]", Precision::F32, "generic");
        let source = constant(&winograd, weights);
        let mut read = direct.steps.iter().flat_map(|step| &step.call.slots);
        assert!(read.any(|slot| constant(&direct, slot) == source), "{source:?}");
    }

    #[test]
    fn under_f16_the_larger_form_keeps_its_domain_in_f32() {
        let program = program("pads=[1,1,1,1]", Precision::F16, "generic");
        let step = program.steps.iter().find(|step| step.call.kernel.name == "winograd_input");
        let step = step.expect("a form within the budget");
        assert!(step.why.starts_with("F(4x4, 3x3) in f32: "), "{}", step.why);
        assert!(step.declined[0].starts_with("F(4x4, 3x3): error "), "{:?}", step.declined);
        let element = |name: &str| {
            let slot = step.call.slots.iter().find(|slot| slot.name == name);
            slot.map(|slot| slot.layout.element)
        };
        assert_eq!((element("src"), element("domain")), (Some(Element::F16), Some(Element::F32)));
    }

    #[test]
    fn what_no_form_suits_is_direct() {
        let strided = program("pads=[1,1,1,1], strides=[2,2]", Precision::F32, "generic");
        // On cooperative matrices the product of so few channels is too short for three dispatches.
        let quick = program("pads=[1,1,1,1]", Precision::F16, "nvidia");
        for (program, reason) in [(strided, "winograd: needs a 3x3 kernel"), (quick, "winograd: F(")] {
            assert!(
                kernels(&program).iter().all(|name| !name.starts_with("winograd")),
                "{:?}",
                kernels(&program)
            );
            let mut reasons = program.steps.iter().flat_map(|step| &step.declined);
            assert!(reasons.any(|declined| declined.starts_with(reason)), "{reason}");
        }
    }

    #[test]
    fn large_images_go_through_in_blocks() {
        let program = program("pads=[1,1,1,1]", Precision::F32, "winograd-2x2");
        let starts: Vec<_> =
            program.steps.iter().filter(|step| step.call.kernel.name == "winograd_input").collect();
        assert_eq!(starts.len(), 16);
        let images: u64 = starts.iter().map(|step| step.bytes_read).sum();
        assert!(images < 128 * 64 * 64 * 4 + 16 * 64, "{images}");
        let shaders = starts.iter().all(|step| step.call.constants == starts[0].call.constants);
        assert!(shaders, "blocks share a shader");
    }
}
