//! A graph under construction: what it has, what it may still use, and the names that are taken.

use crate::bounds::Bounds;
use crate::budget::{Budget, LIST, Resource};
use crate::cache::Caches;
use crate::data_type::DataType;
use crate::error::{ImportError, NodeError, UnsupportedNode};
use crate::names::Names;
use crate::proto::{FunctionProto, GraphProto, TensorProto};
use crate::scope::{Scope, Slot};
use crate::source::ModelSource;
use crate::tensor;
use crate::warning::Warning;
use drift_ir::dim::IntExpr;
use drift_ir::graph::EditError;
use drift_ir::{ElementType, Graph, Tensor, ValueDef, ValueId};
use std::collections::{HashMap, HashSet};

/// A graph under construction.
pub(crate) struct Importer<'m> {
    pub(crate) source: &'m ModelSource,
    pub(crate) graph: Graph,
    /// Names of values.
    pub(crate) names: Names,
    /// Names of nodes, which the file may give more than once.
    pub(crate) node_names: Names,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) unsupported: Vec<UnsupportedNode>,
    /// The model's functions by domain, name and overload.
    pub(crate) functions: HashMap<(&'m str, &'m str, &'m str), &'m FunctionProto>,
    /// The sequences of tensors that nodes made, whose lengths are all known.
    pub(crate) sequences: Vec<Vec<ValueId>>,
    /// What the model may still use.
    pub(crate) budget: Budget,
    /// What is computed in f32 instead of double.
    pub(crate) doubles: Doubles,
    /// Values of integers of fewer than eight bits, which the graph holds in eight, and of floats of eight or fewer, which it holds as f32.
    pub(crate) narrow: HashMap<ValueId, DataType>,
    /// Values that are bfloat16 in the file and f32 in the graph, as far as inputs, constants and casts say so.
    pub(crate) bfloats: HashSet<ValueId>,
    /// Caches that become states.
    pub(crate) caches: Option<Caches>,
    /// Sizes that data decide.
    pub(crate) bounds: Bounds,
}

/// Values that are double in the file and f32 in the graph. Constants stay double for as long as they are folded.
#[derive(Default)]
pub(crate) struct Doubles {
    /// Values of type f32 that are double in the file.
    pub(crate) values: HashSet<ValueId>,
    /// The f32 constant for one of type double.
    pub(crate) constants: HashMap<ValueId, ValueId>,
    /// The nodes that compute with them.
    pub(crate) nodes: Vec<String>,
}

impl<'m> Importer<'m> {
    pub(crate) fn new(source: &'m ModelSource) -> Self {
        let functions = source.model().functions.iter();
        let key = |f: &'m FunctionProto| (f.domain.as_str(), f.name.as_str(), f.overload.as_str());
        let mut graph = Graph::default();
        source.name().clone_into(&mut graph.name);
        Self {
            source,
            graph,
            names: Names::default(),
            node_names: Names::default(),
            warnings: Vec::new(),
            unsupported: Vec::new(),
            functions: functions.map(|function| (key(function), function)).collect(),
            sequences: Vec::new(),
            budget: Budget::new(source.size_bytes()),
            doubles: Doubles::default(),
            narrow: HashMap::new(),
            bfloats: HashSet::new(),
            caches: None,
            bounds: Bounds::new(source.bounds().clone()),
        }
    }

    /// Adds the constants that a graph stores.
    pub(crate) fn add_initializers(
        &mut self,
        proto: &'m GraphProto,
        scope: &mut Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        if let Some(sparse) = proto.sparse_initializer.first() {
            let name = sparse.values.as_ref().map(|values| values.name.clone()).unwrap_or_default();
            return Err(ImportError::SparseInitializer { name });
        }
        for stored in &proto.initializer {
            self.count_bytes(stored, &stored.name, "initializer")?;
            let value = tensor::read(stored, Some(self.source))?;
            let name = if scope.is_model() { stored.name.clone() } else { self.names.unique(&stored.name) };
            let value = self.graph.add_constant(name, value).map_err(Box::new)?;
            if let Ok(ty) = DataType::from_proto(stored.data_type) {
                self.note_type(value, ty);
            }
            if !scope.insert(stored.name.clone(), Slot::Value(value)) {
                return Err(ImportError::DuplicateName { name: stored.name.clone() });
            }
        }
        Ok(())
    }

    /// Notes the type in the file of a value that the graph holds in a larger one.
    pub(crate) fn note_type(&mut self, value: ValueId, ty: DataType) {
        if ty == DataType::Bfloat16 {
            self.bfloats.insert(value);
        } else if ty.is_narrow() {
            self.narrow.insert(value, ty);
        }
    }

    /// A constant of type double as f32; other values are not touched.
    pub(crate) fn single(&mut self, value: ValueId) -> Result<ValueId, EditError> {
        if let Some(&single) = self.doubles.constants.get(&value) {
            return Ok(single);
        }
        let Some(tensor) = self.graph.constant(value).filter(|tensor| tensor.element() == ElementType::F64)
        else {
            return Ok(value);
        };
        let rounded = Tensor::from_f64_as(ElementType::F32, tensor.shape().to_vec(), &tensor.to_f64_vec());
        let rounded = rounded.unwrap_or_else(|_| unreachable!("half the bytes of a tensor that exists"));
        // The name stays with what is read.
        let name = self.graph.value(value).name.clone();
        let double = self.names.unique(&format!("{name}.double"));
        self.rename(value, &double);
        let single = self.graph.add_constant(name, rounded)?;
        self.doubles.constants.insert(value, single);
        Ok(single)
    }

    /// Counts the bytes of a tensor that reading makes anew, because they are not in the file as the graph wants them.
    fn count_bytes(&mut self, stored: &TensorProto, name: &str, what: &str) -> Result<(), ImportError> {
        let taken = self.budget.take(Resource::ConstantBytes, tensor::new_bytes(stored));
        taken.map_err(|limit| ImportError::Node {
            node: name.to_owned(),
            op: what.to_owned(),
            reason: Box::new(limit.into()),
        })
    }

    /// Counts a value and its name.
    pub(crate) fn count_value(&mut self, scope: &Scope<'_, '_>) -> Result<(), NodeError> {
        self.budget.take(Resource::Values, 1)?;
        Ok(self.budget.take(Resource::NameBytes, scope.qualified("").len() as u64)?)
    }

    /// Renames a value; the new name was taken from `names` before.
    pub(crate) fn rename(&mut self, value: ValueId, name: &str) {
        let renamed = self.graph.rename_value(value, name);
        renamed.unwrap_or_else(|error| unreachable!("reserved: {error}"));
    }

    /// The integers that a value holds, as far as shapes and constants determine them.
    pub(crate) fn ints(&self, value: ValueId) -> Option<Vec<IntExpr>> {
        if let ValueDef::Constant(tensor) = &self.graph.value(value).def {
            let is_list = !tensor.element().is_float() && tensor.len() <= LIST;
            return is_list.then(|| tensor.to_i64_vec().into_iter().map(IntExpr::Const).collect());
        }
        self.graph.known_ints(value).map(<[IntExpr]>::to_vec)
    }

    /// The value of a constant of one element, or of what shapes determine to be one.
    pub(crate) fn constant_scalar(&self, value: ValueId) -> Option<f64> {
        match &self.graph.value(value).def {
            ValueDef::Constant(tensor) if tensor.len() == 1 => tensor.to_f64_vec().first().copied(),
            ValueDef::Constant(_) => None,
            ValueDef::Input(_) | ValueDef::Node { .. } => match self.graph.known_ints(value)? {
                [only] => only.as_const().map(|only| only as f64),
                _ => None,
            },
        }
    }
}
