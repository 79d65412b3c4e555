//! `driftc inspect MODEL.onnx`: what a model takes, gives and holds, and what of it cannot be compiled.

use crate::args::{CompileFlags, InspectArgs};
use crate::error::CliError;
use crate::model;
use crate::units::bytes;
use crate::{Console, Outcome, output};
use drift_onnx::{DeclaredDim, ImportError, Logits, ModelSummary, Port, UnsupportedNode};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// What `driftc inspect MODEL.onnx --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct ModelReport {
    /// `model`; a bundle has `bundle`.
    kind: &'static str,
    /// Name of the model.
    model: String,
    /// BLAKE3 of the model and its data files, hex.
    model_hash: String,
    /// Size of the model and its data files.
    file_bytes: u64,
    /// The tool that wrote it.
    producer: String,
    /// Version of the file format.
    ir_version: Option<i64>,
    /// Versions of operator sets.
    opsets: Vec<OpsetReport>,
    /// Inputs, in order.
    inputs: Vec<PortReport>,
    /// Outputs, in order.
    outputs: Vec<PortReport>,
    /// Nodes, with those inside of others.
    nodes: usize,
    /// Functions of its own.
    functions: usize,
    /// Nodes by operator, most first.
    operators: Vec<OperatorReport>,
    /// Stored tensors.
    weights: usize,
    /// Their elements.
    parameters: u64,
    /// Bytes that they take.
    weights_bytes: u64,
    /// Whether all of it is read; `null` where that is not known, for the reason in `problem`.
    is_supported: Option<bool>,
    /// Nodes that cannot be compiled.
    unsupported: Vec<UnsupportedReport>,
    /// What else keeps the model from being compiled, or from being looked at in full.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct OpsetReport {
    domain: String,
    version: i64,
}

#[derive(Debug, Serialize)]
struct OperatorReport {
    operator: String,
    nodes: usize,
}

#[derive(Debug, Serialize)]
struct UnsupportedReport {
    node: String,
    operator: String,
    reason: String,
}

/// An input or output.
#[derive(Debug, Serialize)]
struct PortReport {
    name: String,
    /// Type of an element on the host.
    element: &'static str,
    /// Sizes as numbers or names; `null` where the file says nothing.
    dims: Option<Vec<String>>,
}

/// Inspects a model.
pub(crate) fn run(path: &Path, args: &InspectArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    for (flag, given) in [
        ("--html", args.html.is_some()),
        ("--shaders", args.shaders.is_some()),
        ("--entry", args.entry.is_some()),
    ] {
        if given {
            return Err(CliError::Usage(format!("{flag} needs a bundle; compile the model first")));
        }
    }
    let (report, unsupported) = report(path, &args.flags)?;
    output::write_document(args.json(), "inspect", &report, console)?;
    if args.json().is_none() {
        print(&report, &unsupported, console)?;
    }
    Ok(Outcome::Fine)
}

fn report(path: &Path, flags: &CompileFlags) -> Result<(ModelReport, Vec<UnsupportedNode>), CliError> {
    let failed = |error| CliError::model(path, error);
    let (source, bindings) = model::open_bound(path, flags)?;
    let summary = drift_onnx::summary(&source).map_err(failed)?;
    let ModelSummary {
        producer,
        ir_version,
        opsets,
        nodes,
        functions,
        operators,
        weights,
        parameters,
        bytes_by_type,
    } = summary;
    // A model whose boundary cannot be compiled can be looked at all the same.
    let inputs = drift_onnx::inputs(&source).unwrap_or_default();
    let outputs = drift_onnx::outputs(&source).unwrap_or_default();
    let (is_supported, unsupported, problem) = match model::import(&source, bindings.dims, Logits::All) {
        Ok(_) => (Some(true), Vec::new(), None),
        Err(ImportError::Unsupported { nodes }) => (Some(false), nodes, None),
        Err(error @ ImportError::FreeDims { .. }) => (None, Vec::new(), Some(told(&error))),
        Err(error) => (Some(false), Vec::new(), Some(told(&error))),
    };
    let report = ModelReport {
        kind: "model",
        model: source.name().to_owned(),
        model_hash: model::hash(&source),
        file_bytes: source.parts().map(|(_, bytes)| bytes.len() as u64).sum(),
        producer,
        ir_version,
        opsets: opsets.into_iter().map(|(domain, version)| OpsetReport { domain, version }).collect(),
        inputs: inputs.iter().map(port).collect(),
        outputs: outputs.iter().map(port).collect(),
        nodes,
        functions,
        operators: operators
            .into_iter()
            .map(|(operator, nodes)| OperatorReport { operator, nodes })
            .collect(),
        weights,
        parameters,
        weights_bytes: bytes_by_type.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add),
        is_supported,
        unsupported: unsupported.iter().map(refused).collect(),
        problem,
    };
    Ok((report, unsupported))
}

fn told(error: &ImportError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refused(node: &UnsupportedNode) -> UnsupportedReport {
    let UnsupportedNode { node, op, reason } = node.clone();
    UnsupportedReport { node, operator: op, reason }
}

fn port(port: &Port) -> PortReport {
    let dim = |dim: &DeclaredDim| match dim {
        DeclaredDim::Fixed(size) => size.to_string(),
        DeclaredDim::Free(name) => name.clone(),
        DeclaredDim::Computed(formula) => formula.text().to_owned(),
    };
    PortReport {
        name: port.name.clone(),
        element: port.element.name(),
        dims: port.dims.as_ref().map(|dims| dims.iter().map(dim).collect()),
    }
}

fn print(
    report: &ModelReport,
    unsupported: &[UnsupportedNode],
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let all = console.lists_all();
    let out = console.out();
    let opsets: Vec<String> =
        report.opsets.iter().map(|opset| format!("{} {}", opset.domain, opset.version)).collect();
    let producer = if report.producer.is_empty() { "a tool that does not say" } else { &report.producer };
    let ir = report.ir_version.map_or_else(String::new, |version| format!(", IR version {version}"));
    writeln!(out, "model     {} (blake3 {}), {}", report.model, report.model_hash, bytes(report.file_bytes))?;
    writeln!(out, "made by   {producer}{ir}; operator sets {}", opsets.join(", "))?;
    let (weights, parameters) = (report.weights, report.parameters);
    writeln!(out, "weights   {weights} tensors, {parameters} parameters, {}", bytes(report.weights_bytes))?;
    report.inputs.iter().try_for_each(|port| print_port("in ", port, out))?;
    report.outputs.iter().try_for_each(|port| print_port("out", port, out))?;
    let functions = match report.functions {
        0 => String::new(),
        functions => format!(", {functions} functions"),
    };
    writeln!(out, "nodes     {}{functions}", report.nodes)?;
    for OperatorReport { operator, nodes } in &report.operators {
        writeln!(out, "  {nodes:6}  {operator}")?;
    }
    print_verdict(report, unsupported, all, out)
}

fn print_port(what: &str, port: &PortReport, out: &mut dyn Write) -> Result<(), CliError> {
    let dims = port
        .dims
        .as_ref()
        .map_or_else(|| "of unknown shape".to_owned(), |dims| format!("[{}]", dims.join(", ")));
    Ok(writeln!(out, "{what}       {}: {} {dims}", port.name, port.element)?)
}

fn print_verdict(
    report: &ModelReport,
    unsupported: &[UnsupportedNode],
    all: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match (&report.problem, report.is_supported) {
        (Some(problem), None) => writeln!(out, "unknown   whether all of it can be compiled: {problem}")?,
        (Some(problem), _) => writeln!(out, "refused   {problem}")?,
        (None, Some(true)) => writeln!(out, "supported all nodes are read")?,
        (None, _) => writeln!(out, "refused   {} nodes cannot be compiled", unsupported.len())?,
    }
    for group in UnsupportedNode::groups(unsupported) {
        let shown = if all { group.len() } else { 1 };
        for UnsupportedNode { node, op, reason } in group.iter().take(shown) {
            let count =
                if all { String::new() } else { format!(", {} nodes (first: `{node}`)", group.len()) };
            let name = if all { format!(" `{node}`") } else { String::new() };
            writeln!(out, "  {op}{name}{count}: {reason}")?;
        }
    }
    Ok(())
}
