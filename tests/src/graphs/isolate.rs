//! Which node of a graph fails, so that one fault of many graphs is made small once and counted.

use super::device::{Checker, Fault, Setting};
use super::generate::Case;
use super::reference;
use drift_ir::{Graph, NodeId, Tensor, ValueId, eval};
use std::collections::BTreeMap;

/// A name for what is wrong with a graph, the same for the same fault; and the node that is wrong by itself, if one is.
pub fn kind(checker: &mut Checker, case: &Case, fault: &Fault, setting: Setting) -> (String, Option<Case>) {
    let precision = setting.precision;
    for single in single_nodes(case) {
        let Some(own) = checker.fault(&single, setting) else { continue };
        if !own.is_like(fault) {
            continue;
        }
        let kind = match own {
            Fault::Numbers(_) => format!("{} in {precision:?}", signature(&single)),
            _ => format!("{}: {}", signature(&single), words(own.why())),
        };
        return (kind, Some(single));
    }
    let kind = match fault {
        Fault::Numbers(_) => format!("numbers of several nodes in {precision:?}"),
        Fault::AmongOthers(_) => format!("numbers of several graphs in {precision:?}"),
        Fault::Compile(_) | Fault::Run(_) | Fault::Panic(_) => words(fault.why()),
    };
    (kind, None)
}

/// The ops of a graph and the types that they compute.
fn signature(case: &Case) -> String {
    let graph = &case.graph;
    let one = |id: NodeId| {
        let node = graph.node(id);
        format!("{} of {}", node.op.name(), graph.value(node.outputs[0]).ty.element.name())
    };
    graph.nodes().map(one).collect::<Vec<_>>().join(", ")
}

/// The first words of a failure, names and numbers left out.
pub fn words(why: &str) -> String {
    let plain =
        why.split_whitespace().filter(|word| !word.contains(|c: char| c == '`' || c.is_ascii_digit()));
    plain.take(12).collect::<Vec<_>>().join(" ")
}

/// Each node by itself, on what the evaluator gives it.
fn single_nodes(case: &Case) -> Vec<Case> {
    let Some(graph) = reference::bound(case) else { return Vec::new() };
    let mut known: BTreeMap<ValueId, Tensor> =
        graph.inputs().iter().copied().zip(case.inputs.iter().cloned()).collect();
    let observed = eval::run_observed(&graph, &case.inputs, |node, results| {
        known.extend(graph.node(node).outputs.iter().copied().zip(results.iter().cloned()));
    });
    if observed.is_err() || graph.nodes().len() < 2 {
        return Vec::new();
    }
    graph.nodes().filter_map(|node| single(&graph, node, &known)).collect()
}

fn single(graph: &Graph, id: NodeId, known: &BTreeMap<ValueId, Tensor>) -> Option<Case> {
    let node = graph.node(id);
    let (mut made, mut inputs) = (Graph::new(""), Vec::new());
    let mut ids: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for &operand in &node.inputs {
        if ids.contains_key(&operand) {
            continue;
        }
        let value = graph.value(operand);
        let own = match (graph.constant(operand), known.get(&operand)) {
            (Some(constant), _) => made.add_constant(value.name.clone(), constant.clone()),
            (None, Some(tensor)) => {
                inputs.push(tensor.clone());
                made.add_input(value.name.clone(), tensor.ty())
            }
            (None, None) => return None,
        };
        ids.insert(operand, own.ok()?);
    }
    let operands: Vec<ValueId> = node.inputs.iter().map(|operand| ids[operand]).collect();
    let name = graph.value(node.outputs[0]).name.clone();
    let added = made.add_node(name.clone(), node.op.clone(), &operands, [name]).ok()?;
    let outputs = made.node(added).outputs.clone();
    made.set_outputs(&outputs).ok()?;
    Some(Case { graph: made, inputs })
}
