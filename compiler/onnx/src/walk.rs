//! The walk over nodes: names are looked up, functions and constant branches are expanded, operators emitted.

use crate::attributes::Attributes;
use crate::bodies;
use crate::budget::Resource;
use crate::data_type::DataType;
use crate::error::{ImportError, NodeError, UnsupportedNode};
use crate::importer::Importer;
use crate::node::NodeCx;
use crate::ops;
use crate::order;
use crate::proto::{AttributeProto, FunctionProto, NodeProto, OperatorSetIdProto};
use crate::schemas;
use crate::scope::{MAX_DEPTH, Scope, Slot, domain_of, operator_name, results};
use crate::sequence;
use std::collections::HashMap;

impl<'m> Importer<'m> {
    /// Imports nodes in execution order.
    pub(crate) fn add_nodes(
        &mut self,
        nodes: &'m [NodeProto],
        scope: &mut Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        for index in order::execution(nodes, |node| scope.label(node))? {
            let node = &nodes[index];
            self.count(node, scope)?;
            let mut operands = Vec::with_capacity(node.input.len());
            for name in &node.input {
                let slot = if name.is_empty() { Some(Slot::Absent) } else { scope.find(name) };
                let unknown = || ImportError::Undefined { node: scope.label(node), value: name.clone() };
                operands.push(slot.ok_or_else(unknown)?);
            }
            let results = self.add_node(node, &operands, scope)?;
            for (at, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let slot = results.get(at).copied().unwrap_or(Slot::Unavailable);
                if !scope.insert(name.clone(), slot) {
                    return Err(ImportError::DuplicateName { name: scope.qualified(name) });
                }
            }
        }
        Ok(())
    }

    /// Counts a node and the names that it gets.
    fn count(&mut self, node: &NodeProto, scope: &Scope<'_, '_>) -> Result<(), ImportError> {
        let weight = 1 + (node.input.len() + node.output.len()) as u64 / 8;
        let names = node.output.iter().map(|name| name.len() + scope.prefix.len());
        let bytes = scope.prefix.len() + node.name.len() + names.sum::<usize>();
        let taken = self.budget.take(Resource::Nodes, weight);
        let taken = taken.and_then(|()| self.budget.take(Resource::NameBytes, bytes as u64));
        taken.map_err(|limit| scope.error(node, limit.into()))
    }

    /// Imports one node; what it cannot compile it notes, and gives no results.
    fn add_node(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        match self.dispatch(node, operands, scope) {
            Err(ImportError::Node { node, op, reason }) => match *reason {
                NodeError::Unsupported(reason) => {
                    self.unsupported.push(UnsupportedNode { node, op, reason });
                    Ok(Vec::new())
                }
                other => Err(ImportError::Node { node, op, reason: Box::new(other) }),
            },
            outcome => outcome,
        }
    }

    fn dispatch(
        &mut self,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let domain = domain_of(&node.domain);
        let error = |reason| scope.error(node, reason);
        let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
        if let Some(&function) = self.functions.get(&key) {
            return self.call(function, node, operands, scope);
        }
        if domain.is_empty()
            && let Some(expanded) = self.expand_bodies(node, operands, scope)
        {
            return expanded;
        }
        let operator = ops::find(domain, &node.op_type);
        let is_sequence_operator = domain.is_empty() && sequence::is_operator(&node.op_type);
        if operator.is_none() && !is_sequence_operator {
            return Err(error(NodeError::Unsupported(missing_operator(node, scope.version(domain)))));
        }
        if operands.contains(&Slot::Unavailable) {
            return Ok(Vec::new());
        }
        let opset = scope.opset(domain, &scope.label(node))?;
        if domain.is_empty() && opset < 7 && OLD_FORMS.contains(&node.op_type.as_str()) {
            let reason = "its form before operator set 7 is not supported; convert the model to 7 or later";
            return Err(error(NodeError::Unsupported(reason.to_owned())));
        }
        let narrow = self.narrow_of(node, operands).map_err(error)?;
        let Some(operator) = operator else {
            return self.add_sequence_node(node, operands, scope, opset);
        };
        if let (true, &[Slot::Sequence(sequence)]) = (node.op_type == "Identity", operands) {
            return Ok(vec![Slot::Sequence(sequence)]);
        }
        if let Some(at) = operands.iter().position(|slot| matches!(slot, Slot::Sequence(_))) {
            return Err(error(NodeError::Operands(format!("operand {at} is a sequence, not a tensor"))));
        }
        let attributes = scope.attributes(node).map_err(error)?;
        let operands = operands.iter().map(|slot| slot.value()).collect();
        let mut cx = NodeCx::new(self, node, scope, operands, attributes, opset);
        cx.check_counts(operator.operands, operator.results).map_err(error)?;
        let values = (operator.convert)(&mut cx).map_err(|reason| error(cx.explained(reason)))?;
        if let Some(name) = cx.attributes.unread() {
            let reason = format!("attribute `{name}` is not known for operator set {opset}");
            return Err(error(NodeError::Unsupported(reason)));
        }
        if DATA_MOVEMENT.contains(&node.op_type.as_str()) {
            values.iter().for_each(|&value| cx.set_narrow(value, narrow));
        }
        cx.name_results(&values);
        Ok(values.into_iter().map(Slot::Value).collect())
    }

    /// The type of the first operand that has fewer than eight bits; refuses it where the operator does not know of it, and
    /// would compute in eight.
    fn narrow_of(&self, node: &NodeProto, operands: &[Slot]) -> Result<Option<DataType>, NodeError> {
        let of = |slot: &Slot| self.narrow.get(&slot.value()?).copied();
        let Some((at, ty)) = operands.iter().enumerate().find_map(|(at, slot)| Some((at, of(slot)?))) else {
            return Ok(None);
        };
        let op = node.op_type.as_str();
        if DATA_MOVEMENT.contains(&op) || NARROW_READERS.contains(&op) {
            return Ok(Some(ty));
        }
        let reason = format!(
            "operand {at} is {}, which is read by {} and moved by {} only",
            ty.name(),
            NARROW_READERS.join(", "),
            DATA_MOVEMENT.join(", ")
        );
        Err(NodeError::Unsupported(reason))
    }

    /// Expands a call of one of the model's own functions.
    fn call(
        &mut self,
        function: &'m FunctionProto,
        node: &'m NodeProto,
        operands: &[Slot],
        scope: &Scope<'m, '_>,
    ) -> Result<Vec<Slot>, ImportError> {
        let error = |reason| scope.error(node, reason);
        if scope.depth() == MAX_DEPTH {
            return Err(ImportError::FunctionDepth { function: function.name.clone(), limit: MAX_DEPTH });
        }
        if operands.len() > function.input.len() {
            let expected = format!("at most {}", function.input.len());
            return Err(error(NodeError::OperandCount { found: operands.len(), expected }));
        }
        let parameters = parameters(function, scope.attributes(node).map_err(error)?).map_err(error)?;
        let mut inner = scope.called(scope.label(node), &function.opset_import, parameters);
        for (at, name) in function.input.iter().enumerate() {
            inner.insert(name.clone(), operands.get(at).copied().unwrap_or(Slot::Absent));
        }
        self.add_nodes(&function.node, &mut inner)?;
        results(&function.output, &inner)
    }
}

impl<'m> Importer<'m> {
    /// Notes the operators that are missing in the subgraphs of a node that cannot be expanded.
    pub(crate) fn note_branches(&mut self, node: &'m NodeProto, label: &str, scope: &Scope<'m, '_>) {
        let mut open: Vec<(&'m [NodeProto], &'m [OperatorSetIdProto], String)> = Vec::new();
        let branches =
            |node: &'m NodeProto| node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        open.extend(branches(node).map(|graph| (&graph.node[..], scope.opsets, label.to_owned())));
        // Functions may call themselves; what is missing then was found in the first rounds.
        while let Some((nodes, opsets, prefix)) = open.pop() {
            for node in nodes {
                let inner = Scope::apart(prefix.clone(), opsets);
                if self.count(node, &inner).is_err() || prefix.matches('/').count() > MAX_DEPTH {
                    return;
                }
                let (label, domain) = (inner.label(node), domain_of(&node.domain));
                let key = (node.domain.as_str(), node.op_type.as_str(), node.overload.as_str());
                if let Some(function) = self.functions.get(&key) {
                    open.push((&function.node, &function.opset_import, label));
                } else if domain.is_empty() && bodies::OPERATORS.contains(&node.op_type.as_str()) {
                    open.extend(branches(node).map(|graph| (&graph.node[..], opsets, label.clone())));
                } else if ops::find(domain, &node.op_type).is_none()
                    && !(domain.is_empty() && sequence::is_operator(&node.op_type))
                {
                    let reason = missing_operator(node, inner.version(domain));
                    self.unsupported.push(UnsupportedNode { node: label, op: operator_name(node), reason });
                }
            }
        }
    }
}

/// What a function's parameters stand for in one call: the call's attributes, then the function's defaults.
fn parameters<'m>(
    function: &'m FunctionProto,
    given: Attributes<'m>,
) -> Result<HashMap<&'m str, &'m AttributeProto>, NodeError> {
    let mut parameters: HashMap<_, _> =
        function.attribute_proto.iter().map(|default| (default.name.as_str(), default)).collect();
    for (name, attribute) in given.into_all() {
        if !parameters.contains_key(name) && !function.attribute.iter().any(|known| known == name) {
            return Err(NodeError::Unsupported(format!("the function has no parameter `{name}`")));
        }
        parameters.insert(name, attribute);
    }
    Ok(parameters)
}

/// Operators that operator set 7 gave other attributes, which are not read in their old form.
const OLD_FORMS: [&str; 4] = ["GRU", "LSTM", "RNN", "Upsample"];

/// Operators whose result has the elements of the first operand.
const DATA_MOVEMENT: [&str; 6] = ["Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// Operators that know integers of fewer than eight bits and floats of eight or fewer.
const NARROW_READERS: [&str; 5] =
    ["Cast", "CastLike", "DequantizeLinear", "GatherBlockQuantized", "QuantizeLinear"];

/// Whether an operator knows integers of fewer than eight bits and floats of eight or fewer, or only moves them.
pub(crate) fn knows_narrow(operator: &str) -> bool {
    DATA_MOVEMENT.contains(&operator) || NARROW_READERS.contains(&operator)
}

/// Why an operator cannot be imported. The operator set is not named: no other one would help.
fn missing_operator(node: &NodeProto, version: Option<i64>) -> String {
    let (domain, name) = (domain_of(&node.domain), node.op_type.as_str());
    let reason = match why_refused(domain, name) {
        Some(reason) => reason,
        None if schemas::is_unknown(domain, name) => {
            "the operator is not supported; no operator set known here has one of this name"
        }
        None => "the operator is not supported",
    };
    match version {
        Some(_) => reason.to_owned(),
        None => format!("{reason} (its domain is not imported)"),
    }
}

/// Why an operator that is known by name is refused.
pub(crate) fn why_refused(domain: &str, name: &str) -> Option<&'static str> {
    let found = REFUSED.iter().find(|refused| refused.0 == domain && refused.1.contains(&name));
    found.map(|refused| refused.2)
}

/// The operators that are refused by name.
#[cfg(test)]
pub(crate) fn refused_names() -> impl Iterator<Item = (&'static str, &'static str)> {
    REFUSED.iter().flat_map(|&(domain, names, _)| names.iter().map(move |&name| (domain, name)))
}

/// Operators that are refused for a reason of their own: domain, names, reason.
const REFUSED: &[(&str, &[&str], &str)] = &[
    ("", &["ImageDecoder"], "images are not decoded; give the model their pixels as an input"),
    (
        "",
        &["RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"],
        "texts are not supported; give the model what they become as an input",
    ),
    ("", &["TfIdfVectorizer"], "counting n-grams is not supported; count them before the model runs"),
    (
        "com.microsoft",
        &["QMoE", "SparseAttention"],
        "it belongs to ONNX Runtime's fused language-model operators, which are not supported; export the model without them",
    ),
];
