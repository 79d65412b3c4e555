//! Chooses a kernel for every node, or says why there is none.
//!
//! Each op has an ordered list of candidates; a candidate returns a [`KernelCall`] or a typed [`Declined`], and the first
//! call wins. `driftc explain` prints both. Values keep the layouts that `layout` gave them; where a kernel needs other
//! axes than a stored layout has, a conversion is inserted before it.

pub mod attention;
mod concat;
mod context;
mod conv;
mod conv_transpose;
mod data;
mod derive;
mod elementwise;
mod empty;
mod group_norm;
mod image;
mod index;
mod matmul;
mod pad;
mod parts;
mod pool;
mod product;
mod reduce;
mod resize;
mod room;
mod rows;
mod scan;
mod strided;
mod tiling;
mod views;
mod weights;
mod winograd;

pub use context::{Chosen, Context, grid};
pub use parts::wants_parts;
pub use winograd::Samples;

use crate::kernel::TooLarge;
use crate::layout::{LayoutError, LayoutMap, Precision, device_type};
use crate::physical::{AxisMap, Element, LANES, Layout, Object, Order, PackError, Place};
use crate::profile::Profile;
use crate::program::{Placement, Port, Program, Storage, StorageKind};
use drift_ir::{Graph, Node, NodeId, Op, Tensor, ValueDef, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Why a kernel does not serve a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Declined {
    /// The profile has no such feature.
    #[error("needs {feature}, which profile {profile} has not")]
    Feature {
        /// What is missing.
        feature: &'static str,
        /// The profile.
        profile: &'static str,
    },
    /// Sizes do not suit.
    #[error("{0}")]
    Shape(String),
    /// The element type does not suit.
    #[error("needs {needed} elements, has {found}")]
    Element {
        /// What the kernel takes.
        needed: &'static str,
        /// What the tensor has.
        found: &'static str,
    },
    /// A tensor has to be brought to another layout first; the caller does that and asks again.
    #[error("`{name}` has to be converted first")]
    Convert {
        /// The value.
        value: ValueId,
        /// Its name.
        name: String,
    },
    /// Nothing in this version computes this.
    #[error("{0}")]
    Unsupported(String),
}

/// Why a program could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nodes without a kernel, all of them.
    #[error("no kernel for {}:\n{}", count(nodes.len()), nodes.iter().map(|n| format!("  {n}")).collect::<Vec<_>>().join("\n"))]
    NoKernel {
        /// `node (op): reason` for each.
        nodes: Vec<String>,
    },
    /// A value without a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Sizes that a kernel's arithmetic does not reach.
    #[error("node `{node}` ({kernel})")]
    TooLarge {
        /// The node.
        node: String,
        /// The kernel.
        kernel: &'static str,
        /// What is too large.
        #[source]
        source: TooLarge,
    },
    /// A constant that cannot be packed.
    #[error("constant `{name}`")]
    Pack {
        /// The constant.
        name: String,
        /// Why.
        #[source]
        source: PackError,
    },
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// Makes the program of one variant.
pub fn choose(
    graph: &Graph,
    layouts: &LayoutMap,
    profile: &Profile,
    precision: Option<Precision>,
) -> Result<Program, SelectError> {
    choose_with(graph, layouts, profile, precision, &Samples::default())
}

/// As [`choose`], with what other variants of the graph have sampled.
pub fn choose_with(
    graph: &Graph,
    layouts: &LayoutMap,
    profile: &Profile,
    precision: Option<Precision>,
    samples: &Samples,
) -> Result<Program, SelectError> {
    let mut moved = BTreeSet::new();
    loop {
        let mut builder = Builder {
            context: Context::new(graph, profile, precision, samples),
            layouts,
            dense: BTreeMap::new(),
            slices: BTreeMap::new(),
            moved: &moved,
            failures: Vec::new(),
        };
        builder.place_inputs()?;
        for id in graph.nodes() {
            match &graph.node(id).op {
                _ if builder.computes_nothing(id) => {}
                Op::Reshape(_) if builder.view(id)? => {}
                Op::Slice(op) if builder.slice(id, op) || builder.lies_in_source(id, &graph.node(id).op) => {}
                op @ Op::Transpose(_) if builder.lies_in_source(id, op) => {}
                _ => builder.select(id)?,
            }
        }
        if !builder.failures.is_empty() {
            return Err(SelectError::NoKernel { nodes: builder.failures });
        }
        let slices = std::mem::take(&mut builder.slices);
        let program = builder.finish()?;
        // A step that would bind a byte twice reads a copy instead.
        let clashes = program.bound_twice();
        let copies: Vec<ValueId> = slices
            .into_iter()
            .filter_map(|(storage, value)| clashes.contains(&storage).then_some(value))
            .collect();
        if copies.is_empty() {
            return Ok(program);
        }
        moved.extend(copies);
    }
}

struct Builder<'a> {
    context: Context<'a>,
    layouts: &'a LayoutMap,
    /// Values that were brought into a dense buffer, for all their later readers.
    dense: BTreeMap<ValueId, Placement>,
    /// Slices that lie in what they are slices of, by their storages.
    slices: BTreeMap<u32, ValueId>,
    /// Slices that are moved although they could lie there.
    moved: &'a BTreeSet<ValueId>,
    failures: Vec<String>,
}

impl Builder<'_> {
    fn place_inputs(&mut self) -> Result<(), SelectError> {
        for index in 0..self.context.graph.inputs().len() {
            let value = self.context.graph.inputs()[index];
            self.place(value);
            let port = self.port(value)?;
            self.context.program.inputs.push(port);
        }
        Ok(())
    }

    /// Gives `value` a storage of its own.
    fn place(&mut self, value: ValueId) {
        let layout = self.layouts[&value].clone();
        // No texture has a side of zero.
        let layout = match self.context.is_empty(value) {
            true => Layout::row_major(layout.element, self.context.shape(value).len()),
            false => layout,
        };
        self.place_as(value, layout);
    }

    fn place_as(&mut self, value: ValueId, layout: Layout) {
        let graph = self.context.graph;
        let shape = graph.value(value).ty.static_shape().unwrap_or_default();
        let name = graph.value(value).name.clone();
        let storage = self.context.program.storages.len() as u32;
        self.context.program.storages.push(Storage {
            name,
            kind: storage_kind(&layout, &shape),
            within: None,
        });
        self.context.placements.insert(value, Placement { storage, layout, place: Place::Whole });
    }

    fn port(&self, value: ValueId) -> Result<Port, SelectError> {
        let (device, shape) = device_type(self.context.graph, value, self.context.precision)?;
        let v = self.context.graph.value(value);
        let storage = self.context.placements[&value].storage;
        Ok(Port { name: v.name.clone(), element: v.ty.element, shape, device, storage })
    }

    /// Whether a node's results have no elements: then they have a place, and nothing writes to it.
    fn computes_nothing(&mut self, id: NodeId) -> bool {
        let graph = self.context.graph;
        let outputs = &graph.node(id).outputs;
        let nothing = outputs.iter().all(|&output| self.context.is_empty(output));
        if nothing {
            outputs.iter().for_each(|&output| self.place(output));
        }
        nothing
    }

    /// Picks a kernel, inserting conversions that it asks for.
    fn select(&mut self, id: NodeId) -> Result<(), SelectError> {
        let graph = self.context.graph;
        let node = graph.node(id);
        for &output in &node.outputs {
            self.place(output);
        }
        let originals: BTreeMap<ValueId, Placement> = self.context.placements.clone();
        let mut failure = None;
        // Every retry converts one more operand, so there are at most as many as operands.
        for _ in 0..=node.operands().count() {
            match self.context.candidates(id) {
                Ok(steps) => {
                    failure = loses_epilogue(node, &steps);
                    for chosen in steps {
                        self.context.push(id, chosen);
                    }
                    break;
                }
                Err(Declined::Convert { value, .. }) => {
                    let converted = self.convert(value)?;
                    self.context.placements.insert(value, converted);
                    failure = Some(Declined::Unsupported("layouts do not meet".to_owned()));
                }
                Err(reason) => {
                    failure = Some(reason);
                    break;
                }
            }
        }
        for (value, placement) in originals {
            self.context.placements.insert(value, placement);
        }
        if let Some(reason) = failure {
            self.failures.push(format!("`{}` ({}): {reason}", node.name, node.op.name()));
        }
        self.context.take_error()
    }

    /// Copies `value` into a dense buffer, which any axis map can read; once for all its readers.
    fn convert(&mut self, value: ValueId) -> Result<Placement, SelectError> {
        if let Some(known) = self.dense.get(&value) {
            return Ok(known.clone());
        }
        let graph = self.context.graph;
        let shape = graph.value(value).ty.static_shape().unwrap_or_default();
        let from = self.context.placements[&value].clone();
        let layout = Layout {
            object: Object::Buffer,
            order: Order::RowMajor,
            element: from.layout.element,
            axes: from.layout.axes.clone(),
        };
        let storage = self.context.program.storages.len() as u32;
        let name = format!("{} (dense)", graph.value(value).name);
        self.context.program.storages.push(Storage {
            name,
            kind: storage_kind(&layout, &shape),
            within: None,
        });
        let to = Placement { storage, layout, place: Place::Whole };
        self.context.push_conversion(value, &from, &to)?;
        self.dense.insert(value, to.clone());
        Ok(to)
    }

    fn finish(mut self) -> Result<Program, SelectError> {
        for index in 0..self.context.graph.outputs().len() {
            let value = self.context.graph.outputs()[index];
            if !self.context.placements.contains_key(&value) {
                self.materialise(value)?;
            }
            let port = self.port(value)?;
            self.context.program.outputs.push(port);
        }
        self.context.program.drop_unread_init();
        Ok(self.context.program)
    }

    /// A constant that is a graph output: copied at each run.
    fn materialise(&mut self, value: ValueId) -> Result<(), SelectError> {
        let (element, shape) = device_type(self.context.graph, value, self.context.precision)?;
        self.place_as(value, Layout::row_major(element, shape.len()));
        let to = self.context.placements[&value].clone();
        self.context.push_constant_copy(value, &to)
    }
}

/// Refuses kernels that would leave out what was fused into a node. Element-wise kernels have it in their prologue.
fn loses_epilogue(node: &Node, steps: &[Chosen]) -> Option<Declined> {
    let fused = !node.epilogue.steps.is_empty() && !matches!(node.op, Op::Elementwise(_));
    (fused && steps.iter().all(|step| step.call.epilogue.is_none()))
        .then(|| Declined::Unsupported("its kernel runs no epilogue".to_owned()))
}

/// The storage that a tensor of `shape` needs.
fn storage_kind(layout: &Layout, shape: &[u64]) -> StorageKind {
    match layout.object {
        object @ (Object::Texture2d | Object::TextureArray | Object::Texture3d) => {
            StorageKind::Texture { object, element: layout.element, extent_px: layout.texture_extent(shape) }
        }
        // Whole vectors, so that a dense tensor can be bound as an array of vec4 and as texels.
        Object::Buffer | Object::ImageBuffer => StorageKind::Buffer {
            size_bytes: layout.size_bytes(shape).next_multiple_of(LANES * layout.element.size_bytes()),
        },
    }
}

impl Context<'_> {
    /// The candidates of a node's op, in order of preference: the steps of the first that serves, in execution order.
    fn candidates(&mut self, id: NodeId) -> Result<Vec<Chosen>, Declined> {
        let node = self.graph.node(id);
        // Concatenation leaves out the parts that are empty; a size is known whatever has it.
        if node.operands().any(|operand| self.is_empty(operand))
            && !matches!(node.op, Op::Concat(_) | Op::ShapeOf(_))
        {
            return empty::select(self, node).map(|chosen| vec![chosen]);
        }
        let only = match &node.op {
            Op::Attention(op) => return attention::select(self, node, op),
            Op::Concat(op) => return concat::select(self, node, *op),
            Op::Conv(op) => return self.floats_only(node).and_then(|()| conv::select(self, node, op)),
            Op::MatMul(op) => return self.floats_only(node).and_then(|()| matmul::select(self, node, *op)),
            Op::GroupNorm(op) => {
                return self.floats_only(node).and_then(|()| group_norm::select(self, node, *op));
            }
            Op::Reduce(op) => return reduce::select(self, node, op),
            Op::Resize(op) => return resize::select(self, node, op),
            Op::Pad(op) => return pad::select(self, node, op),
            Op::ScatterElements(op) => return index::select_scatter_elements(self, node, *op),
            Op::ScatterNd(op) => return index::select_scatter_nd(self, node, *op),
            Op::TopK(op) => return scan::select_top_k(self, node, *op),
            Op::Elementwise(op) => elementwise::select(self, node, *op),
            Op::Expand(_) => elementwise::select_expand(self, node),
            Op::ConvTranspose(op) => {
                self.floats_only(node).and_then(|()| conv_transpose::select(self, node, op))
            }
            Op::Pool(op) => pool::select(self, node, op),
            Op::Softmax(op) => self.floats_only(node).and_then(|()| rows::select_softmax(self, node, *op)),
            Op::LayerNorm(op) => {
                self.floats_only(node).and_then(|()| rows::select_layer_norm(self, node, *op))
            }
            Op::RmsNorm(op) => self.floats_only(node).and_then(|()| rows::select_rms_norm(self, node, *op)),
            Op::Reshape(_) => data::select_reshape(self, node),
            Op::Transpose(op) => data::select_transpose(self, node, op),
            Op::Slice(op) => data::select_slice(self, node, op),
            Op::Gather(op) => data::select_gather(self, node, *op),
            Op::GatherNd(op) => data::select_gather_nd(self, node, *op),
            Op::GatherElements(op) => index::select_gather_elements(self, node, *op),
            Op::ArgReduce(op) => scan::select_arg_reduce(self, node, *op),
            Op::CumSum(op) => scan::select_cumsum(self, node, *op),
            Op::ShapeOf(op) => data::select_shape_of(self, node, *op),
            Op::Range(_) => data::select_range(self, node),
        };
        only.map(|chosen| vec![chosen])
    }

    /// The constant that a value is.
    pub(crate) fn constant_tensor(&self, value: ValueId) -> Option<&Tensor> {
        match &self.graph.value(value).def {
            ValueDef::Constant(tensor) => Some(tensor),
            ValueDef::Input(_) | ValueDef::Node { .. } => None,
        }
    }

    /// Whether a value has no elements.
    fn is_empty(&self, value: ValueId) -> bool {
        self.shape(value).contains(&0)
    }

    /// Fails unless a node's operands are floats, for kernels that only compute with those.
    fn floats_only(&self, node: &Node) -> Result<(), Declined> {
        for &input in &node.inputs {
            let element = self.element(input)?;
            if !element.is_float() {
                return Err(Declined::Element { needed: "f32 or f16", found: element.name() });
            }
        }
        Ok(())
    }

    /// Element type of a placed value or of a constant, on the device.
    pub(crate) fn element(&self, value: ValueId) -> Result<Element, Declined> {
        device_type(self.graph, value, self.precision)
            .map(|(element, _)| element)
            .map_err(|error| Declined::Unsupported(error.to_string()))
    }

    /// Static shape of a value.
    pub(crate) fn shape(&self, value: ValueId) -> Vec<u64> {
        self.graph.value(value).ty.static_shape().unwrap_or_default()
    }

    /// Axes under which a value is stored; a constant is packed under whichever its reader wants.
    pub(crate) fn axes(&self, value: ValueId) -> AxisMap {
        match self.placements.get(&value) {
            Some(placement) => placement.layout.axes.clone(),
            None => AxisMap::channels_last(self.shape(value).len()),
        }
    }
}
