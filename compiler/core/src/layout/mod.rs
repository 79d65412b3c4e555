//! Chooses the layout of each value. Every activation gets exactly one layout; kernels never see this module.
//!
//! Graph inputs and outputs are dense row-major buffers: that is the caller's side of the contract, and kernels read and
//! write them in place of a conversion. Integers and truth values are dense buffers too. What remains follows the
//! consumer's needs: images around convolutions are kept as slices with channels first, everything else with channels
//! last, in the storage type that the caller asks for, or that costs least under the profile ([`cost`]).

mod angles;
mod cost;
mod wide;

pub use angles::keep_angles;
pub(crate) use wide::is_data_movement;
pub use wide::keep_wide;

use crate::physical::{AxisMap, Element, Layout, Order, StorageType};
use crate::profile::Profile;
use drift_ir::op::{LayerNorm, Resize, RmsNorm};
use drift_ir::{ElementType, Graph, Node, Op, ValueDef, ValueId};
use std::collections::BTreeMap;

/// What the caller asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LayoutChoice {
    /// What the profile prefers.
    #[default]
    Auto,
    /// Storage buffers.
    Buffer,
    /// 2D textures where a value can be one.
    Texture2d,
    /// Image buffers where a value can be one.
    ImageBuffer,
    /// Arrays of 2D textures where a value can be one.
    TextureArray,
    /// 3D textures where a value can be one.
    Texture3d,
}

impl LayoutChoice {
    /// Name for `--layout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Buffer => "buffer",
            Self::Texture2d => "texture2d",
            Self::ImageBuffer => "image-buffer",
            Self::TextureArray => "texture-array",
            Self::Texture3d => "texture3d",
        }
    }
}

/// Precision of float activations and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Stored as f32.
    F32,
    /// Stored as f16; arithmetic stays f32.
    F16,
}

/// A layout for every activation.
pub type LayoutMap = BTreeMap<ValueId, Layout>;

/// The device form of a value's elements.
pub fn device_element(element: ElementType, precision: Option<Precision>) -> Option<Element> {
    match (Element::of(element)?, precision) {
        (Element::F32 | Element::F16, Some(Precision::F32)) => Some(Element::F32),
        (Element::F32 | Element::F16, Some(Precision::F16)) => Some(Element::F16),
        (element, _) => Some(element),
    }
}

/// Why no layout could be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A free dimension reached the kernels.
    #[error(
        "value `{value}` has a size without a bound: {shape}; give each of its dims a size (--dim NAME=N) or a bound (--dim NAME=LO..HI)"
    )]
    FreeDimension {
        /// The value.
        value: String,
        /// Its shape.
        shape: String,
    },
    /// Values without a layout, all of them.
    #[error("no layout for {} of the model's values:{}", values.len(), values.iter().map(|v| format!("\n  {v}")).collect::<String>())]
    Values {
        /// `node (op): reason` for each.
        values: Vec<String>,
    },
    /// An element type without a device form.
    #[error("value `{value}` is {element}, which has no form on a device")]
    Element {
        /// The value.
        value: String,
        /// Its element type.
        element: &'static str,
    },
}

/// Gives every activation its layout.
pub fn assign(
    graph: &Graph,
    profile: &Profile,
    choice: LayoutChoice,
    precision: Option<Precision>,
) -> Result<LayoutMap, LayoutError> {
    check(graph, precision)?;
    let mut layouts = LayoutMap::new();
    let dense = |value: ValueId| -> Result<Layout, LayoutError> {
        let (element, shape) = device_type(graph, value, precision)?;
        Ok(Layout::row_major(element, shape.len()))
    };
    for &input in graph.inputs() {
        layouts.insert(input, dense(input)?);
    }
    for id in graph.nodes() {
        let node = graph.node(id);
        for &output in &node.outputs {
            let mut layout = dense(output)?;
            if !graph.is_output(output) && layout.element.is_float() {
                let (_, shape) = device_type(graph, output, precision)?;
                let is_free = graph.value(output).ty.static_shape().is_none();
                let shape = (shape.as_slice(), is_free);
                layout = activation(graph, node, &layouts, layout, shape, profile, choice);
            }
            layouts.insert(output, layout);
        }
    }
    Ok(layouts)
}

/// Names every value that cannot be stored on a device, so that one run says all there is to do.
fn check(graph: &Graph, precision: Option<Precision>) -> Result<(), LayoutError> {
    let of_inputs = graph.inputs().iter().map(|&input| ("an input of the model".to_owned(), input));
    let of_nodes = graph.nodes().flat_map(|id| {
        let node = graph.node(id);
        node.outputs.iter().map(|&output| (format!("`{}` ({})", node.name, node.op.name()), output))
    });
    let refused = |(owner, value)| {
        device_type(graph, value, precision).err().map(|error: LayoutError| format!("{owner}: {error}"))
    };
    let values: Vec<String> = of_inputs.chain(of_nodes).filter_map(refused).collect();
    if values.is_empty() { Ok(()) } else { Err(LayoutError::Values { values }) }
}

/// The largest sizes and the device element of a value. Where a size is free, memory is planned for its bound.
pub fn device_type(
    graph: &Graph,
    value: ValueId,
    precision: Option<Precision>,
) -> Result<(Element, Vec<u64>), LayoutError> {
    let precision = if graph.is_single(value) { Some(Precision::F32) } else { precision };
    let value = graph.value(value);
    let name = || value.name.clone();
    let sizes = value.ty.shape.iter().map(|dim| dim.range(&graph.symbols).1);
    let shape = sizes.collect::<Option<Vec<u64>>>().ok_or_else(|| LayoutError::FreeDimension {
        value: name(),
        shape: value.ty.display(&graph.symbols).to_string(),
    })?;
    let element = device_element(value.ty.element, precision)
        .ok_or_else(|| LayoutError::Element { value: name(), element: value.ty.element.name() })?;
    Ok((element, shape))
}

/// The layout of a float result inside of the graph.
fn activation(
    graph: &Graph,
    node: &Node,
    layouts: &LayoutMap,
    dense: Layout,
    (shape, is_free): (&[u64], bool),
    profile: &Profile,
    choice: LayoutChoice,
) -> Layout {
    if writes_rows(graph, node, shape.len()) {
        return dense;
    }
    let images = is_image(graph, node, layouts, shape.len());
    let rank = shape.len();
    let axes = match &node.op {
        Op::Resize(op) => resize_axes(op, rank).unwrap_or_else(|| AxisMap::channels_last(rank)),
        op if images && makes_images(op) => image_axes(rank),
        _ if images && rank == 3 && follows_signal(node, layouts) => AxisMap::signal(),
        _ if images => AxisMap::channels_first(rank),
        _ => AxisMap::channels_last(rank),
    };
    let in_storage = |storage_type| Layout {
        storage_type,
        order: order_in(storage_type),
        element: dense.element,
        axes: axes.clone(),
    };
    let viewed = matches!(node.op, Op::Reshape(_)) || read_by_view(graph, node);
    // What a texture's texels are is fixed by its sides, and those are planned for the largest size.
    let choice = if is_free { LayoutChoice::Buffer } else { choice };
    let wanted = match choice {
        _ if rank > 4 => None,
        // Around convolutions, whole slices keep reads of four channels together.
        LayoutChoice::Buffer => (images && !viewed).then_some(StorageType::Buffer),
        LayoutChoice::Texture2d => Some(StorageType::Texture2d),
        LayoutChoice::ImageBuffer => Some(StorageType::ImageBuffer),
        LayoutChoice::TextureArray => Some(StorageType::TextureArray),
        LayoutChoice::Texture3d => Some(StorageType::Texture3d),
        LayoutChoice::Auto => {
            let legal: Vec<Layout> = StorageType::ALL
                .map(in_storage)
                .into_iter()
                .filter(|layout| fits(layout, profile, shape))
                .collect();
            let among = cost::Candidates { images: images && !viewed, dense, sliced: legal };
            return among.cheapest(graph, node, shape, profile);
        }
    };
    wanted.map(in_storage).filter(|layout| fits(layout, profile, shape)).unwrap_or(dense)
}

/// The order of whole slices in a storage type.
const fn order_in(storage_type: StorageType) -> Order {
    match storage_type {
        StorageType::Buffer | StorageType::ImageBuffer => Order::Slices,
        StorageType::Texture2d => Order::TextureRows,
        StorageType::TextureArray | StorageType::Texture3d => Order::TextureLayers,
    }
}

/// Whether the profile's devices have resources large enough for a tensor of `shape`.
fn fits(layout: &Layout, profile: &Profile, shape: &[u64]) -> bool {
    let [width, height, layers] = layout.texture_extent(shape);
    let within = |side, depth| width <= side && height <= side && layers <= depth;
    match layout.storage_type {
        StorageType::Buffer => true,
        StorageType::ImageBuffer => {
            layout.size_bytes(shape) / (4 * layout.element.size_bytes()) <= profile.image_buffer_texels
        }
        StorageType::Texture2d => within(profile.texture_2d_px, 1),
        StorageType::TextureArray => within(profile.texture_2d_px, profile.texture_layers),
        StorageType::Texture3d => within(profile.texture_3d_px, profile.texture_3d_px),
    }
}

/// Axes of an image `[n, c, h, w]` or a signal `[n, c, w]`; of more spatial axes as one run of pixels.
pub fn image_axes(rank: usize) -> AxisMap {
    match rank {
        3 => AxisMap::signal(),
        4 => AxisMap::channels_first(rank),
        _ => AxisMap { batch: 0..1, height: 2..2, width: 2..rank, channels: 1..2 },
    }
}

/// Axes under which what an op resamples is rows and columns; `None` where it is more.
pub fn resize_axes(op: &Resize, rank: usize) -> Option<AxisMap> {
    let fits = |axes: &AxisMap| {
        let spatial = |axis| matches!(axes.coordinate_of(axis), Some(1 | 2));
        op.axes.iter().all(|resized| spatial(resized.axis))
    };
    let channels_first = if rank == 3 { AxisMap::signal() } else { AxisMap::channels_first(rank) };
    let candidates = [channels_first, AxisMap::channels_first(rank), AxisMap::channels_last(rank)];
    candidates.into_iter().find(fits)
}

/// Ops that read and write images or signals with channels on axis 1.
fn makes_images(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Pool(_) | Op::GroupNorm(_))
}

/// Whether a kernel writes a node's result under axes of its own, which only a dense buffer takes.
fn writes_rows(graph: &Graph, node: &Node, rank: usize) -> bool {
    match &node.op {
        Op::Softmax(op) => rank != 2 || op.axis != 1,
        Op::LayerNorm(LayerNorm { axis, .. }) | Op::RmsNorm(RmsNorm { axis, .. }) => rank != 2 || *axis != 1,
        Op::Reduce(op) => !op.keep_dims,
        // Rows of a matrix are whole rows of the result; what is gathered of more axes shares a coordinate.
        Op::Gather(op) => op.axis > 0 || graph.value(node.inputs[0]).ty.shape.len() != 2,
        // Heads and rows may change places on the way.
        Op::Attention(_) => true,
        Op::Rotary(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_) => true,
        Op::GroupNorm(_) => !(3..=4).contains(&rank),
        Op::Elementwise(_)
        | Op::MatMul(_)
        | Op::Conv(_)
        | Op::ConvTranspose(_)
        | Op::Pool(_)
        | Op::Resize(_)
        | Op::Pad(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Concat(_)
        | Op::Slice(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => false,
    }
}

/// Whether a node's result is an image with channels first: made by a convolution, or from such without moving axes.
fn is_image(graph: &Graph, node: &Node, layouts: &LayoutMap, rank: usize) -> bool {
    match &node.op {
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Pool(_) | Op::GroupNorm(_) => true,
        Op::Resize(op) => resize_axes(op, rank).is_some_and(|axes| axes == image_axes(rank)),
        Op::Elementwise(_) | Op::Reduce(_) | Op::Concat(_) | Op::Slice(_) | Op::Pad(_) => {
            node.inputs.iter().any(|input| {
                let first = AxisMap::channels_first(rank);
                let produced = !matches!(graph.value(*input).def, ValueDef::Constant(_));
                produced
                    && layouts.get(input).is_some_and(|layout| {
                        layout.order != Order::RowMajor
                            && (layout.axes == first || layout.axes == AxisMap::signal())
                    })
            })
        }
        Op::MatMul(_)
        | Op::Attention(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Expand(_)
        | Op::Gather(_)
        | Op::GatherNd(_)
        | Op::GatherElements(_)
        | Op::ScatterElements(_)
        | Op::ScatterNd(_)
        | Op::WriteRows(_)
        | Op::ArgReduce(_)
        | Op::TopK(_)
        | Op::Suppress(_)
        | Op::CumSum(_)
        | Op::ShapeOf(_)
        | Op::Range(_) => false,
    }
}

fn follows_signal(node: &Node, layouts: &LayoutMap) -> bool {
    node.inputs.iter().any(|input| {
        layouts.get(input).is_some_and(|l| l.order != Order::RowMajor && l.axes == AxisMap::signal())
    })
}

/// Whether a reshape reads the node's result: then a dense buffer makes the reshape free.
fn read_by_view(graph: &Graph, node: &Node) -> bool {
    node.outputs
        .iter()
        .any(|output| graph.readers(*output).any(|reader| matches!(graph.node(reader).op, Op::Reshape(_))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    #[test]
    fn every_value_without_a_layout_is_named() {
        let text = "symbol n: 1..\n%x: f32[n,4]\n%y: f32[3]\n%1 = exp %x\n%2 = exp %y\n%3 = cast %2 {to=f64}\nreturn %1, %3";
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let error =
            assign(&graph, &profile::GENERIC, LayoutChoice::Auto, None).expect_err("no device has these");
        let text = error.to_string();
        for part in [
            "3 of the model's values",
            "an input of the model: value `x`",
            "`1` (exp)",
            "`3` (cast): value `3` is f64",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
