//! Stages of the compiler as text: `--emit`.

use crate::emit::{self, KernelModules, ShaderError};
use crate::layout::LayoutMap;
use crate::plan::{MemoryPlan, Place};
use crate::profile::Profile;
use crate::program::Program;
use crate::report::layouts_of;
use drift_bundle::manifest::Target;
use drift_ir::Graph;
use std::collections::HashSet;

/// A stage that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The graph after simplification and fusion.
    Graph,
    /// The same as a Graphviz picture.
    Dot,
    /// A layout for each activation.
    Layout,
    /// The dispatches.
    Program,
    /// The memory plan.
    Memory,
    /// Each dispatch's shader.
    Shaders,
}

/// The graph as a file: its text, without the values of large constants, or a picture.
pub(crate) fn graph_file(graph: &Graph, stage: Stage) -> (String, String) {
    if stage == Stage::Dot {
        return ("graph.dot".to_owned(), drift_ir::view::dot(graph));
    }
    let options = drift_ir::text::PrintOptions { elide_above: Some(16) };
    ("graph.txt".to_owned(), drift_ir::text::print_with(graph, options))
}

/// One line an activation.
pub(crate) fn layouts_text(graph: &Graph, layouts: &LayoutMap) -> String {
    layouts
        .iter()
        .map(|(value, layout)| format!("{}: {}\n", one_line(&graph.value(*value).name), layout.describe()))
        .collect()
}

/// A model's name for something, which may hold anything, as part of a line.
fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

/// One line a dispatch; those at load first, as `init`.
pub fn program_text(program: &Program) -> String {
    let mut text = String::new();
    let at_load = program.init.iter().enumerate().map(|(index, step)| (format!("init {index}"), step));
    let of_runs = program.steps.iter().enumerate().map(|(index, step)| (format!("{index:4}"), step));
    for (index, step) in at_load.chain(of_runs) {
        let [x, y, z] = step.call.grid();
        let [a, b, c] = step.call.workgroup_size;
        text.push_str(&format!(
            "{index} {} {} workgroups {x}x{y}x{z} of {a}x{b}x{c}: {}\n",
            step.call.kernel.name,
            one_line(&step.name),
            layouts_of(step)
        ));
    }
    text
}

/// Totals, then one line a storage: where it is, its size, the steps that it is live through; at last what is alive where
/// most is.
pub fn memory_text(program: &Program, plan: &MemoryPlan) -> String {
    let report = &plan.report;
    let mut text = format!(
        "naive {} B, planned {} B{}, lower bound {} B, {:?}, {} steps in place\n",
        report.naive_bytes,
        report.planned_bytes,
        if plan.is_smallest { " (proved smallest)" } else { "" },
        report.lower_bound_bytes,
        report.strategy,
        plan.in_place.len()
    );
    let mut lines: Vec<(u64, usize, usize, String)> = Vec::new();
    for ((storage, place), &(first, own_last)) in
        program.storages.iter().zip(&plan.places).zip(&plan.live_ranges)
    {
        let size = storage.kind.size_bytes();
        if size == 0 {
            continue;
        }
        // A part is needed for as long as the whole is.
        let wholes = std::iter::successors(storage.within, |w| program.storages[w.storage as usize].within);
        let last = wholes.map(|whole| plan.live_ranges[whole.storage as usize].1).fold(own_last, usize::max);
        let place = match place {
            Place::Arena(offset) => format!("arena +{offset}"),
            Place::Texture(index) => format!("texture {index}"),
            Place::Io(number, offset) => format!("io {number} +{offset}"),
            Place::State(number, offset) => format!("state {number} +{offset}"),
        };
        let within = storage.within.map(|within| &program.storages[within.storage as usize].name);
        let within = within.map_or(String::new(), |name| format!(" (within {})", one_line(name)));
        let name = one_line(&storage.name);
        lines.push((
            size,
            first,
            last,
            format!("{place:>16} {size:>10} B  steps {first}..={last}  {name}{within}\n"),
        ));
    }
    lines.iter().for_each(|(.., line)| text.push_str(line));
    if !plan.in_place.is_empty() {
        text.push_str("in place:\n");
    }
    for &step in &plan.in_place {
        text.push_str(&format!("{step:>6} {}\n", one_line(&program.steps[step].name)));
    }
    let most = plan.live_bytes.iter().copied().max().unwrap_or(0);
    if let Some(peak) = plan.live_bytes.iter().position(|&bytes| bytes == most).filter(|_| most > 0) {
        let step = program.steps.get(peak).map_or("the end".to_owned(), |step| one_line(&step.name));
        text.push_str(&format!("most is alive at step {peak}, {step}: {most} B\n"));
        lines.retain(|&(_, first, last, _)| (first..=last).contains(&peak));
        lines.sort_by_key(|&(size, ..)| std::cmp::Reverse(size));
        lines.iter().for_each(|(.., line)| text.push_str(line));
    }
    text
}

/// Each distinct shader of a program, by the name of a file.
pub(crate) fn shader_files(
    name: &str,
    program: &Program,
    (target, profile): (Target, &Profile),
    optimize: bool,
) -> Result<Vec<(String, String)>, ShaderError> {
    let mut kernels = KernelModules::new(optimize);
    let numbers = kernels.make(program, target, profile)?;
    let mut files: Vec<(String, String)> = Vec::new();
    let mut named = HashSet::new();
    for (step, kernel) in program.all_steps().zip(kernels.of(&numbers)) {
        let extension = if target == Target::Vulkan { "spvasm" } else { target.code_extension() };
        let file = format!("{name}.{}_{}.{extension}", step.call.kernel.name, kernel.index);
        if named.insert(file.clone()) {
            files.push((file, emit::shader_text(kernel, target)));
        }
    }
    Ok(files)
}
