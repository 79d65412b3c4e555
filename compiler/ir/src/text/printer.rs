//! The printer. What it writes, the parser reads back to the same text.

use super::attributes::{show, show_scalar};
use super::literal::{show_blocks, show_elements, show_f64};
use crate::dim::{is_plain_name, write_name, write_quoted};
use crate::graph::{Graph, Node, NodeId, ValueDef, ValueId};
use crate::op::{Epilogue, Op, StepArg};
use crate::tensor::Tensor;
use std::fmt::{self, Write};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintOptions {
    /// Constants with more elements than this print as `...`, which does not parse; `None` prints all of them.
    pub elide_above: Option<usize>,
}

/// The whole graph, exactly.
pub fn print(graph: &Graph) -> String {
    print_with(graph, PrintOptions { elide_above: None })
}

/// The graph under options of the caller's choice.
pub fn print_with(graph: &Graph, options: PrintOptions) -> String {
    let mut printer = Printer { graph, options, out: String::new() };
    printer.graph().expect("a string takes every write");
    printer.out
}

struct Printer<'a> {
    graph: &'a Graph,
    options: PrintOptions,
    out: String,
}

impl Printer<'_> {
    fn graph(&mut self) -> fmt::Result {
        let graph = self.graph;
        if !graph.name.is_empty() {
            self.out.push_str("graph ");
            write_quoted(&mut self.out, &graph.name)?;
            self.out.push('\n');
        }
        for (_, symbol) in graph.symbols.iter() {
            self.out.push_str("symbol ");
            write_name(&mut self.out, &symbol.name)?;
            let high = symbol.high.map_or_else(String::new, |high| high.to_string());
            writeln!(self.out, ": {}..{high}", symbol.low)?;
        }
        for &input in graph.inputs() {
            self.typed(input)?;
            self.out.push('\n');
        }
        for (id, value) in graph.values() {
            if let ValueDef::Constant(tensor) = &value.def {
                self.typed(id)?;
                let content = self.content(tensor);
                writeln!(self.out, " = {content}")?;
            }
        }
        for id in graph.nodes() {
            self.node(id)?;
        }
        self.out.push_str("return");
        self.values(" ", graph.outputs())?;
        self.out.push('\n');
        for state in graph.states() {
            self.out.push_str("state ");
            self.value(state.input)?;
            self.out.push_str(" = ");
            self.value(state.output)?;
            self.out.push('\n');
        }
        Ok(())
    }

    fn value(&mut self, id: ValueId) -> fmt::Result {
        let value = self.graph.value(id);
        let is_constant = matches!(value.def, ValueDef::Constant(_));
        self.out.push(if is_constant { '@' } else { '%' });
        if is_plain_name(&value.name) {
            self.out.push_str(&value.name);
            Ok(())
        } else {
            write_quoted(&mut self.out, &value.name)
        }
    }

    fn values(&mut self, before: &str, ids: &[ValueId]) -> fmt::Result {
        for (index, &id) in ids.iter().enumerate() {
            self.out.push_str(if index == 0 { before } else { ", " });
            self.value(id)?;
        }
        Ok(())
    }

    fn typed(&mut self, id: ValueId) -> fmt::Result {
        self.value(id)?;
        let ty = self.graph.value(id).ty.display(&self.graph.symbols);
        write!(self.out, ": {ty}")
    }

    fn content(&self, tensor: &Tensor) -> String {
        if self.options.elide_above.is_some_and(|limit| tensor.len() > limit) {
            return "...".to_owned();
        }
        if let Some(blocks) = tensor.blocks() {
            return show_blocks(blocks, tensor.is_turned());
        }
        if tensor.len() > 1 && tensor.splat_bytes().is_some() {
            let first = tensor.bytes().slice(..tensor.element().size_bytes());
            let one = Tensor::new(tensor.element(), [], first).map(|one| show_elements(&one));
            return format!("splat({})", one.unwrap_or_default().concat());
        }
        let elements = show_elements(tensor).join(", ");
        if tensor.rank() == 0 { elements } else { format!("[{elements}]") }
    }

    fn node(&mut self, id: NodeId) -> fmt::Result {
        let node = self.graph.node(id);
        for (index, &output) in node.outputs.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.typed(output)?;
        }
        write!(self.out, " = {}", node.op.name())?;
        match &node.op {
            Op::Attention(op) => {
                let (read, operands) = node.inputs.split_at(node.inputs.len().min(3));
                self.values(" ", read)?;
                self.out.push_str(&show(&node.op, &self.graph.symbols));
                self.steps("scores", &Epilogue { steps: op.scores.clone(), operands: operands.to_vec() })?;
            }
            op => {
                self.values(" ", &node.inputs)?;
                self.out.push_str(&show(op, &self.graph.symbols));
            }
        }
        self.steps("epilogue", &node.epilogue)?;
        self.names(node)?;
        self.out.push('\n');
        Ok(())
    }

    fn names(&mut self, node: &Node) -> fmt::Result {
        let first_result = node.outputs.first().map(|&output| &self.graph.value(output).name);
        if first_result != Some(&node.name) {
            self.out.push_str(" as ");
            write_quoted(&mut self.out, &node.name)?;
        }
        if node.origins != [node.name.as_str()] {
            self.out.push_str(" from [");
            for (index, origin) in node.origins.iter().enumerate() {
                self.out.push_str(if index == 0 { "" } else { ", " });
                write_quoted(&mut self.out, origin)?;
            }
            self.out.push(']');
        }
        Ok(())
    }

    fn steps(&mut self, word: &str, epilogue: &Epilogue) -> fmt::Result {
        if epilogue.is_empty() {
            return Ok(());
        }
        write!(self.out, " {word}")?;
        let is_listed = !operands_follow_from_steps(epilogue);
        if is_listed {
            self.out.push('[');
            self.values("", &epilogue.operands)?;
            self.out.push(']');
        }
        self.out.push('(');
        let mut before = Epilogue::default();
        for (index, step) in epilogue.steps.iter().enumerate() {
            self.out.push_str(if index == 0 { "" } else { "; " });
            self.out.push_str(step.op.name());
            let args = match step.args.split_first() {
                Some((&first, rest)) if first == before.current() => rest,
                _ => &step.args,
            };
            for (index, &arg) in args.iter().enumerate() {
                self.out.push_str(if index == 0 { " " } else { ", " });
                self.step_arg(arg, epilogue, is_listed)?;
            }
            self.out.push_str(&show_scalar(&step.op));
            before.steps.push(step.clone());
        }
        self.out.push(')');
        Ok(())
    }

    fn step_arg(&mut self, arg: StepArg, epilogue: &Epilogue, is_listed: bool) -> fmt::Result {
        match arg {
            StepArg::Result => self.out.write_str("result"),
            StepArg::Step(step) => write!(self.out, "step{step}"),
            StepArg::Operand(operand) if is_listed => write!(self.out, "operand{operand}"),
            StepArg::Operand(operand) => self.value(epilogue.operands[operand as usize]),
            StepArg::Const(value) => self.out.write_str(&show_f64(value)),
        }
    }
}

/// Whether reading the steps and numbering their values as they come gives the operands in their order.
fn operands_follow_from_steps(epilogue: &Epilogue) -> bool {
    let mut next = 0;
    for arg in epilogue.steps.iter().flat_map(|step| &step.args) {
        if let StepArg::Operand(operand) = *arg {
            if operand > next {
                return false;
            }
            next = next.max(operand + 1);
        }
    }
    let distinct = |index: usize| !epilogue.operands[..index].contains(&epilogue.operands[index]);
    next as usize == epilogue.operands.len() && (0..epilogue.operands.len()).all(distinct)
}
