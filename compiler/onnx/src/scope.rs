//! What names stand for where nodes are read: in the model's own graph, its functions and subgraphs.

use crate::attributes::Attributes;
use crate::error::{ImportError, NodeError};
use crate::proto::{AttributeProto, NodeProto, OperatorSetIdProto};
use drift_ir::ValueId;
use std::collections::HashMap;

/// Oldest operator set that is read.
pub(crate) const OLDEST_OPSET: i64 = 6;
/// Newest operator set that is read.
pub(crate) const NEWEST_OPSET: i64 = 28;
/// Functions and branches within each other.
pub(crate) const MAX_DEPTH: usize = 32;
/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A value of the graph.
    Value(ValueId),
    /// An optional parameter that the caller of a function left out.
    Absent,
    /// A sequence of tensors, by its place among the importer's.
    Sequence(usize),
    /// The result of a node that cannot be compiled.
    Unavailable,
}

impl Slot {
    /// The value, where it is one.
    pub(crate) fn value(self) -> Option<ValueId> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// The names that nodes see: those of their own graph, then those of the graphs around it.
pub(crate) struct Scope<'m, 'p> {
    parent: Option<&'p Scope<'m, 'p>>,
    values: HashMap<String, Slot>,
    /// The call or branch, as the beginning of the names inside; empty for the model's own graph.
    pub(crate) prefix: String,
    pub(crate) opsets: &'m [OperatorSetIdProto],
    /// Values of the parameters that attributes inside a function may refer to.
    parameters: HashMap<&'m str, &'m AttributeProto>,
    depth: usize,
}

impl<'m, 'p> Scope<'m, 'p> {
    /// The model's own graph.
    pub(crate) fn of_model(opsets: &'m [OperatorSetIdProto]) -> Self {
        Self {
            parent: None,
            values: HashMap::new(),
            prefix: String::new(),
            opsets,
            parameters: HashMap::new(),
            depth: 0,
        }
    }

    /// A subgraph within this one, which sees the names of both. Names inside begin with `prefix`.
    pub(crate) fn inside(&'p self, prefix: String) -> Scope<'m, 'p> {
        Self {
            parent: Some(self),
            values: HashMap::new(),
            prefix,
            opsets: self.opsets,
            parameters: self.parameters.clone(),
            depth: self.depth + 1,
        }
    }

    /// The nodes of a function that one of this graph's nodes calls, which see none of its names.
    pub(crate) fn called(
        &self,
        prefix: String,
        opsets: &'m [OperatorSetIdProto],
        parameters: HashMap<&'m str, &'m AttributeProto>,
    ) -> Scope<'m, 'p> {
        Self { parent: None, values: HashMap::new(), prefix, opsets, parameters, depth: self.depth + 1 }
    }

    /// Nodes that are only looked at, under names that begin with `prefix`.
    pub(crate) fn apart(prefix: String, opsets: &'m [OperatorSetIdProto]) -> Self {
        Self { prefix, ..Self::of_model(opsets) }
    }

    /// How many functions and subgraphs this one is in.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether this is the model's own graph.
    pub(crate) fn is_model(&self) -> bool {
        self.depth == 0
    }

    /// Looks a name up.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        let mut scope = Some(self);
        while let Some(at) = scope {
            if let Some(&slot) = at.values.get(name) {
                return Some(slot);
            }
            scope = at.parent;
        }
        None
    }

    /// Adds a name; false when this graph has it already.
    pub(crate) fn insert(&mut self, name: String, slot: Slot) -> bool {
        self.values.insert(name, slot).is_none()
    }

    /// A name from this graph as the whole model knows it.
    pub(crate) fn qualified(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    /// The node's name; its first result's where it has none.
    pub(crate) fn label(&self, node: &NodeProto) -> String {
        let first_result = node.output.iter().find(|name| !name.is_empty());
        let name = Some(&node.name).filter(|name| !name.is_empty()).or(first_result).unwrap_or(&node.op_type);
        self.qualified(name)
    }

    /// Why a node of this scope cannot be imported.
    pub(crate) fn error(&self, node: &NodeProto, reason: NodeError) -> ImportError {
        ImportError::Node { node: self.label(node), op: operator_name(node), reason: Box::new(reason) }
    }

    /// Version of a domain's operators here, where it is imported.
    pub(crate) fn version(&self, domain: &str) -> Option<i64> {
        self.opsets.iter().find(|opset| domain_of(&opset.domain) == domain).map(|opset| opset.version)
    }

    /// Version of a domain's operators here. ONNX's own must be one that we read.
    pub(crate) fn opset(&self, domain: &str, node: &str) -> Result<i64, ImportError> {
        let missing = || ImportError::NoOpset { domain: domain.to_owned(), node: node.to_owned() };
        match self.version(domain).ok_or_else(missing)? {
            version if !domain.is_empty() => Ok(version),
            version @ OLDEST_OPSET..=NEWEST_OPSET => Ok(version),
            version => Err(ImportError::Opset { version, oldest: OLDEST_OPSET, newest: NEWEST_OPSET }),
        }
    }

    /// The attributes of a node; references to parameters that the caller left out are left out too.
    pub(crate) fn attributes(&self, node: &'m NodeProto) -> Result<Attributes<'m>, NodeError> {
        let resolve = |attribute: &'m AttributeProto| match attribute.ref_attr_name.as_str() {
            "" => Some((attribute.name.as_str(), attribute)),
            parameter => Some((attribute.name.as_str(), *self.parameters.get(parameter)?)),
        };
        Attributes::new(node.attribute.iter().filter_map(resolve).collect())
    }
}

/// ONNX's own domain has two names.
pub(crate) fn domain_of(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// What the results of a function or subgraph stand for.
pub(crate) fn results(names: &[String], inner: &Scope<'_, '_>) -> Result<Vec<Slot>, ImportError> {
    let find = |name: &String| {
        inner.find(name).ok_or_else(|| ImportError::MissingOutput { name: inner.qualified(name) })
    };
    names.iter().map(find).collect()
}

/// The operator, with its domain where that is not ONNX's own.
pub(crate) fn operator_name(node: &NodeProto) -> String {
    match domain_of(&node.domain) {
        "" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}
