//! Loops whose number of rounds is known while a model is imported: each round becomes nodes of its own.

use crate::bodies::{collect, side_by_side};
use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::interface::{self, DeclaredDim};
use crate::node::NodeCx;
use crate::proto::{GraphProto, NodeProto, ValueInfoProto};
use crate::scope::{Scope, Slot};
use bytes::Bytes;
use drift_ir::{Tensor, ValueId};

/// What is refused of the operator.
pub(crate) const REFUSED: &str = "rounds whose number is data, or that a condition on data ends";

/// A loop on its way into the graph.
struct Loop<'m> {
    body: &'m GraphProto,
    /// Whether the next round runs.
    goes_on: bool,
    /// What a round hands on to the next.
    carried: Vec<Slot>,
    /// What the rounds so far gave to each of the results that collect.
    collected: Vec<Vec<ValueId>>,
}

impl<'m> Importer<'m> {
    /// Unrolls a `Loop` whose rounds are counted by a constant, or end by conditions that constants decide.
    pub(crate) fn unroll(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let label = scope.label(node);
        let error = |reason| scope.error(node, reason);
        let mut attributes = scope.attributes(node).map_err(error)?;
        let body = attributes.graph("body").map_err(error)?;
        let body: &'m GraphProto = body.ok_or(NodeError::MissingAttribute("body")).map_err(error)?;
        let (Some(rounds), Some(goes_on)) = (self.rounds(operands), self.truth(operands.get(1))) else {
            self.note_branches(node, &label, scope);
            let reason = "how often it runs depends on data; export the model with the loop unrolled";
            return Err(error(NodeError::Unsupported(reason.to_owned())));
        };
        let carried = operands.get(2..).unwrap_or_default().to_vec();
        let collects = body.output.len().checked_sub(1 + carried.len());
        let Some(collects) = collects.filter(|_| body.input.len() == 2 + carried.len()) else {
            let reason = "its body does not take and give what it carries from round to round";
            return Err(error(NodeError::Operands(reason.to_owned())));
        };
        let mut this = Loop { body, goes_on, carried, collected: vec![Vec::new(); collects] };
        let known = self.unsupported.len();
        let mut round = 0;
        while this.goes_on && round < rounds {
            self.round(node, &mut this, round, scope)?;
            if self.unsupported.len() > known {
                // The other rounds would only say the same again.
                return Ok(Vec::new());
            }
            round += 1;
        }
        self.collect(node, this, scope).map_err(error)
    }

    /// The most rounds that a loop runs; `None` where data decide.
    fn rounds(&self, operands: &[Slot]) -> Option<u64> {
        match operands.first() {
            None | Some(Slot::Absent) => Some(u64::MAX),
            Some(Slot::Value(value)) => self.constant_scalar(*value).map(|rounds| rounds.max(0.0) as u64),
            Some(Slot::Sequence(_) | Slot::Unavailable) => None,
        }
    }

    /// A condition that is constant, or absent and so true.
    fn truth(&self, condition: Option<&Slot>) -> Option<bool> {
        match condition {
            None | Some(Slot::Absent) => Some(true),
            Some(Slot::Value(value)) => self.constant_scalar(*value).map(|value| value != 0.0),
            Some(Slot::Sequence(_) | Slot::Unavailable) => None,
        }
    }

    /// Imports the body once more.
    fn round(
        &mut self,
        node: &'m NodeProto,
        this: &mut Loop<'m>,
        round: u64,
        scope: &Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        let error = |reason| scope.error(node, reason);
        let mut inner = scope.inside(format!("{}/{round}", scope.label(node)));
        let number = Tensor::scalar_i64(round as i64);
        let given = [number, Tensor::scalar_bool(true)].map(|tensor| {
            self.count_value(&inner)?;
            let name = self.names.unique(&inner.qualified("round"));
            Ok::<_, NodeError>(Slot::Value(self.graph.add_constant(name, tensor)?))
        });
        for (info, slot) in this.body.input.iter().zip(given) {
            inner.insert(info.name.clone(), slot.map_err(error)?);
        }
        for (info, &slot) in this.body.input[2..].iter().zip(&this.carried) {
            inner.insert(info.name.clone(), slot);
        }
        let given = self.import_body(this.body, inner)?;
        if given.contains(&Slot::Unavailable) {
            return Ok(());
        }
        this.goes_on = self.truth(given.first()).ok_or_else(|| {
            error(NodeError::Unsupported("its condition depends on data, which is not supported".to_owned()))
        })?;
        let (carried, collected) = given[1..].split_at(this.carried.len());
        this.carried = carried.to_vec();
        collect(&mut this.collected, collected).map_err(error)
    }

    /// The loop's results: what the last round carried, and what all rounds gave, one after the other.
    fn collect(
        &mut self,
        node: &'m NodeProto,
        this: Loop<'m>,
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, NodeError> {
        let attributes = scope.attributes(node)?;
        let mut cx = NodeCx::new(self, node, scope, Vec::new(), attributes, 0);
        let collected = this.body.output.iter().skip(1 + this.carried.len());
        let mut slots = this.carried;
        for (parts, info) in this.collected.into_iter().zip(collected) {
            slots.push(Slot::Value(match nothing(info).filter(|_| parts.is_empty()) {
                Some(tensor) => cx.constant(tensor)?,
                None => side_by_side(&mut cx, parts, 0)?,
            }));
        }
        Ok(slots)
    }
}

/// What no round collects: nothing, of the type and shape that the body declares, where it declares all of it.
fn nothing(info: &ValueInfoProto) -> Option<Tensor> {
    let port = interface::port(info, "output").ok()?;
    let size = |dim: &DeclaredDim| match dim {
        DeclaredDim::Fixed(size) => Some(*size),
        DeclaredDim::Free(_) | DeclaredDim::Computed(_) => None,
    };
    let sizes: Option<Vec<u64>> = port.dims?.iter().map(size).collect();
    Tensor::new(port.element, [vec![0], sizes?].concat(), Bytes::new()).ok()
}
