//! What `If`, `Loop`, `Scan` and `SequenceMap` have in common: bodies, each run of which becomes nodes of its own.

use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::node::NodeCx;
use crate::ops::axis;
use crate::proto::{GraphProto, NodeProto};
use crate::scope::{MAX_DEPTH, Scope, Slot, results};
use drift_ir::ValueId;

/// Operators of ONNX's own domain that have bodies.
pub(crate) const OPERATORS: [&str; 4] = ["If", "Loop", "Scan", "SequenceMap"];

impl<'m> Importer<'m> {
    /// Expands a node that has bodies; `None` for others.
    pub(crate) fn expand_bodies(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Option<Result<Vec<Slot>, ImportError>> {
        if !OPERATORS.contains(&node.op_type.as_str()) {
            return None;
        }
        let label = scope.label(node);
        if operands.contains(&Slot::Unavailable) {
            self.note_branches(node, &label, scope);
            return Some(Ok(Vec::new()));
        }
        if scope.depth() == MAX_DEPTH {
            return Some(Err(ImportError::FunctionDepth { function: label, limit: MAX_DEPTH }));
        }
        Some(match node.op_type.as_str() {
            "If" => self.take_branch(node, operands, scope),
            "Loop" => self.unroll(node, operands, scope),
            "Scan" => self.unroll_scan(node, operands, scope),
            _ => self.map_sequence(node, operands, scope),
        })
    }

    /// Imports a body once, whose inputs `inner` has.
    pub(crate) fn import_body(
        &mut self,
        body: &'m GraphProto,
        mut inner: Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        self.add_initializers(body, &mut inner)?;
        self.add_nodes(&body.node, &mut inner)?;
        let names: Vec<String> = body.output.iter().map(|info| info.name.clone()).collect();
        results(&names, &inner)
    }
}

/// Adds what one run gave to what the runs before it gave.
pub(crate) fn collect(collected: &mut [Vec<ValueId>], given: &[Slot]) -> Result<(), NodeError> {
    for (all, slot) in collected.iter_mut().zip(given) {
        let bad = || NodeError::Operands("a result of its body that collects is no tensor".to_owned());
        all.push(slot.value().ok_or_else(bad)?);
    }
    Ok(())
}

/// What all runs gave, beside one another along an axis of its own.
pub(crate) fn side_by_side(
    cx: &mut NodeCx<'_, '_>,
    mut parts: Vec<ValueId>,
    given: i64,
) -> Result<ValueId, NodeError> {
    let Some(&first) = parts.first() else {
        let reason = "it runs no round, so that the shape of what it collects is not known";
        return Err(NodeError::Unsupported(reason.to_owned()));
    };
    let at = axis(given, cx.rank(first) + 1)?;
    for part in &mut parts {
        *part = cx.insert_axis(*part, at)?;
    }
    cx.concat(at, &parts)
}
