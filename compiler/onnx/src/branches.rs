//! `If`: the branch that a constant condition takes, or both, of whose results a condition that depends on data picks.

use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::node::NodeCx;
use crate::proto::{GraphProto, NodeProto};
use crate::scope::{Scope, Slot};
use crate::warning::Warning;
use drift_ir::op::ScalarOp;
use drift_ir::{Op, ValueId};

/// What is refused of the operator.
pub(crate) const REFUSED: &str =
    "a condition that is data where the branches give other shapes or types, or sequences";

impl<'m> Importer<'m> {
    /// Replaces an `If` by what it gives.
    pub(crate) fn take_branch(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let label = scope.label(node);
        match *operands {
            [Slot::Value(condition)] => match self.constant_scalar(condition) {
                Some(taken) => {
                    let taken = taken != 0.0;
                    self.warnings.push(Warning::DroppedBranch { node: label, condition: !taken });
                    self.branch(node, taken, scope)
                }
                None => self.both_branches(node, condition, scope),
            },
            _ => {
                let expected = "1".to_owned();
                Err(scope.error(node, NodeError::OperandCount { found: operands.len(), expected }))
            }
        }
    }

    /// Imports the branch of a condition.
    fn branch(
        &mut self,
        node: &'m NodeProto,
        condition: bool,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let error = |reason| scope.error(node, reason);
        let mut attributes = scope.attributes(node).map_err(error)?;
        let name = if condition { "then_branch" } else { "else_branch" };
        let branch = attributes.graph(name).map_err(error)?;
        let branch: &'m GraphProto = branch.ok_or(NodeError::MissingAttribute(name)).map_err(error)?;
        self.import_body(branch, scope.inside(scope.label(node)))
    }

    /// Imports a branch that may never be meant to run: what it makes no sense of then is no fault of the model.
    fn branch_of_data(
        &mut self,
        node: &'m NodeProto,
        condition: bool,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        self.branch(node, condition, scope).map_err(|error| match error {
            ImportError::Node { node: inner, op, reason } => scope.error(
                node,
                NodeError::Unsupported(format!(
                    "its condition depends on data, and of its branch for {condition} `{inner}` ({op}) cannot be read: {reason}; \
                     fixing free dimensions with --dim, or an input with --bind, may make the condition constant"
                )),
            ),
            other => other,
        })
    }

    /// Imports both branches, which compute nothing but their results, and picks by the condition.
    fn both_branches(
        &mut self,
        node: &'m NodeProto,
        condition: ValueId,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let known = self.unsupported.len();
        let taken = self.branch_of_data(node, true, scope)?;
        let other = self.branch_of_data(node, false, scope)?;
        if self.unsupported.len() > known {
            return Ok(Vec::new());
        }
        let error = |reason| scope.error(node, reason);
        let attributes = scope.attributes(node).map_err(error)?;
        let mut cx = NodeCx::new(self, node, scope, Vec::new(), attributes, 0);
        let picked = pick(&mut cx, condition, &taken, &other).map_err(error)?;
        cx.name_results(&picked);
        self.warnings.push(Warning::BothBranches { node: scope.label(node) });
        Ok(picked.into_iter().map(Slot::Value).collect())
    }
}

/// Each result of one branch where the condition holds, of the other where it does not.
fn pick(
    cx: &mut NodeCx<'_, '_>,
    condition: ValueId,
    taken: &[Slot],
    other: &[Slot],
) -> Result<Vec<ValueId>, NodeError> {
    if taken.len() != other.len() {
        return Err(NodeError::Operands("its branches have different numbers of results".to_owned()));
    }
    let condition = cx.reshape(condition, Vec::new())?;
    let mut picked = Vec::new();
    for (at, slots) in taken.iter().zip(other).enumerate() {
        let (Some(a), Some(b)) = (slots.0.value(), slots.1.value()) else {
            let reason = "its condition depends on data, and a branch gives a sequence or nothing";
            return Err(NodeError::Unsupported(reason.to_owned()));
        };
        if cx.shape(a) != cx.shape(b) || cx.element(a) != cx.element(b) {
            return Err(NodeError::Unsupported(format!(
                "its condition depends on data, and its branches give result {at} different shapes or types; fixing \
                 free dimensions with --dim, or an input with --bind, may make it constant"
            )));
        }
        picked.push(match a == b {
            true => a,
            false => cx.emit(Op::Elementwise(ScalarOp::Select), &[condition, a, b])?,
        });
    }
    Ok(picked)
}
