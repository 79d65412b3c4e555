//! What a value's layout costs: its write, each of its reads, and the conversion that readers of dense tensors need.
//!
//! Bytes are weighted by the profile's percentages for the storage type and the kind of access. A conversion is one dispatch and one
//! more read and write, and is shared by all readers that need it. Costs of different values do not meet: a kernel reads each
//! operand in its own layout and writes the result in its own, and where axes differ the dense side adapts. So the cheapest
//! layout of each value is the cheapest assignment of all.

use crate::physical::{Layout, Order, StorageType};
use crate::profile::{LayoutCosts, Profile, StorageCosts};
use drift_ir::{Graph, Node, Op};

/// What a value may be stored as.
pub(super) struct Candidates {
    /// Whether it is an image that nobody views as something else: then slices, and no dense tensor.
    pub(super) images: bool,
    /// Row-major in a buffer.
    pub(super) dense: Layout,
    /// Slices, in each storage type that is large enough.
    pub(super) sliced: Vec<Layout>,
}

/// How a node reads one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// Windows that overlap.
    Window,
    /// Each byte once.
    Stream,
    /// Only as a dense tensor.
    Dense,
}

impl Candidates {
    /// The layout with the least cost; the simpler storage type where costs are equal.
    pub(super) fn cheapest(self, graph: &Graph, node: &Node, shape: &[u64], profile: &Profile) -> Layout {
        let images = self.images;
        let reads: Vec<Read> = node
            .outputs
            .iter()
            .flat_map(|&output| graph.users(output))
            .map(|(user, _)| read(graph, graph.node(user), images, shape.len()))
            .collect();
        let Self { dense, sliced, .. } = self;
        let dense = (!images).then_some(dense);
        // A plain buffer of slices is for images: elsewhere the dense tensor is the same bytes without padding.
        let sliced = sliced.into_iter().filter(|layout| images || layout.storage_type != StorageType::Buffer);
        let cost = |layout: &Layout| cost(layout, shape, &reads, &profile.layout);
        let best = dense.into_iter().chain(sliced).min_by_key(cost);
        best.unwrap_or_else(|| unreachable!("a buffer is always among them"))
    }
}

/// In hundredths of a byte of a storage buffer.
fn cost(layout: &Layout, shape: &[u64], reads: &[Read], costs: &LayoutCosts) -> u64 {
    let bytes = layout.size_bytes(shape);
    let sliced = layout.order != Order::RowMajor;
    let mut total = bytes * of(&costs.write, layout.storage_type);
    for read in reads {
        total += bytes
            * match read {
                Read::Window => of(&costs.window, layout.storage_type),
                Read::Dense if sliced => of(&costs.stream, StorageType::Buffer),
                Read::Stream | Read::Dense => of(&costs.stream, layout.storage_type),
            };
    }
    if sliced && reads.contains(&Read::Dense) {
        total += bytes * (of(&costs.stream, layout.storage_type) + of(&costs.write, StorageType::Buffer));
        total += costs.dispatch_bytes * of(&costs.write, StorageType::Buffer);
    }
    total
}

fn of(costs: &StorageCosts, storage_type: StorageType) -> u64 {
    u64::from(match storage_type {
        StorageType::Buffer => costs.buffer,
        StorageType::ImageBuffer => costs.image_buffer,
        StorageType::Texture2d => costs.texture_2d,
        StorageType::TextureArray => costs.texture_array,
        StorageType::Texture3d => costs.texture_3d,
    })
}

/// How a node reads an operand; `images` are stored with channels first.
fn read(graph: &Graph, node: &Node, images: bool, rank: usize) -> Read {
    let pointwise = |node: &Node| {
        let weights = graph.value(node.inputs[1]).ty.static_shape().unwrap_or_default();
        weights.iter().skip(2).all(|&taps| taps == 1)
    };
    match &node.op {
        Op::Conv(_) if pointwise(node) => Read::Stream,
        Op::Conv(_) | Op::ConvTranspose(_) | Op::Pool(_) | Op::Resize(_) => Read::Window,
        Op::GroupNorm(_) | Op::Elementwise(_) | Op::Expand(_) => Read::Stream,
        Op::Concat(_) | Op::Slice(_) | Op::Pad(_) | Op::Reduce(_) if images => Read::Stream,
        // Rows under the axes that everything else is stored with.
        Op::MatMul(_) if !images && rank <= 4 => Read::Stream,
        Op::MatMul(_)
        | Op::Attention(_)
        | Op::Pad(_)
        | Op::Reduce(_)
        | Op::Softmax(_)
        | Op::LayerNorm(_)
        | Op::RmsNorm(_)
        | Op::Rotary(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Concat(_)
        | Op::Slice(_)
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
        | Op::Range(_) => Read::Dense,
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::{LayoutChoice, assign};
    use crate::profile;

    /// Storage types of the values that nodes make, in order, outputs left out.
    fn storage_types(text: &str, profile: &str) -> Vec<&'static str> {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let profile = profile::find(profile).unwrap_or_else(|| panic!("{profile}"));
        let layouts =
            assign(&graph, profile, LayoutChoice::Auto, None).unwrap_or_else(|error| panic!("{error}"));
        let made = graph.nodes().flat_map(|id| graph.node(id).outputs.clone());
        made.filter(|value| !graph.outputs().contains(value))
            .map(|value| layouts[&value].storage_type.name())
            .collect()
    }

    const WINDOWS: &str = "%x: f32[1,8,32,32]\n@w: f32[8,8,3,3] = random(1)\n%1 = relu %x\n%2 = conv %1, @w {pads=[1,1,1,1]}\n%3 = conv %2, @w {pads=[1,1,1,1]}\n%4 = relu %3\nreturn %4";

    #[test]
    fn windows_are_read_from_what_the_family_caches() {
        for (profile, storage_type) in [
            ("generic", "buffer"),
            ("nvidia", "buffer"),
            ("apple", "buffer"),
            ("intel-xe", "buffer"),
            ("amd-rdna", "image-buffer"),
            ("adreno-6xx", "texture-array"),
            ("adreno-7xx", "texture2d"),
            ("mali-valhall", "texture2d"),
        ] {
            assert_eq!(storage_types(WINDOWS, profile)[1], storage_type, "{profile}");
        }
    }

    #[test]
    fn a_reader_of_dense_tensors_pays_for_a_conversion() {
        // Read by a window, textures pay; read by a softmax over rows, they do not.
        let rows = "%x: f32[1,8,32,32]\n%1 = relu %x\n%2 = softmax %1 {axis=3}\nreturn %2";
        assert_eq!(storage_types(rows, "adreno-7xx"), ["buffer"]);
    }

    #[test]
    fn too_large_for_a_texture_is_a_buffer() {
        let wide = WINDOWS.replace("[1,8,32,32]", "[1,8,2,20000]");
        assert_eq!(storage_types(&wide, "adreno-7xx")[1], "image-buffer");
        assert_eq!(storage_types(&wide, "nvidia")[1], "buffer");
    }
}
