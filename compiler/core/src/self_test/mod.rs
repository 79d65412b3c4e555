//! The self-test of a variant: a program that runs each distinct dispatch of it on seeded operands and samples the result,
//! with the samples' right values from the reference evaluator.
//!
//! The steps are those of the planned program, so that shaders, layouts, in-place pairs and constants are the ones that ship;
//! only their storages are others. Steps that compute one node together, such as the parts of a split sum, are tested
//! together. Tests with the same kernels are one: the first of them that can be evaluated. What is not tested is listed with
//! the reason (`docs/self-test.md`).

mod expected;
mod groups;
mod seeded;
mod tolerance;

pub use expected::Evaluator;

use crate::kernel::{Access, KernelCall, Slot, Source};
use crate::layout::{LayoutMap, Precision, device_type};
use crate::physical::{Element, Layout, StorageType};
use crate::profile::Profile;
use crate::program::{Port, Program, ProgramStep, Storage, StorageKind, Within};
use drift_bundle::self_test::{Samples, SelfTest, Test, Untested};
use drift_ir::{ElementType, Graph, Tensor, ValueId};
use expected::{Expected, Tested};
use groups::{Computes, Group, Held};
use seeded::Range;
use std::collections::{BTreeMap, BTreeSet};

/// A variant to be tested.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The graph that it was selected from.
    pub graph: &'a Graph,
    /// Layouts of its values.
    pub layouts: &'a LayoutMap,
    /// Its program, as it was planned.
    pub program: &'a Program,
    /// The kernel of each step at load, then of each step of a run, by number.
    pub kernels: &'a [usize],
    /// What it is for.
    pub profile: &'a Profile,
    /// Precision of floats.
    pub precision: Option<Precision>,
}

/// The storage of all samples, in the order of the tests.
const SAMPLES: u32 = 0;

/// The self-test of a variant: its program, which is to be planned without changes, and the right values. The program has one
/// output, the bits of all samples.
pub fn make(subject: Subject<'_>, evaluator: &mut Evaluator) -> (Program, SelfTest) {
    let Subject { graph, program, .. } = subject;
    let mut maker = Maker { subject, made: Program::default(), right: SelfTest::default() };
    let (name, kind) = ("samples".to_owned(), StorageKind::Buffer { size_bytes: 0 });
    maker.made.storages.push(Storage { name: name.clone(), kind, within: None });
    let (element, device) = (ElementType::I32, Element::I32);
    maker.made.outputs.push(Port {
        name,
        element,
        form: None,
        shape: vec![0],
        sizes: vec![0.into()],
        device,
        storage: SAMPLES,
    });
    maker.made.constants = program.constants.clone();
    maker.made.init = program.init.clone();
    let kernels = &subject.kernels[program.init.len()..];
    let mut tested: BTreeSet<Vec<usize>> = BTreeSet::new();
    // By kernels, in the order in which they were met.
    let mut untested: Vec<(Vec<usize>, Untested)> = Vec::new();
    for group in groups::groups(graph, program) {
        let key: Vec<usize> = group.steps.iter().map(|&step| kernels[step]).collect();
        if tested.contains(&key) {
            continue;
        }
        match maker.test(&group, evaluator) {
            Ok(()) => {
                untested.retain(|(other, _)| *other != key);
                tested.insert(key);
            }
            Err(reason) if untested.iter().all(|(other, _)| *other != key) => {
                let step = &program.steps[group.steps[0]];
                let dispatch = format!("{}: {}", step.name, step.call.kernel.name);
                untested.push((key, Untested { dispatch, reason }));
            }
            Err(_) => {}
        }
    }
    let Maker { mut made, mut right, .. } = maker;
    made.drop_unread_init();
    right.untested = untested.into_iter().map(|(_, untested)| untested).collect();
    (made, right)
}

/// Gives the output of a self-test room for the samples of `tests` tests: variants of an entry have the same outputs.
pub fn make_room(program: &mut Program, tests: usize) {
    let samples = tests as u64 * seeded::SAMPLES;
    program.storages[SAMPLES as usize].kind = StorageKind::Buffer { size_bytes: samples * 4 };
    program.outputs[0].shape = vec![samples];
}

/// A self-test on its way.
struct Maker<'a> {
    subject: Subject<'a>,
    made: Program,
    right: SelfTest,
}

/// An operand that a test makes.
struct Fill {
    /// Where the model's program keeps it.
    storage: u32,
    value: ValueId,
    layout: Layout,
    /// Its place among the operands.
    ordinal: u32,
    range: Range,
}

/// A test of which all is known.
struct Prepared {
    /// The model's storage of the result.
    result: u32,
    output: ValueId,
    layout: Layout,
    fills: Vec<Fill>,
    samples: Samples,
    /// Absolute, and as a share.
    tolerance: (f32, f32),
}

impl Maker<'_> {
    /// Adds the test of a group; why there is none, if there is none, and then nothing is added.
    fn test(&mut self, group: &Group, evaluator: &mut Evaluator) -> Result<(), String> {
        let prepared = self.prepare(group, evaluator)?;
        self.add(group, prepared);
        Ok(())
    }

    /// Looks at everything that may stand against a test.
    fn prepare(&self, group: &Group, evaluator: &mut Evaluator) -> Result<Prepared, String> {
        let Subject { graph, program, .. } = self.subject;
        let computes = group.computes.ok_or("it stands for no node of the graph")?;
        let result = group.result.ok_or("it writes no storage")?;
        self.check_apart(group)?;
        let (tested, output) = match computes {
            Computes::Node(node) => (Tested::Node(node), graph.node(node).outputs[0]),
            Computes::Copy(value) => (Tested::Value(value), value),
        };
        let operands = operands(group, computes, (result, output));
        self.check_result((result, output), &operands, computes)?;
        let is_made = |value: ValueId| operands.iter().any(|(_, held)| held.value == value);
        let expected = evaluator.expected(graph, tested, &is_made)?;
        let shape = expected.result.shape();
        if graph.value(output).ty.static_shape().as_deref() != Some(shape) {
            return Err(format!("the evaluator's result has shape {shape:?}"));
        }
        let layout = self.layout(Held { value: output, is_copy: matches!(computes, Computes::Copy(_)) })?;
        self.check_layout(group, result, Access::Write, &layout)?;
        self.check_size(result, output, &layout)?;
        let mut fills: Vec<Fill> = Vec::new();
        for &(storage, held) in &operands {
            let made = expected.operands.iter().zip(0..).find(|((value, _), _)| *value == held.value);
            let Some((&(value, range), ordinal)) = made else { continue };
            let layout = self.layout(held)?;
            self.check_layout(group, storage, Access::Read, &layout)?;
            self.check_size(storage, value, &layout)?;
            fills.push(Fill { storage, value, layout, ordinal, range });
        }
        let steps: Vec<&ProgramStep> = group.steps.iter().map(|&step| &program.steps[step]).collect();
        let (samples, tolerance) = self.samples(&expected, &layout, &steps, computes)?;
        Ok(Prepared { result, output, layout, fills, samples, tolerance })
    }

    /// Adds the steps of a test: its operands, what is tested, and samples of the result.
    fn add(&mut self, group: &Group, prepared: Prepared) {
        let Subject { graph, program, profile, .. } = self.subject;
        let Prepared { result, output, layout, fills, samples, tolerance: (absolute, relative) } = prepared;
        let shape = |value: ValueId| graph.value(value).ty.static_shape().unwrap_or_default();
        let homes = self.homes(group, result);
        for Fill { storage, value, layout, ordinal, range } in fills {
            let call = seeded::fill(homes[&storage], (&shape(value), &layout), (range, ordinal), profile);
            self.push(format!("fill {}", graph.value(value).name), call);
        }
        let (first, count) = (self.made.steps.len() as u32, group.steps.len() as u32);
        for &step in &group.steps {
            let mut step = program.steps[step].clone();
            for slot in &mut step.call.slots {
                if let Source::Activation(storage) = &mut slot.source {
                    *storage = homes[storage];
                }
            }
            self.made.steps.push(step);
        }
        let sampled = self.right.tests.len() as u64 * seeded::SAMPLES;
        let made = Layout::row_major(Element::I32, 4);
        let kind = StorageKind::of(&made, &[1, 1, 1, seeded::SAMPLES]);
        let within = Some(Within { storage: SAMPLES, offset_bytes: sampled * Element::I32.size_bytes() });
        let name = format!("samples of {}", graph.value(output).name);
        let storage = self.add_storage(Storage { name, kind, within });
        let call = seeded::sample(homes[&result], (&shape(output), &layout), storage, &made);
        self.push(format!("sample {}", program.steps[group.steps[0]].name), call);
        let sample = sampled as u32;
        self.right.tests.push(Test { sample, first, count, absolute, relative, expected: samples });
    }

    /// A storage of its own for each that a group touches, and for each part of a concatenation within its result's.
    fn homes(&mut self, group: &Group, result: u32) -> BTreeMap<u32, u32> {
        let program = self.subject.program;
        let like = |old: u32, within| {
            let Storage { name, kind, .. } = &program.storages[old as usize];
            Storage { name: name.clone(), kind: *kind, within }
        };
        let mut homes: BTreeMap<u32, u32> =
            group.before.keys().map(|&old| (old, self.add_storage(like(old, None)))).collect();
        for &part in group.joined.keys().filter(|part| !group.before.contains_key(*part)) {
            let offset_bytes = program.root(part).offset_bytes - program.root(result).offset_bytes;
            let within = Within { storage: homes[&result], offset_bytes };
            homes.insert(part, self.add_storage(like(part, Some(within))));
        }
        homes
    }

    fn add_storage(&mut self, storage: Storage) -> u32 {
        self.made.storages.push(storage);
        self.made.storages.len() as u32 - 1
    }

    fn push(&mut self, name: String, call: KernelCall) {
        let (bytes_read, bytes_written) = (call.bytes(Access::Read), call.bytes(Access::Write));
        self.made.steps.push(ProgramStep {
            name,
            origins: Vec::new(),
            call,
            why: "for the self-test".to_owned(),
            declined: Vec::new(),
            bytes_read,
            bytes_written,
            flops: 0,
        });
    }

    /// The layout of a value in a storage.
    fn layout(&self, held: Held) -> Result<Layout, String> {
        let Subject { graph, layouts, precision, .. } = self.subject;
        let name = || graph.value(held.value).name.clone();
        let (element, shape) =
            device_type(graph, held.value, precision).map_err(|error| error.to_string())?;
        match layouts.get(&held.value) {
            Some(layout) if !held.is_copy => Ok(layout.clone()),
            Some(Layout { element, .. }) => Ok(Layout::row_major(*element, shape.len())),
            None if held.is_copy => Ok(Layout::row_major(element, shape.len())),
            None => Err(format!("`{}` has no layout", name())),
        }
    }

    /// Fails where the steps write something else than a node's result at last: that has a storage of its name, or that of an
    /// operand that it is written over.
    fn check_result(
        &self,
        (result, output): (u32, ValueId),
        operands: &[(u32, Held)],
        computes: Computes,
    ) -> Result<(), String> {
        let Subject { graph, program, .. } = self.subject;
        let is_node = matches!(computes, Computes::Node(_));
        let storage = &program.storages[result as usize].name;
        let is_there = *storage == graph.value(output).name || operands.iter().any(|(of, _)| *of == result);
        if is_node && !is_there {
            return Err(format!("its result is in a storage that is made for `{storage}`"));
        }
        Ok(())
    }

    /// Fails where a value does not fit a storage.
    fn check_size(&self, storage: u32, value: ValueId, layout: &Layout) -> Result<(), String> {
        let Subject { graph, program, .. } = self.subject;
        let value = graph.value(value);
        let shape = value.ty.static_shape().unwrap_or_default();
        let (kind, needed) = (&program.storages[storage as usize].kind, StorageKind::of(layout, &shape));
        let fits = match (kind, &needed) {
            (StorageKind::Buffer { size_bytes }, StorageKind::Buffer { size_bytes: needed }) => {
                size_bytes >= needed
            }
            (kind, needed) => kind == needed,
        };
        if fits { Ok(()) } else { Err(format!("`{}` is not of the size of its storage", value.name)) }
    }

    /// Fails where the steps see a storage otherwise than in `layout`.
    fn check_layout(
        &self,
        group: &Group,
        storage: u32,
        access: Access,
        layout: &Layout,
    ) -> Result<(), String> {
        let steps = group.steps.iter().map(|&step| &self.subject.program.steps[step]);
        let slots = steps.flat_map(|step| &step.call.slots);
        let form = |layout: &Layout| {
            // A buffer is an image buffer to those that read it through the texture units.
            let is_buffer = matches!(layout.storage_type, StorageType::Buffer | StorageType::ImageBuffer);
            let storage_type = if is_buffer { StorageType::Buffer } else { layout.storage_type };
            (storage_type, layout.order, layout.element)
        };
        let other = |slot: &&Slot| {
            slot.source == Source::Activation(storage)
                && slot.access == access
                && form(&slot.layout) != form(layout)
        };
        match slots.into_iter().find(other) {
            Some(slot) => Err(format!("its slot `{}` is {}", slot.name, slot.layout.describe())),
            None => Ok(()),
        }
    }

    /// Fails where two storages of a group share bytes: here each has its own.
    fn check_apart(&self, group: &Group) -> Result<(), String> {
        let program = self.subject.program;
        let ranges: Vec<_> = group
            .before
            .keys()
            .map(|&storage| {
                let root = program.root(storage);
                let bytes = program.storages[storage as usize].kind.size_bytes();
                (root.storage, root.offset_bytes..root.offset_bytes + bytes)
            })
            .collect();
        for (at, (root, range)) in ranges.iter().enumerate() {
            let shares = |(other, bytes): &(u32, std::ops::Range<u64>)| {
                other == root && bytes.start < range.end && range.start < bytes.end
            };
            if ranges[..at].iter().any(shares) {
                return Err("two of its storages share memory".to_owned());
            }
        }
        Ok(())
    }

    /// The right samples of a result, and how far they may be off.
    fn samples(
        &self,
        Expected { result, .. }: &Expected,
        layout: &Layout,
        steps: &[&ProgramStep],
        computes: Computes,
    ) -> Result<(Samples, (f32, f32)), String> {
        let places = seeded::places(result.shape(), layout);
        if !layout.element.is_float() {
            let values = integers(result);
            let sample =
                |place: &Option<usize>| place.map_or(Some(0), |place| i32::try_from(values[place]).ok());
            let samples: Option<Vec<i32>> = places.iter().map(sample).collect();
            let samples = samples.ok_or("its result has more than 32 bits")?;
            return Ok((Samples::Integers(samples), (0.0, 0.0)));
        }
        let values = result.to_f64_vec();
        let (is_f16, op) = (
            tolerance::has_f16(steps, layout.element),
            match computes {
                Computes::Node(node) => Some(self.subject.graph.node(node)),
                Computes::Copy(_) => None,
            },
        );
        let finite = || values.iter().filter(|value| value.is_finite());
        if is_f16 && finite().any(|value| value.abs() > tolerance::MOST_F16) {
            return Err("its result leaves the range of f16".to_owned());
        }
        let share = tolerance::share(steps, op, values.len(), is_f16);
        let squares: f64 = finite().map(|value| value * value).sum();
        let rms = (squares / finite().count().max(1) as f64).sqrt();
        let sample = |place: &Option<usize>| place.map_or(0.0, |place| values[place] as f32);
        let samples = places.iter().map(sample).collect();
        Ok((Samples::Floats(samples), ((share * rms) as f32, share as f32)))
    }
}

/// The storages that hold a value before a group, which may be an operand of it.
fn operands(group: &Group, computes: Computes, (result, output): (u32, ValueId)) -> Vec<(u32, Held)> {
    let is_operand = |storage: u32, held: Held| match computes {
        Computes::Node(_) => held.value != output,
        Computes::Copy(_) => storage != result,
    };
    let before = group.before.iter().filter_map(|(&storage, held)| held.map(|held| (storage, held)));
    let before = before.filter(|&(storage, held)| is_operand(storage, held));
    before.chain(group.joined.iter().map(|(&storage, &held)| (storage, held))).collect()
}

/// The elements of a tensor of integers or truth values.
fn integers(tensor: &Tensor) -> Vec<i64> {
    match tensor.ty().element {
        ElementType::Bool => tensor.to_bool_vec().into_iter().map(i64::from).collect(),
        _ => tensor.to_i64_vec(),
    }
}
