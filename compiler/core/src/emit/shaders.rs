//! Makes each distinct kernel once: text to module, passes, lowering for the target, code. In parallel, in a fixed order.

use super::alike::{Families, Numbered};
use super::calls::Calls;
use super::error::ShaderError;
use super::textures::check_textures;
use crate::kernel::interface::Meaning;
use crate::kernel::{KernelCall, ModuleText, Named, dispatched};
use crate::module::lower::{FoldedGrid, OneF16};
use crate::module::{self, Alike, MOST_ROUNDS, Specialized};
use crate::physical::Size;
use crate::profile::Profile;
use crate::program::{Program, ProgramStep};
use drift_bundle::manifest::{DeviceElement, Requirement, Target};
use drift_targets::Feature;
use indexmap::IndexMap;
use naga::{AddressSpace, StorageAccess};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A kernel in a target's language, and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct EmittedKernel {
    /// Position among the distinct kernels of the bundle.
    pub index: usize,
    /// Name of the entry point in the code.
    pub entry_point: String,
    /// What a bundle stores.
    pub code: Vec<u8>,
    /// Invocations per workgroup.
    pub workgroup_size: [u32; 3],
    /// Workgroups dispatched.
    pub workgroups: [u32; 3],
    /// Workgroup memory in bytes.
    pub shared_bytes: u32,
    /// Subgroup size that the code relies on.
    pub subgroup_size: Option<u32>,
    /// Predicates on the device.
    pub requires: Vec<Requirement>,
}

/// What a kernel's code follows from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KernelKey {
    pub(super) target: Target,
    /// Subgroup size of the loops that stand for cooperative matrices, where they do.
    pub(super) loops: Option<u32>,
    /// Workgroups dispatched; the text says how many it counts.
    pub(super) dispatched: [u32; 3],
    pub(super) text: String,
    /// The most that each word of the uniform buffer is.
    pub(super) words: Vec<u64>,
}

/// The distinct kernels of a bundle.
#[derive(Default)]
pub struct KernelModules {
    made: IndexMap<KernelKey, EmittedKernel>,
    optimize: bool,
}

impl KernelModules {
    /// An empty collection; `optimize` runs the SPIR-V optimiser.
    pub fn new(optimize: bool) -> Self {
        Self { made: IndexMap::new(), optimize }
    }

    /// Makes what `program` needs on `target` and is not there yet; returns the kernel of each step, those at load first.
    pub fn make(
        &mut self,
        program: &Program,
        target: Target,
        profile: &Profile,
    ) -> Result<Vec<usize>, ShaderError> {
        let loops = profile.cooperative_as_loops.then(|| profile.subgroup_size.unwrap_or(1));
        let mut missing: IndexMap<KernelKey, &ProgramStep> = IndexMap::new();
        let mut numbers = Vec::with_capacity(program.init.len() + program.steps.len());
        let mut calls = Calls::default();
        check_textures(program, emission_target(target))?;
        // OpenCL counts work items in whole words, and PoCL crashes where a workgroup that hangs over returns before a barrier.
        let (axis, depth) = match target {
            Target::OpenCl => (u32::MAX, u32::MAX),
            Target::Vulkan | Target::Metal | Target::WebGpu => (profile.grid_axis, profile.grid_depth),
        };
        for step in program.all_steps() {
            let dispatched = dispatched(step.call.grid(), axis, depth).ok_or_else(|| ShaderError::Grid {
                node: step.name.clone(),
                kernel: step.call.kernel.name,
                wanted: step.call.grid(),
                limit: axis,
            })?;
            if dispatched.map(u64::from) != step.call.grid() && step.call.workgroups.iter().any(Size::is_free)
            {
                return Err(ShaderError::FreeGrid {
                    node: step.name.clone(),
                    kernel: step.call.kernel.name,
                    wanted: step.call.grid(),
                    limit: axis,
                });
            }
            numbers.push(calls.of(&step.call, || {
                let ModuleText { text, words } = step.call.module();
                let words = words.iter().map(Size::max).collect();
                let key = KernelKey { target, loops, dispatched, text, words };
                match self.made.get_index_of(&key) {
                    Some(number) => number,
                    None => {
                        let entry = missing.entry(key);
                        let number = self.made.len() + entry.index();
                        entry.or_insert(step);
                        number
                    }
                }
            }));
        }
        let results = make_all(&missing, self.optimize);
        for ((key, _), result) in missing.into_iter().zip(results) {
            let index = self.made.len();
            self.made.insert(key, EmittedKernel { index, ..result? });
        }
        Ok(numbers)
    }

    /// The kernels that [`KernelModules::make`] gave these numbers.
    pub fn of(&self, numbers: &[usize]) -> Vec<&EmittedKernel> {
        numbers.iter().map(|&number| &self.made[number]).collect()
    }
}

/// The kernels of some keys, in order.
fn make_all(
    missing: &IndexMap<KernelKey, &ProgramStep>,
    optimize: bool,
) -> Vec<Result<EmittedKernel, ShaderError>> {
    let numbered = |n: usize| Numbered::of(&missing[n].call, &key(missing, n).text);
    let families = Families::of(in_parallel(missing.len(), numbered));
    let shared = in_parallel(families.firsts().len(), |family| {
        let first = families.firsts()[family];
        shared(key(missing, first), missing[first], optimize)
    });
    in_parallel(missing.len(), |n| {
        let (key, step) = (key(missing, n), missing[n]);
        let whole = families.member(n).and_then(|(family, numbers)| shared[family].as_ref()?.with(numbers));
        match whole {
            Some(whole) => {
                check(&step.call)?;
                emit(key, step, whole, optimize)
            }
            None => emit(key, step, specialized_text(&key.text, &step.call)?, optimize),
        }
    })
}

fn key<'a>(missing: &'a IndexMap<KernelKey, &ProgramStep>, n: usize) -> &'a KernelKey {
    missing.get_index(n).map(|(key, _)| key).unwrap_or_else(|| unreachable!("n is in range"))
}

/// What kernels have in common that differ from this one in numbers alone; nothing where this one does not come out of it as it does
/// by itself.
pub(super) fn shared(key: &KernelKey, step: &ProgramStep, optimize: bool) -> Option<Alike> {
    let Named { text, names, numbers } = step.call.named(&key.text)?;
    let alike = module::alike(&text, &names).ok()??;
    let alone = specialized_text(&key.text, &step.call).and_then(|whole| emit(key, step, whole, optimize));
    let made = emit(key, step, alike.with(&numbers)?, optimize);
    (made.ok()? == alone.ok()?).then_some(alike)
}

/// `work` for `0..count` on as many threads as there are cores; results in order.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(count));
    drift_bundle::on_several(count, || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                break;
            }
            let result = work(n);
            results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((n, result));
        }
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The naga module of a call after all passes.
pub fn specialized(call: &KernelCall) -> Result<Specialized, ShaderError> {
    specialized_text(&call.module_text(), call)
}

pub(super) fn specialized_text(text: &str, call: &KernelCall) -> Result<Specialized, ShaderError> {
    check(call)?;
    let failed = |source| ShaderError::Module { kernel: call.kernel.name, source: Box::new(source) };
    module::specialize(module::parse(text).map_err(failed)?).map_err(failed)
}

/// Fails where the call is not as its kernel wants it.
fn check(call: &KernelCall) -> Result<(), ShaderError> {
    call.check_interface().map_err(|source| ShaderError::Interface { kernel: call.kernel.name, source })
}

/// The code of a kernel after all passes.
pub(super) fn emit(
    key: &KernelKey,
    step: &ProgramStep,
    mut kernel: Specialized,
    optimize: bool,
) -> Result<EmittedKernel, ShaderError> {
    let KernelKey { target, loops, dispatched, ref words, .. } = *key;
    let call = &step.call;
    let failed = |source| ShaderError::Module { kernel: call.kernel.name, source: Box::new(source) };
    if dispatched.map(u64::from) != call.grid() {
        // As many fit 32 bits together, so each count does.
        let wanted = call.grid().map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        kernel = module::lower::fold_grid(kernel, FoldedGrid { wanted, dispatched }).map_err(failed)?;
    }
    // Before matrices become loops: that is for tests, which see what a driver cuts off.
    let rounds = module::rounds(&kernel.module, words).map_err(failed)?;
    if rounds > MOST_ROUNDS {
        return Err(ShaderError::Rounds { node: step.name.clone(), kernel: call.kernel.name, rounds });
    }
    if let Some(subgroup) = loops {
        kernel = module::lower::coop_to_loops(kernel, subgroup).map_err(failed)?;
    }
    let mut native_f16 = drift_targets::features(&kernel.module).contains(&Feature::F16);
    // What holds one f16 of a buffer where kernels may have no f16.
    let one = match target {
        Target::WebGpu => Some(OneF16::HalfWord),
        Target::OpenCl => Some(OneF16::U16),
        Target::Vulkan | Target::Metal => None,
    };
    if let Some(one) = one.filter(|_| native_f16) {
        // A kernel that cannot be lowered keeps f16, and its variant says so.
        if let Ok(lowered) = module::lower::f16_storage_only(kernel.clone(), one) {
            kernel = lowered;
            native_f16 = false;
        }
    }
    if target == Target::WebGpu {
        share_activations(&mut kernel);
    }
    let options = drift_targets::Options {
        optimize,
        opencl: drift_targets::opencl::Options { fp16: native_f16, ..Default::default() },
    };
    let to = emission_target(target);
    let emitted = drift_targets::emit(to, &kernel.module, &kernel.info, &options).map_err(|source| {
        let (node, kernel) = (step.name.clone(), call.kernel.name);
        ShaderError::Emit { node, kernel, target: to, source: Box::new(source) }
    })?;
    let shared_bytes = u32::try_from(drift_targets::workgroup_bytes(&kernel.module)).unwrap_or(u32::MAX);
    let mut requires = vec![Requirement::SharedBytes(shared_bytes)];
    requires.extend(emitted.features.iter().filter_map(requirement));
    let subgroup_size = call.constant(Meaning::SubgroupSize).and_then(|size| u32::try_from(size).ok());
    // Loops need no subgroup, whatever width they imitate.
    let subgroup_size = subgroup_size.filter(|_| loops.is_none());
    requires.extend(subgroup_size.map(Requirement::SubgroupSize));
    Ok(EmittedKernel {
        index: 0,
        entry_point: emitted.entry_point,
        code: emitted.code.bytes().into_owned(),
        workgroup_size: kernel.module.entry_points[0].workgroup_size,
        workgroups: dispatched,
        shared_bytes,
        subgroup_size,
        requires,
    })
}

/// The predicate that a feature asks of a device, where the target's least device has it not.
fn requirement(feature: &Feature) -> Option<Requirement> {
    match *feature {
        Feature::F16 => Some(Requirement::F16),
        Feature::Subgroups => Some(Requirement::Subgroups),
        // The kernels multiply f16 into f32 sums, in square pieces.
        Feature::CooperativeMatrix { columns, rows } => Some(Requirement::CooperativeMatrix {
            m: rows,
            n: columns,
            k: columns,
            ab: DeviceElement::F16,
            c: DeviceElement::F32,
        }),
        Feature::F64
        | Feature::Int16
        | Feature::Int64
        | Feature::CooperativeVectorMemory
        | Feature::ImageBuffer
        | Feature::PackedDot
        | Feature::RuntimeSizedArray => None,
    }
}

/// On WebGPU the arena is one buffer, which cannot be read-only and writable in one dispatch.
fn share_activations(kernel: &mut Specialized) {
    for (_, variable) in kernel.module.global_variables.iter_mut() {
        let activations = variable.binding.as_ref().is_some_and(|binding| binding.group == 0);
        if let AddressSpace::Storage { access } = &mut variable.space
            && activations
        {
            *access = StorageAccess::LOAD | StorageAccess::STORE;
        }
    }
}

/// The manifest's target as the emitters name it.
pub fn emission_target(target: Target) -> drift_targets::Target {
    match target {
        Target::Vulkan => drift_targets::Target::Vulkan,
        Target::Metal => drift_targets::Target::Metal,
        Target::WebGpu => drift_targets::Target::WebGpu,
        Target::OpenCl => drift_targets::Target::OpenCl,
    }
}

/// A kernel's code as text: SPIR-V disassembled where the tools are built in, as hexadecimal words otherwise.
pub fn shader_text(kernel: &EmittedKernel, target: Target) -> String {
    code_text(&kernel.code, target)
}

/// As [`shader_text`], of the code that a bundle holds.
pub fn code_text(code: &[u8], target: Target) -> String {
    match target {
        Target::Vulkan => {}
        Target::Metal | Target::WebGpu | Target::OpenCl => {
            return String::from_utf8_lossy(code).into_owned();
        }
    }
    let words: Vec<u32> =
        code.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
    #[cfg(feature = "spirv-tools")]
    if let Ok(text) = drift_targets::disassemble(&words) {
        return text;
    }
    words.iter().map(|word| format!("{word:08x}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{KernelModules, ShaderError};
    use crate::emit::specialized;
    use crate::layout::{self, LayoutChoice};
    use crate::{profile, select};
    use drift_bundle::manifest::Target;
    use drift_ir::op::Gather;
    use drift_ir::{ElementType, Graph, Op, Tensor, TensorType};

    /// An array of a shader ends below 2 GiB, whatever a device binds. Nothing here touches the weight's pages.
    #[test]
    fn a_weight_of_more_than_two_gib_is_read_in_parts() {
        let (rows, width) = (9_000_000_u64, 64_u64);
        let bytes = vec![0_u8; (rows * width * 4) as usize];
        let table = Tensor::new(ElementType::F32, [rows, width], bytes.into()).expect("a table");
        let mut graph = Graph::new("wide");
        let ids = graph.add_input("ids", TensorType::fixed(ElementType::I64, &[7])).expect("an input");
        let table = graph.add_constant("table", table).expect("a constant");
        let node = graph.add_node("y", Op::Gather(Gather { axis: 0 }), &[table, ids], ["y"]).expect("a node");
        graph.set_outputs(&graph.node(node).outputs.clone()).expect("an output");
        graph.share();
        let profile = profile::find("nvidia").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, profile, None).expect("a program");
        let call = &program.steps[0].call;
        let parts = call.bindings().iter().filter(|binding| binding.name.starts_with("src_data")).count();
        assert_eq!(parts, 2);
        specialized(call).expect("a module");
    }

    #[test]
    fn emitters_name_targets_as_bundles_do() {
        assert_eq!(Target::ALL.map(super::emission_target), drift_targets::Target::ALL);
        assert_eq!(
            Target::ALL.map(Target::name),
            drift_targets::Target::ALL.map(drift_targets::Target::name)
        );
    }

    /// A kernel that needs more than Metal's devices have is refused in its node's name.
    #[test]
    fn a_kernel_beyond_metals_limits_names_its_node() {
        let text = "%x: f32[64,64]\n%y = exp %x\nreturn %y";
        let graph = drift_ir::text::parse(text).expect("a graph");
        let profile = profile::find("generic").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        let mut program = select::choose(&graph, &layouts, profile, None).expect("a program");
        let last = program.steps.last_mut().expect("a step");
        last.call.workgroup_size = [2_048, 1, 1];
        let refused = KernelModules::new(false).make(&program, Target::Metal, profile);
        let Err(error @ ShaderError::Emit { .. }) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().starts_with("`y` (elementwise) for metal"), "{error}");
    }

    /// Nothing splits a pool: what no driver is sure to run to its end is refused, in the node's name.
    #[test]
    fn a_window_of_too_many_taps_is_refused_by_name() {
        let text = "%x: f32[1,1,2001,2001]\n%pooled = pool_average %x {kernel=[2000,2000]}\nreturn %pooled";
        let graph = drift_ir::text::parse(text).expect("a graph");
        let profile = profile::find("generic").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, profile, None).expect("a program");
        let refused = KernelModules::new(false).make(&program, Target::Vulkan, profile);
        let Err(error @ ShaderError::Rounds { .. }) = refused else { panic!("{refused:?}") };
        let message = error.to_string();
        assert!(message.starts_with("`pooled` (pool) needs ") && !error.is_internal(), "{message}");
    }
}
