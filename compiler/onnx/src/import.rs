//! A model becomes a graph.
//!
//! Inputs and initializers come first, then the nodes in the file's order, then the outputs. Every value keeps its name
//! from the file; names that the importer adds are made unique. Nodes that this version cannot compile do not stop the
//! walk: their results are marked as unavailable, so that one error lists all of them.

use crate::budget::{Budget, LIST, Resource};
use crate::error::{ImportError, NodeError, UnsupportedNode};
use crate::formula::Formula;
use crate::interface::{self, DeclaredDim, Port};
use crate::names::Names;
use crate::proto::{FunctionProto, GraphProto, TensorProto};
use crate::source::ModelSource;
use crate::tensor;
use crate::walk::{Scope, Slot};
use drift_ir::dim::IntExpr;
use drift_ir::graph::EditError;
use drift_ir::op::Reshape;
use drift_ir::{Dim, ElementType, Graph, Op, SymbolId, Tensor, TensorType, ValueDef, ValueId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// What the size of a free dimension is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DimBinding {
    /// One size.
    Fixed(u64),
    /// Any size from the first to the second, inclusive.
    Range(u64, u64),
}

/// What the caller decides about an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Bindings of free dimensions by name. Others stay free and unbounded.
    pub dims: BTreeMap<String, DimBinding>,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The graph.
    pub graph: Graph,
    /// What the caller should tell the user.
    pub warnings: Vec<Warning>,
}

/// Something that was imported, but not exactly as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A cast to a type that the graph holds in a wider one: values out of range do not wrap.
    WidenedCast {
        /// The node.
        node: String,
        /// The file's type.
        from: &'static str,
        /// The graph's.
        to: &'static str,
    },
    /// A graph input of type double, which is f32 in the graph.
    DoubleInput {
        /// The input.
        input: String,
    },
    /// Nodes that compute in double in the file, and in f32 here.
    Doubles {
        /// Their names, in model order.
        nodes: Vec<String>,
    },
    /// The branch of an `If` that can never be taken.
    DroppedBranch {
        /// The node.
        node: String,
        /// Which condition leads there.
        condition: bool,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WidenedCast { node, from, to } => {
                write!(
                    f,
                    "node `{node}` casts to {from}, which is held as {to}: out-of-range values do not wrap"
                )
            }
            Self::DoubleInput { input } => {
                write!(f, "input `{input}` is of type double; it is f32 here, so give it as such")
            }
            Self::Doubles { nodes } => {
                const SHOWN: usize = 8;
                let shown: Vec<String> = nodes.iter().take(SHOWN).map(|node| format!("`{node}`")).collect();
                let more = nodes.len().saturating_sub(SHOWN);
                write!(f, "these nodes compute in double in the file and in f32 here: {}", shown.join(", "))?;
                if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            Self::DroppedBranch { node, condition } => {
                write!(f, "node `{node}` has a constant condition; its branch for {condition} is dropped")
            }
        }
    }
}

/// Turns a model into a graph.
pub fn import(source: &ModelSource, options: &ImportOptions) -> Result<Imported, ImportError> {
    let model = source.model();
    let proto = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    let inputs = interface::inputs(source)?;
    let dims = bindings(&inputs, options)?;
    let mut importer = Importer::new(source);
    let mut scope = Scope::of_model(&model.opset_import);
    importer.reserve_names(proto)?;
    importer.add_inputs(&inputs, &dims, &mut scope)?;
    importer.add_initializers(proto, &mut scope)?;
    importer.add_nodes(&proto.node, &mut scope)?;
    if !importer.unsupported.is_empty() {
        return Err(ImportError::Unsupported { nodes: importer.unsupported });
    }
    importer.set_outputs(proto, &scope)?;
    if !importer.doubles.nodes.is_empty() {
        importer.warnings.push(Warning::Doubles { nodes: importer.doubles.nodes });
    }
    Ok(Imported { graph: importer.graph, warnings: importer.warnings })
}

/// The bindings of free dimensions. A size that follows from others may be given too: it determines the one of them that
/// is not given, or has to agree with them.
fn bindings(inputs: &[Port], options: &ImportOptions) -> Result<BTreeMap<String, DimBinding>, ImportError> {
    let known = interface::free_dims(inputs);
    let (mut dims, mut computed) = (BTreeMap::new(), Vec::new());
    for (name, &binding) in &options.dims {
        if let DimBinding::Range(low, high) = binding
            && low > high
        {
            return Err(ImportError::EmptyRange { name: name.clone(), low, high });
        }
        match interface::computed_dims(inputs).find(|formula| formula.text() == name) {
            Some(formula) => computed.push((formula, binding)),
            None if known.contains(name) => {
                dims.insert(name.clone(), binding);
            }
            None => return Err(ImportError::UnknownDim { name: name.clone(), known }),
        }
    }
    for (formula, binding) in computed {
        let DimBinding::Fixed(size) = binding else {
            return Err(ImportError::ComputedRange { name: formula.text().to_owned() });
        };
        let fixed = dims.iter().filter_map(|(name, binding)| match binding {
            DimBinding::Fixed(size) => Some((name.clone(), *size)),
            DimBinding::Range(..) => None,
        });
        let mut fixed: BTreeMap<String, u64> = fixed.collect();
        if let Some((name, size)) = formula.solve(size, &fixed) {
            fixed.insert(name.clone(), size);
            dims.insert(name, DimBinding::Fixed(size));
        }
        if formula.size(&fixed) != Some(size) {
            return Err(ImportError::ComputedDim { name: formula.text().to_owned(), size });
        }
    }
    Ok(dims)
}

/// A size that follows from others.
fn computed(port: &Port, formula: &Formula, sizes: &HashMap<String, Dim>) -> Result<Dim, ImportError> {
    let size = |name: &str| sizes.get(name)?.to_int().ok();
    let error = |reason: String| ImportError::Interface { what: "input", name: port.name.clone(), reason };
    let value =
        formula.value(size).ok_or_else(|| error(format!("`{}` names no dimension", formula.text())))?;
    let size = value.and_then(Dim::try_from);
    size.map_err(|reason| error(format!("its size `{}` cannot be computed: {reason}", formula.text())))
}

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
    fn new(source: &'m ModelSource) -> Self {
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
        }
    }

    /// Keeps the names that the file gives to values of the main graph, each of which may be given once.
    fn reserve_names(&mut self, proto: &'m GraphProto) -> Result<(), ImportError> {
        let inputs = interface::runtime_inputs(proto).map(|info| &info.name);
        let stored = proto.initializer.iter().map(|tensor| &tensor.name);
        let made = proto.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
        for name in inputs.chain(stored).chain(made) {
            if !self.names.reserve(name) {
                return Err(ImportError::DuplicateName { name: name.clone() });
            }
        }
        Ok(())
    }

    fn add_inputs(
        &mut self,
        inputs: &[Port],
        dims: &BTreeMap<String, DimBinding>,
        scope: &mut Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        // In the order in which the inputs name them.
        let mut sizes: HashMap<String, Dim> = HashMap::new();
        for name in interface::free_dims(inputs) {
            let size = match dims.get(&name) {
                Some(DimBinding::Fixed(size)) => Dim::Const(*size),
                bounds => Dim::symbol(self.add_symbol(&name, bounds)),
            };
            sizes.insert(name, size);
        }
        for port in inputs {
            let mut shape = Vec::new();
            for dim in port.dims.iter().flatten() {
                shape.push(match dim {
                    DeclaredDim::Fixed(size) => Dim::Const(*size),
                    DeclaredDim::Free(name) => sizes[name].clone(),
                    DeclaredDim::Computed(formula) => computed(port, formula, &sizes)?,
                });
            }
            let ty = TensorType { element: port.element, shape };
            let value = self.graph.add_input(port.name.as_str(), ty).map_err(Box::new)?;
            if port.is_double {
                self.doubles.values.insert(value);
                self.warnings.push(Warning::DoubleInput { input: port.name.clone() });
            }
            scope.insert(port.name.clone(), Slot::Value(value));
        }
        Ok(())
    }

    /// A dimension that stays free. Without bounds it has at least one element, as every real batch or sequence does.
    fn add_symbol(&mut self, name: &str, bounds: Option<&DimBinding>) -> SymbolId {
        let (low, high) = match bounds {
            Some(&DimBinding::Range(low, high)) => (low, Some(high)),
            Some(&DimBinding::Fixed(size)) => (size, Some(size)),
            None => (1, None),
        };
        let symbol = self.graph.symbols.intern(name);
        let set = self.graph.symbols.set_bounds(symbol, low, high);
        set.unwrap_or_else(|_| unreachable!("checked: the range is not empty and the symbol new"));
        symbol
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
            if !scope.insert(stored.name.clone(), Slot::Value(value)) {
                return Err(ImportError::DuplicateName { name: stored.name.clone() });
            }
        }
        Ok(())
    }

    /// Collects the results under the names that the file gives them.
    fn set_outputs(&mut self, proto: &'m GraphProto, scope: &Scope<'m, '_>) -> Result<(), ImportError> {
        proto.output.iter().try_for_each(interface::check_output)?;
        let names: HashSet<&str> = proto.output.iter().map(|info| info.name.as_str()).collect();
        let mut outputs = Vec::with_capacity(names.len());
        let mut listed = HashSet::new();
        for name in proto.output.iter().map(|info| info.name.as_str()) {
            let value = match scope.find(name) {
                Some(Slot::Value(value)) => self.single(value).map_err(Box::new)?,
                Some(Slot::Sequence(_)) => {
                    let reason = "it is a sequence; only dense tensors are supported".to_owned();
                    return Err(ImportError::Interface { what: "output", name: name.to_owned(), reason });
                }
                Some(Slot::Absent | Slot::Unavailable) | None => {
                    return Err(ImportError::MissingOutput { name: name.to_owned() });
                }
            };
            outputs.push(if listed.insert(name) {
                self.named(value, name, &names)?
            } else {
                // Listed again: a copy of its own, under a name of its own.
                let name = self.names.unique(name);
                self.copied(value, &name)?
            });
        }
        Ok(self.graph.set_outputs(&outputs).map_err(Box::new)?)
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

    /// Counts the bytes of a tensor that reading makes anew, because they do not lie in the file as the graph wants them.
    fn count_bytes(&mut self, stored: &TensorProto, name: &str, what: &str) -> Result<(), ImportError> {
        let taken = self.budget.take(Resource::ConstantBytes, tensor::new_bytes(stored));
        taken.map_err(|limit| ImportError::Node {
            node: name.to_owned(),
            op: what.to_owned(),
            reason: Box::new(limit.into()),
        })
    }

    /// The value under the name of an output. Operators that do nothing give a value a second name: a value that only
    /// the graph itself knows takes it, while inputs, constants and other outputs are copied.
    fn named(&mut self, value: ValueId, name: &str, outputs: &HashSet<&str>) -> Result<ValueId, ImportError> {
        let known = self.graph.value(value);
        let (is_named, is_output) = (known.name == name, outputs.contains(known.name.as_str()));
        match known.def {
            ValueDef::Input(_) | ValueDef::Node { .. } if is_named => return Ok(value),
            ValueDef::Node { .. } if !is_output => {
                self.rename(value, name);
                return Ok(value);
            }
            ValueDef::Constant(_) if is_named => {
                let source = self.names.unique(&format!("{name}.constant"));
                self.rename(value, &source);
            }
            ValueDef::Constant(_) | ValueDef::Input(_) | ValueDef::Node { .. } => {}
        }
        self.copied(value, name)
    }

    /// Counts a value and its name.
    pub(crate) fn count_value(&mut self, scope: &Scope<'_, '_>) -> Result<(), NodeError> {
        self.budget.take(Resource::Values, 1)?;
        Ok(self.budget.take(Resource::NameBytes, scope.qualified("").len() as u64)?)
    }

    /// A copy of a value.
    fn copied(&mut self, value: ValueId, name: &str) -> Result<ValueId, ImportError> {
        let copy = Op::Reshape(Reshape { shape: self.graph.value(value).ty.shape.clone() });
        let node = self.node_names.unique(name);
        let added = self.graph.add_node(node, copy, &[value], [name]);
        let added = added.map_err(|error| Box::new(EditError::from(error)))?;
        Ok(self.graph.node(added).outputs[0])
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
