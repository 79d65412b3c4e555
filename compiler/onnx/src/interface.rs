//! The inputs and outputs of a model as its file declares them, and free dimensions bound from data.

use crate::data_type::DataType;
use crate::error::ImportError;
use crate::formula::{self, Formula};
use crate::proto::{DimensionProto, DimensionValue, GraphProto, TypeValue, ValueInfoProto};
use crate::source::ModelSource;
use crate::tensor::MAX_RANK;
use drift_ir::{ElementType, HostForm};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// What the size of a free dimension is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DimBinding {
    /// One size.
    Fixed(u64),
    /// Any size from the first to the second, inclusive.
    Range(u64, u64),
    /// Any multiple of the third from the first to the second, inclusive.
    Steps(u64, u64, u64),
}

impl DimBinding {
    /// Whether it allows a size.
    pub const fn allows(self, size: u64) -> bool {
        match self {
            Self::Fixed(fixed) => size == fixed,
            Self::Range(low, high) => low <= size && size <= high,
            Self::Steps(low, high, step) => low <= size && size <= high && size.is_multiple_of(step),
        }
    }
}

/// As `--dim NAME=` takes it.
impl fmt::Display for DimBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Range(low, high) => write!(f, "{low}..{high}"),
            Self::Steps(low, high, step) => write!(f, "{low}..{high}/{step}"),
        }
    }
}

/// Size of an axis as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredDim {
    /// A number, or a name that is a number.
    Fixed(u64),
    /// A free dimension. One without a name is called after its input and axis, such as `image.0`.
    Free(String),
    /// A size that follows from those of free dimensions.
    Computed(Formula),
}

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type in the graph, which has f32 for double.
    pub element: ElementType,
    /// Whether the file has it as double.
    pub is_double: bool,
    /// How callers have it, where not as `element`.
    pub form: Option<HostForm>,
    /// Sizes; `None` where the file says nothing, which only outputs may.
    pub dims: Option<Vec<DeclaredDim>>,
}

/// The inputs of a model, in order, without those that are initializers.
pub fn inputs(source: &ModelSource) -> Result<Vec<Port>, ImportError> {
    let graph = source.model().graph.as_ref().ok_or(ImportError::NoGraph)?;
    let mut ports: Vec<Port> =
        runtime_inputs(graph).map(|info| port(info, "input")).collect::<Result<_, _>>()?;
    let named: HashSet<String> = free_dims(&ports).into_iter().collect();
    for dim in ports.iter_mut().flat_map(|port| port.dims.iter_mut().flatten()) {
        let DeclaredDim::Free(name) = dim else { continue };
        // A formula over other names is a name itself.
        let is_known = |name: &str| named.contains(name) && formula::parse(name).is_none();
        if let Some(formula) = formula::parse(name).filter(|formula| formula.names().all(is_known)) {
            *dim = DeclaredDim::Computed(formula);
        }
    }
    Ok(ports)
}

/// The names of a model's inputs and outputs, whatever their types are.
pub fn boundary_names(source: &ModelSource) -> Result<(Vec<String>, Vec<String>), ImportError> {
    let graph = source.model().graph.as_ref().ok_or(ImportError::NoGraph)?;
    let inputs = runtime_inputs(graph).map(|info| info.name.clone()).collect();
    Ok((inputs, graph.output.iter().map(|info| info.name.clone()).collect()))
}

/// The outputs of a model, in order.
pub fn outputs(source: &ModelSource) -> Result<Vec<Port>, ImportError> {
    let graph = source.model().graph.as_ref().ok_or(ImportError::NoGraph)?;
    graph.output.iter().map(|info| port(info, "output")).collect()
}

/// The free dimensions of a model, in the order in which its inputs name them.
pub fn free_dims(inputs: &[Port]) -> Vec<String> {
    let dims = inputs.iter().flat_map(|port| port.dims.iter().flatten());
    let mut seen = HashSet::new();
    let free = dims.filter_map(|dim| match dim {
        DeclaredDim::Free(name) => seen.insert(name).then(|| name.clone()),
        DeclaredDim::Fixed(_) | DeclaredDim::Computed(_) => None,
    });
    free.collect()
}

/// Everything that can be given a size: the free dimensions, and the sizes that follow from them.
pub fn sizes(inputs: &[Port]) -> Vec<String> {
    let computed = computed_dims(inputs).map(|formula| formula.text().to_owned());
    free_dims(inputs).into_iter().chain(computed).collect()
}

/// The sizes that follow from free dimensions, in the order in which the inputs name them.
pub(crate) fn computed_dims(inputs: &[Port]) -> impl Iterator<Item = &Formula> {
    inputs.iter().flat_map(|port| port.dims.iter().flatten()).filter_map(|dim| match dim {
        DeclaredDim::Computed(formula) => Some(formula),
        DeclaredDim::Free(_) | DeclaredDim::Fixed(_) => None,
    })
}

/// Binds free dimensions to the shapes of data for some or all inputs, given as (input name, shape).
pub fn infer_dims_from_inputs(
    source: &ModelSource,
    data: &[(&str, &[u64])],
) -> Result<BTreeMap<String, DimBinding>, ImportError> {
    let ports = inputs(source)?;
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let mut computed: Vec<(&str, usize, &Formula, u64)> = Vec::new();
    for &(name, shape) in data {
        let error = |reason: String| ImportError::InputData { input: name.to_owned(), reason };
        let port = ports.iter().find(|port| port.name == name);
        let port =
            port.ok_or_else(|| error(format!("the model has no such input, only {}", names(&ports))))?;
        let dims = port.dims.as_deref().unwrap_or_default();
        if dims.len() != shape.len() {
            return Err(error(format!("the data have rank {}, the model wants {}", shape.len(), dims.len())));
        }
        for (axis, (dim, &size)) in dims.iter().zip(shape).enumerate() {
            let wanted = match dim {
                DeclaredDim::Fixed(wanted) => *wanted,
                DeclaredDim::Free(name) => *sizes.entry(name.clone()).or_insert(size),
                DeclaredDim::Computed(formula) => {
                    computed.push((name, axis, formula, size));
                    size
                }
            };
            if wanted != size {
                return Err(error(format!(
                    "axis {axis} of the data has size {size}, the model wants {wanted}"
                )));
            }
        }
    }
    // Data for some inputs may determine a size through its formula only.
    for (_, _, formula, size) in &computed {
        sizes.extend(formula.solve(*size, &sizes));
    }
    for (name, axis, formula, size) in computed {
        if let Some(wanted) = formula.size(&sizes).filter(|&wanted| wanted != size) {
            let reason =
                format!("axis {axis} of the data has size {size}, `{}` gives {wanted}", formula.text());
            return Err(ImportError::InputData { input: name.to_owned(), reason });
        }
    }
    Ok(sizes.into_iter().map(|(name, size)| (name, DimBinding::Fixed(size))).collect())
}

fn names(ports: &[Port]) -> String {
    let names: Vec<_> = ports.iter().map(|port| format!("`{}`", port.name)).collect();
    names.join(", ")
}

/// Graph inputs that have no initializer. Files of IR version 3 and before list initializers among the inputs.
pub(crate) fn runtime_inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.iter().filter(move |info| !stored.contains(info.name.as_str()))
}

/// Reads a declaration; inputs must have a shape and an element type that the graph holds exactly.
pub(crate) fn port(info: &ValueInfoProto, what: &'static str) -> Result<Port, ImportError> {
    let error = |reason: String| ImportError::Interface { what, name: info.name.clone(), reason };
    let tensor = match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => tensor,
        Some(other) => return Err(error(format!("it is {}; only dense tensors are supported", kind(other)))),
        None => return Err(error("its type is missing".to_owned())),
    };
    let ty = boundary_type(tensor.elem_type).map_err(error)?;
    let dims = match &tensor.shape {
        Some(shape) if shape.dim.len() > MAX_RANK => {
            return Err(error(format!("it has {} axes; at most {MAX_RANK} are supported", shape.dim.len())));
        }
        Some(shape) => {
            let dim = |(axis, dim)| declared(dim, &info.name, axis).map_err(error);
            Some(shape.dim.iter().enumerate().map(dim).collect::<Result<_, _>>()?)
        }
        None if what == "input" => {
            return Err(error("its rank is not declared; declare its shape".to_owned()));
        }
        None => None,
    };
    let is_double = ty == DataType::Double;
    let element = if is_double { ElementType::F32 } else { ty.element() };
    Ok(Port { name: info.name.clone(), element, is_double, form: ty.host_form(), dims })
}

/// The type that the file declares for an output, if it does.
pub(crate) fn output_type(info: &ValueInfoProto) -> Result<Option<DataType>, ImportError> {
    match info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) if tensor.elem_type != 0 => {
            let error = |reason| ImportError::Interface { what: "output", name: info.name.clone(), reason };
            boundary_type(tensor.elem_type).map(Some).map_err(error)
        }
        _ => Ok(None),
    }
}

fn boundary_type(code: i32) -> Result<DataType, String> {
    DataType::from_proto(code).map_err(|name| format!("element type {name} is not supported"))
}

fn kind(ty: &TypeValue) -> &'static str {
    match ty {
        TypeValue::Tensor(_) => "a tensor",
        TypeValue::Sequence(_) => "a sequence",
        TypeValue::Map(_) => "a map",
        TypeValue::Opaque(_) => "of an opaque type",
        TypeValue::SparseTensor(_) => "a sparse tensor",
        TypeValue::Optional(_) => "an optional",
    }
}

fn declared(dim: &DimensionProto, owner: &str, axis: usize) -> Result<DeclaredDim, String> {
    let unnamed = || DeclaredDim::Free(format!("{owner}.{axis}"));
    match &dim.value {
        // Tools write -1 and `?` for sizes that they do not know.
        Some(DimensionValue::Value(-1)) => Ok(unnamed()),
        Some(DimensionValue::Value(size)) => {
            let size =
                u64::try_from(*size).map_err(|_| format!("axis {axis} has the negative size {size}"))?;
            Ok(DeclaredDim::Fixed(size))
        }
        Some(DimensionValue::Param(name)) if !matches!(name.trim(), "" | "-1" | "?") => {
            // Some exporters write sizes as text.
            Ok(name.parse().map_or_else(|_| DeclaredDim::Free(name.clone()), DeclaredDim::Fixed))
        }
        Some(DimensionValue::Param(_)) | None => Ok(unnamed()),
    }
}
