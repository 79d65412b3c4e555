//! `SequenceMap`: a body for each tensor of sequences whose lengths are known. Each call becomes nodes of its own.

use crate::budget::Resource;
use crate::error::{ImportError, NodeError};
use crate::importer::Importer;
use crate::proto::{GraphProto, NodeProto};
use crate::scope::{Scope, Slot};
use drift_ir::ValueId;

impl<'m> Importer<'m> {
    /// Expands a `SequenceMap`, since 17: operand 0 is a sequence, others are sequences of its length or tensors that each call reads.
    pub(crate) fn map_sequence(
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
        if let Some(name) = attributes.unread() {
            let reason = format!("attribute `{name}` is not known for SequenceMap");
            return Err(error(NodeError::Unsupported(reason)));
        }
        if body.input.len() != operands.len() {
            let reason = format!("its body takes {} operands, expected {}", body.input.len(), operands.len());
            return Err(error(NodeError::Operands(reason)));
        }
        let lists: Vec<Option<Vec<ValueId>>> =
            operands.iter().map(|slot| self.sequence(*slot).map(<[ValueId]>::to_vec)).collect();
        let Some(Some(first)) = lists.first() else {
            return Err(error(NodeError::Operands("operand 0 is not a sequence".to_owned())));
        };
        let length = first.len();
        if let Some(other) = lists.iter().flatten().find(|list| list.len() != length) {
            let reason = format!("its sequences have {length} and {} tensors", other.len());
            return Err(error(NodeError::Operands(reason)));
        }
        let items = (length as u64).saturating_mul((operands.len() + body.output.len()) as u64);
        self.budget.take(Resource::SequenceItems, items).map_err(|limit| error(limit.into()))?;
        let known = self.unsupported.len();
        let mut mapped: Vec<Vec<ValueId>> = vec![Vec::new(); body.output.len()];
        for at in 0..length {
            let mut inner = scope.inside(format!("{label}/{at}"));
            for ((info, slot), list) in body.input.iter().zip(operands).zip(&lists) {
                let slot = list.as_ref().map_or(*slot, |list| Slot::Value(list[at]));
                inner.insert(info.name.clone(), slot);
            }
            let given = self.import_body(body, inner)?;
            if self.unsupported.len() > known {
                // The other calls would only say the same again.
                return Ok(Vec::new());
            }
            for (list, slot) in mapped.iter_mut().zip(given) {
                let bad = || error(NodeError::Operands("a result of its body is no tensor".to_owned()));
                list.push(slot.value().ok_or_else(bad)?);
            }
        }
        let first = self.sequences.len();
        self.sequences.extend(mapped);
        Ok((first..self.sequences.len()).map(Slot::Sequence).collect())
    }
}
