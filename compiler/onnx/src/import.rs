//! A model becomes a graph.
//!
//! Inputs and initializers come first, then the nodes in the file's order, then the outputs. Every value keeps its name
//! from the file; names that the importer adds are made unique. Nodes that this version cannot compile do not stop the
//! walk: their results are marked as unavailable, so that one error lists all of them.

use crate::cache::{self, CacheForm};
use crate::data_type::DataType;
use crate::error::ImportError;
use crate::formula::Formula;
use crate::importer::Importer;
use crate::interface::{self, DeclaredDim, DimBinding, Port};
use crate::proto::{
    DimensionProto, DimensionValue, GraphProto, TensorShapeProto, TensorTypeProto, ValueInfoProto,
};
use crate::scope::{Scope, Slot};
use crate::source::ModelSource;
use crate::warning::Warning;
use drift_ir::graph::EditError;
use drift_ir::op::Reshape;
use drift_ir::{Dim, ElementType, Graph, HostForm, Op, SymbolId, TensorType, ValueDef, ValueId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the caller decides about an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Bindings of free dimensions by name. Others stay free and unbounded.
    pub dims: BTreeMap<String, DimBinding>,
    /// What becomes of the output `logits`; others than [`Logits::All`] are for models whose caches are states.
    pub logits: Logits,
}

/// What becomes of the output `logits` of a language model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logits {
    /// A row for each new token.
    #[default]
    All,
    /// The row of the last new token; where a run takes several, the input `count` says how many there are.
    Last,
    /// None: the largest is the next token, which a state holds for the next run, as is its position.
    Greedy,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The graph.
    pub graph: Graph,
    /// What the caller should tell the user.
    pub warnings: Vec<Warning>,
}

/// Turns a model into a graph.
pub fn import(source: &ModelSource, options: &ImportOptions) -> Result<Imported, ImportError> {
    let model = source.model();
    let proto = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    let inputs = interface::inputs(source)?;
    let dims = bindings(&inputs, options)?;
    let mut importer = Importer::new(source);
    if let Some((dim, caches)) = cache::without_tokens(&inputs, &dims) {
        importer.warnings.push(Warning::NoTokens { dim, caches });
    }
    let mut scope = Scope::of_model(&model.opset_import);
    importer.reserve_names(proto)?;
    importer.add_inputs(&inputs, &dims, &mut scope)?;
    importer.add_initializers(proto, &mut scope)?;
    importer.add_nodes(&proto.node, &mut scope)?;
    if !importer.unsupported.is_empty() {
        return Err(ImportError::Unsupported { nodes: importer.unsupported });
    }
    importer.bounds.check_used()?;
    importer.set_outputs(proto, &scope)?;
    importer.finish_bounds()?;
    importer.finish_caches(options.logits)?;
    if !importer.doubles.nodes.is_empty() {
        importer.warnings.push(Warning::Doubles { nodes: importer.doubles.nodes });
    }
    Ok(Imported { graph: importer.graph, warnings: importer.warnings })
}

/// Types and shapes of values of the main graph, or for each why it has none. Sizes that nothing binds keep their names.
pub(crate) fn value_types(
    source: &ModelSource,
    names: &[String],
    dims: BTreeMap<String, DimBinding>,
) -> Result<Vec<Result<TensorTypeProto, String>>, ImportError> {
    let model = source.model();
    let proto = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    let inputs = interface::inputs(source)?;
    let dims = bindings(&inputs, &ImportOptions { dims, ..ImportOptions::default() })?;
    let mut importer = Importer::new(source);
    let mut scope = Scope::of_model(&model.opset_import);
    importer.reserve_names(proto)?;
    importer.add_inputs(&inputs, &dims, &mut scope)?;
    importer.add_initializers(proto, &mut scope)?;
    // What stands before a node that contradicts itself is known all the same.
    let stopped = importer.add_nodes(&proto.node, &mut scope).err().map(|error| error.to_string());
    let of = |name: &String| {
        let ty = importer.value_type(scope.find(name));
        ty.map_err(|reason| stopped.clone().filter(|_| scope.find(name).is_none()).unwrap_or(reason))
    };
    Ok(names.iter().map(of).collect())
}

/// The bindings of free dimensions. A size that follows from others may be given too: it determines the one of them that
/// is not given, or has to agree with them.
fn bindings(inputs: &[Port], options: &ImportOptions) -> Result<BTreeMap<String, DimBinding>, ImportError> {
    let known = interface::free_dims(inputs);
    let (mut dims, mut computed) = (BTreeMap::new(), Vec::new());
    for (name, &binding) in &options.dims {
        match binding {
            DimBinding::Range(low, high) if low > high => {
                return Err(ImportError::EmptyRange { name: name.clone(), low, high });
            }
            DimBinding::Steps(low, high, step) if steps(low, high, step).is_none() => {
                return Err(ImportError::EmptySteps { name: name.clone(), low, high, step });
            }
            DimBinding::Range(..) | DimBinding::Steps(..) | DimBinding::Fixed(_) => {}
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
            DimBinding::Range(..) | DimBinding::Steps(..) => None,
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

/// The least and the greatest number of steps whose size is within a range; none where no size is.
fn steps(low: u64, high: u64, step: u64) -> Option<(u64, u64)> {
    let (least, most) = (low.checked_next_multiple_of(step)? / step, high.checked_div(step)?);
    (least <= most).then_some((least, most))
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

/// Why an input is none: its sizes are beside the point that the model is a valid graph.
pub(crate) fn refused_input(error: EditError) -> ImportError {
    match error {
        EditError::TooLarge { name, problem } => {
            ImportError::Interface { what: "input", name, reason: problem.to_string() }
        }
        error => Box::new(error).into(),
    }
}

impl<'m> Importer<'m> {
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
        let form = CacheForm::of(inputs, dims)?;
        // In the order in which the inputs name them.
        let mut sizes: HashMap<String, Dim> = HashMap::new();
        let form = match form {
            Some(form) => Some((self.cache_sizes(&form, &mut sizes)?, form)),
            None => None,
        };
        for name in interface::free_dims(inputs) {
            if sizes.contains_key(&name) {
                continue;
            }
            let size = match dims.get(&name) {
                Some(DimBinding::Fixed(size)) => Dim::Const(*size),
                Some(&DimBinding::Steps(low, high, step)) if step > 1 => {
                    self.add_steps(&name, low, high, step)?
                }
                bounds => Dim::symbol(self.add_symbol(&name, bounds)),
            };
            sizes.insert(name, size);
        }
        let mut cached = Vec::new();
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
            if form.is_some() {
                cached.push((port, ty));
                continue;
            }
            let value = self.graph.add_input(port.name.as_str(), ty).map_err(refused_input)?;
            if let Some(form) = port.form {
                self.graph.host_forms.insert(port.name.clone(), form);
                self.note_type(value, DataType::of_form(form));
            }
            if port.is_double {
                self.doubles.values.insert(value);
                self.warnings.push(Warning::DoubleInput { input: port.name.clone() });
            }
            scope.insert(port.name.clone(), Slot::Value(value));
        }
        if let Some((symbol, form)) = form {
            self.add_cached_inputs((form, symbol), cached, scope)?;
        }
        Ok(())
    }

    /// A dimension that stays free. Without bounds it has at least one element, as every real batch or sequence does.
    fn add_symbol(&mut self, name: &str, bounds: Option<&DimBinding>) -> SymbolId {
        let (low, high) = match bounds {
            Some(&(DimBinding::Range(low, high) | DimBinding::Steps(low, high, _))) => (low, Some(high)),
            Some(&DimBinding::Fixed(size)) => (size, Some(size)),
            None => (1, None),
        };
        let symbol = self.graph.symbols.intern(name);
        let set = self.graph.symbols.set_bounds(symbol, low, high);
        set.unwrap_or_else(|_| unreachable!("checked: the range is not empty and the symbol new"));
        symbol
    }

    /// A dimension whose sizes are multiples of `step`: that many times a symbol which counts them.
    fn add_steps(&mut self, name: &str, low: u64, high: u64, step: u64) -> Result<Dim, ImportError> {
        let empty = || ImportError::EmptySteps { name: name.to_owned(), low, high, step };
        let (least, most) = steps(low, high, step).ok_or_else(empty)?;
        let symbol = self.graph.symbols.intern_steps(name, step);
        let set = self.graph.symbols.set_bounds(symbol, least, Some(most));
        set.unwrap_or_else(|_| unreachable!("checked: the range is not empty and the symbol new"));
        Dim::symbol(symbol).mul(&Dim::Const(step)).map_err(|_| empty())
    }

    /// Type and shape of a value as a file declares them.
    fn value_type(&self, slot: Option<Slot>) -> Result<TensorTypeProto, String> {
        let value = match slot {
            Some(Slot::Value(value)) => value,
            Some(Slot::Sequence(_)) => return Err("it is a sequence".to_owned()),
            Some(Slot::Absent | Slot::Unavailable) | None => {
                let first = self.unsupported.first();
                let first = first.map(|node| format!("`{}` ({}): {}", node.node, node.op, node.reason));
                return Err(format!("it depends on {}", first.as_deref().unwrap_or("nothing that is read")));
            }
        };
        let ty = &self.graph.value(value).ty;
        let elem_type = match self.narrow.get(&value) {
            Some(narrow) => return Err(format!("its type is {}", narrow.name())),
            None if self.doubles.values.contains(&value) => DataType::code_of(ElementType::F64),
            None => DataType::code_of(ty.element),
        };
        let dim = |dim: &Dim| DimensionProto {
            value: Some(match dim {
                Dim::Const(size) => DimensionValue::Value(*size as i64),
                Dim::Expr(_) => DimensionValue::Param(self.dim_name(dim)),
            }),
        };
        Ok(TensorTypeProto {
            elem_type,
            shape: Some(TensorShapeProto { dim: ty.shape.iter().map(dim).collect() }),
        })
    }

    /// A free size as a file names it.
    fn dim_name(&self, dim: &Dim) -> String {
        match dim.as_symbol() {
            Some(symbol) => self.graph.symbols.name(symbol),
            None => dim.display(&self.graph.symbols).to_string(),
        }
    }

    /// Collects the results under the names that the file gives them.
    fn set_outputs(&mut self, proto: &'m GraphProto, scope: &Scope<'m, '_>) -> Result<(), ImportError> {
        let names: HashSet<&str> = proto.output.iter().map(|info| info.name.as_str()).collect();
        let mut outputs = Vec::with_capacity(names.len());
        let mut listed = HashSet::new();
        for info in &proto.output {
            let name = info.name.as_str();
            let (value, form) = match scope.find(name) {
                Some(Slot::Value(value)) => {
                    let form = self.output_form(info, value)?;
                    (self.single(value).map_err(Box::new)?, form)
                }
                Some(Slot::Sequence(_)) => {
                    let reason = "it is a sequence; only dense tensors are supported".to_owned();
                    return Err(ImportError::Interface { what: "output", name: name.to_owned(), reason });
                }
                Some(Slot::Absent | Slot::Unavailable) | None => {
                    return Err(ImportError::MissingOutput { name: name.to_owned() });
                }
            };
            let output = if listed.insert(name) {
                self.named(value, name, &names)?
            } else {
                // Listed again: a copy of its own, under a name of its own.
                let name = self.names.unique(name);
                self.copied(value, &name)?
            };
            if let Some(form) = form {
                self.graph.host_forms.insert(self.graph.value(output).name.clone(), form);
            }
            outputs.push(output);
        }
        Ok(self.graph.set_outputs(&outputs).map_err(Box::new)?)
    }

    /// How callers get an output, where not as its element type: as the file has the value, whatever it declares, or as the bfloat16
    /// that it declares for an f32.
    fn output_form(&self, info: &ValueInfoProto, value: ValueId) -> Result<Option<HostForm>, ImportError> {
        let declared = interface::output_type(info)?;
        let found = self.narrow.get(&value).copied();
        let is_f32 = self.graph.value(value).ty.element == ElementType::F32;
        let bfloat = declared.filter(|ty| *ty == DataType::Bfloat16 && is_f32);
        if let Some(declared) = declared.filter(|ty| ty.is_narrow() && found != Some(*ty)) {
            let found = found.map_or(self.graph.value(value).ty.element.name(), DataType::name);
            let reason = format!("it is declared as {}, but is {found}", declared.name());
            return Err(ImportError::Interface { what: "output", name: info.name.clone(), reason });
        }
        Ok(found.or(bfloat).and_then(DataType::host_form))
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

    /// A copy of a value.
    fn copied(&mut self, value: ValueId, name: &str) -> Result<ValueId, ImportError> {
        let copy = Op::Reshape(Reshape { shape: self.graph.value(value).ty.shape.clone() });
        let node = self.node_names.unique(name);
        let added = self.graph.add_node(node, copy, &[value], [name]);
        let added = added.map_err(|error| Box::new(EditError::from(error)))?;
        Ok(self.graph.node(added).outputs[0])
    }
}
