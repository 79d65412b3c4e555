//! Changes fields of a model.

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::dimension;
use onnx_protobuf::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// A generator whose whole state is its seed.
pub(super) struct Random(u64);

impl Random {
    /// Distinct seeds start far from each other.
    pub(super) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len());
        from.get(at)
    }
}

/// Ends of types, powers of two and their neighbours, small numbers.
fn number(random: &mut Random) -> i64 {
    const NUMBERS: [i64; 28] = [
        -2,
        -1,
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        16,
        17,
        63,
        255,
        1000,
        65_535,
        65_536,
        (1 << 20) + 1,
        1 << 24,
        i32::MAX as i64,
        1 << 31,
        u32::MAX as i64,
        1 << 32,
        1 << 40,
        1 << 62,
        i64::MAX,
        i64::MIN,
        i32::MIN as i64,
    ];
    // Half of them small, so that what is mutated stays a model.
    let among = if random.below(2) == 0 { 12 } else { NUMBERS.len() };
    NUMBERS[random.below(among)]
}

fn float(random: &mut Random) -> f32 {
    const FLOATS: [f32; 12] =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, 1e6, 1e-30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    FLOATS[random.below(FLOATS.len())]
}

/// Operators of any kind, for nodes to become.
const OPERATORS: [&str; 40] = [
    "Add",
    "ArgMax",
    "AveragePool",
    "Cast",
    "Clip",
    "Concat",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "CumSum",
    "DepthToSpace",
    "Einsum",
    "Expand",
    "Flatten",
    "Gather",
    "GatherND",
    "Gemm",
    "Hardmax",
    "LRN",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "MaxPool",
    "NonZero",
    "OneHot",
    "Pad",
    "Pow",
    "Range",
    "ReduceSum",
    "Reshape",
    "Resize",
    "ScatterND",
    "Slice",
    "Softmax",
    "Split",
    "SplitToSequence",
    "Tile",
    "TopK",
    "Transpose",
    "Where",
];

/// Changes one thing.
pub(super) fn mutate(model: &mut ModelProto, random: &mut Random) {
    let opset = random.below(20);
    if opset == 0 {
        let version = number(random).clamp(-1, 30);
        if let Some(first) = model.opset_import.first_mut() {
            first.version = version;
        }
        return;
    }
    let Some(graph) = model.graph.as_mut() else { return };
    match random.below(12) {
        0 | 1 => size(graph, random),
        2..=4 => attribute(graph, random),
        5 | 6 => constant(graph, random),
        7 => element(graph, random),
        8 => wire(graph, random),
        9 => operator(graph, random),
        10 => copy(graph, random),
        _ => listed(graph, random),
    }
}

fn node<'g>(graph: &'g mut GraphProto, random: &mut Random) -> Option<&'g mut NodeProto> {
    let at = random.below(graph.node.len());
    graph.node.get_mut(at)
}

/// A size of an input.
fn size(graph: &mut GraphProto, random: &mut Random) {
    let at = random.below(graph.input.len());
    let Some(info) = graph.input.get_mut(at).and_then(|info| info.type_.as_mut()) else { return };
    let shape = &mut info.mut_tensor_type().shape;
    let Some(dims) = shape.as_mut().map(|shape| &mut shape.dim) else { return };
    let at = random.below(dims.len() + 1);
    match (dims.get_mut(at), random.below(4)) {
        (Some(dim), 0) => dim.value = Some(dimension::Value::DimParam("n".to_owned())),
        (Some(dim), _) => dim.value = Some(dimension::Value::DimValue(number(random))),
        (None, 0) => drop(dims.pop()),
        (None, _) => dims.extend(dims.last().cloned()),
    }
}

/// A number, list or text of an attribute, or the attribute as a whole.
fn attribute(graph: &mut GraphProto, random: &mut Random) {
    let Some(node) = node(graph, random) else { return };
    let at = random.below(node.attribute.len() + 1);
    let Some(attribute) = node.attribute.get_mut(at) else {
        const NAMES: [&str; 8] =
            ["axis", "axes", "keepdims", "pads", "strides", "group", "kernel_shape", "alpha"];
        let Some(name) = random.pick(&NAMES) else { return };
        let value =
            AttributeProto { name: (*name).to_owned(), i: number(random), ..AttributeProto::default() };
        node.attribute.push(value);
        return;
    };
    match random.below(8) {
        0 => drop(node.attribute.remove(at)),
        1 => {
            attribute.type_ =
                [AttributeType::INT, AttributeType::FLOAT, AttributeType::INTS][random.below(3)].into()
        }
        2 if !attribute.ints.is_empty() => drop(attribute.ints.pop()),
        3 => attribute.ints.push(number(random)),
        4 => attribute.f = float(random),
        _ if !attribute.ints.is_empty() => {
            let at = random.below(attribute.ints.len());
            attribute.ints[at] = number(random);
        }
        _ => attribute.i = number(random),
    }
}

/// The numbers or the shape of a constant.
fn constant(graph: &mut GraphProto, random: &mut Random) {
    let at = random.below(graph.initializer.len());
    let Some(tensor) = graph.initializer.get_mut(at) else { return size(graph, random) };
    let value = number(random);
    match (tensor.data_type, random.below(6)) {
        (_, 0) => {
            let at = random.below(tensor.dims.len() + 1);
            match tensor.dims.get_mut(at) {
                Some(dim) => *dim = value,
                None => tensor.dims.push(1),
            }
        }
        (7, _) => replace(tensor, &value.to_le_bytes(), random),
        (6, _) => replace(tensor, &(value as i32).to_le_bytes(), random),
        (1, _) => replace(tensor, &float(random).to_le_bytes(), random),
        (_, _) => tensor.data_type = random.below(17) as i32,
    }
}

/// Overwrites an element.
fn replace(tensor: &mut TensorProto, element: &[u8], random: &mut Random) {
    let count = tensor.raw_data.len() / element.len();
    if count > 0 {
        let at = random.below(count) * element.len();
        tensor.raw_data[at..at + element.len()].copy_from_slice(element);
    } else if !tensor.int64_data.is_empty() {
        let at = random.below(tensor.int64_data.len());
        tensor.int64_data[at] = number(random);
    }
}

/// The element type of an input or output.
fn element(graph: &mut GraphProto, random: &mut Random) {
    let all: &mut Vec<ValueInfoProto> =
        if random.below(3) == 0 { &mut graph.output } else { &mut graph.input };
    let at = random.below(all.len());
    if let Some(ty) = all.get_mut(at).and_then(|info| info.type_.as_mut()) {
        ty.mut_tensor_type().elem_type = random.below(17) as i32;
    }
}

/// What a node reads.
fn wire(graph: &mut GraphProto, random: &mut Random) {
    let mut names: Vec<String> = graph.input.iter().map(|info| info.name.clone()).collect();
    names.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    names.extend(graph.node.iter().flat_map(|node| node.output.clone()));
    names.push(String::new());
    let Some(name) = random.pick(&names).cloned() else { return };
    let Some(node) = node(graph, random) else { return };
    let at = random.below(node.input.len() + 1);
    match node.input.get_mut(at) {
        Some(input) => *input = name,
        None => node.input.push(name),
    }
}

fn operator(graph: &mut GraphProto, random: &mut Random) {
    let operator = random.pick(&OPERATORS).copied().unwrap_or_default();
    if let Some(node) = node(graph, random) {
        node.op_type = operator.to_owned();
    }
}

/// Another node like one that there is, after it, on its result.
fn copy(graph: &mut GraphProto, random: &mut Random) {
    let Some(node) = node(graph, random).cloned() else { return };
    let Some(result) = node.output.first().cloned() else { return };
    let mut again = node;
    let at = random.below(again.input.len());
    if let Some(input) = again.input.get_mut(at) {
        *input = result;
    }
    for output in &mut again.output {
        output.push_str("_again");
    }
    graph
        .output
        .extend(again.output.first().map(|name| ValueInfoProto { name: name.clone(), ..Default::default() }));
    graph.node.push(again);
}

/// The order of nodes, or what is listed as an output.
fn listed(graph: &mut GraphProto, random: &mut Random) {
    match random.below(3) {
        0 => graph.node.reverse(),
        1 => graph.output.extend(graph.output.first().cloned()),
        _ => {
            let names: Vec<String> = graph.node.iter().flat_map(|node| node.output.clone()).collect();
            if let Some(name) = random.pick(&names) {
                graph.output.push(ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() });
            }
        }
    }
}
