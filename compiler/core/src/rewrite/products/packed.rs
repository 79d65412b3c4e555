//! Products of one tensor with several weights, as attention has for queries, keys and values, become one product with
//! all weights side by side. Its parts are views (`physical::View`): fewer dispatches, and more work for each.

use crate::profile::rates::ProjectionRates;
use crate::rewrite::declined::Declined;
use crate::rewrite::rule::{Apply, Device, DeviceOutcome, Rule, at};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Concat, Epilogue, MatMul, ScalarOp, Slice, Step, StepArg};
use drift_ir::{Dim, Graph, Node, NodeId, Op, Tensor, ValueId};

/// `matmul(x, u), matmul(x, v)   =>   slices of matmul(x, u beside v)`
pub(in crate::rewrite) const PROJECTIONS_PACKED: Rule = Rule {
    name: "projections-packed",
    picture: "matmul(x, u) + a, matmul(x, v) + b => slices of matmul(x, u beside v) + a beside b, when only attention reads them \
              and values are buffers",
    apply: Apply::Device(at::MATMUL, pack),
};

/// Columns at whose multiples a view's rows begin.
const WHOLE: u64 = 4;

/// A product that can be a part of another one.
struct Projection {
    node: NodeId,
    weights: Tensor,
    /// Added to each row.
    bias: Option<Tensor>,
}

impl Projection {
    fn columns(&self) -> u64 {
        self.weights.shape()[1]
    }

    /// What is added to each row.
    fn row(&self) -> Option<Tensor> {
        let columns = self.columns();
        match &self.bias {
            Some(bias) => bias.reshaped([columns]).ok(),
            None => Tensor::from_f32_as(self.weights.element(), [columns], &vec![0.0; columns as usize]).ok(),
        }
    }
}

/// Packs the weights of all matmuls that share the input of `first` into one, where results are buffers; `first` is the earliest of
/// them.
fn pack(graph: &mut Graph, first: NodeId, device: &Device<'_>) -> DeviceOutcome {
    if !device.buffers {
        return Ok(None);
    }
    let Some(group) = group(graph, first, &device.profile.rates.projections) else {
        return Ok(None);
    };
    let Some(constants) = packed(&group) else { return Ok(None) };
    // Each slice takes the place of its own product, so those that are refused harm none of the others.
    replace(graph, &group, constants)?;
    Ok(Some(String::new()))
}

/// The products of what `first` reads that fit it, itself included, in their order; none where it would stay alone.
fn group(graph: &Graph, first: NodeId, rates: &ProjectionRates) -> Option<Vec<Projection>> {
    let own = projection(graph, first, rates.most_rows)?;
    let source = graph.node(first).inputs[0];
    let mut readers: Vec<NodeId> = graph.readers(source).collect();
    readers.sort_by(|&a, &b| graph.compare(a, b));
    let fits = |other: &Projection| {
        let (a, b) = (&own.weights, &other.weights);
        let stays = |part: &Projection| graph.is_single(graph.node(part.node).outputs[0]);
        a.element() == b.element() && a.shape()[0] == b.shape()[0] && stays(&own) == stays(other)
    };
    let parts = readers.into_iter().filter_map(|id| projection(graph, id, rates.most_rows));
    let group: Vec<Projection> = parts.filter(fits).collect();
    let all: u64 = group.iter().map(Projection::columns).sum();
    let large = group.iter().all(|part| part.columns() * rates.least_share >= all);
    (group.len() > 1 && large).then_some(group)
}

/// A product of at most `most_rows` rows with constant weights that nobody else reads, of which attention is the only reader.
fn projection(graph: &Graph, id: NodeId, most_rows: u64) -> Option<Projection> {
    let node = graph.get_node(id)?;
    let Op::MatMul(MatMul { transpose_b: false }) = node.op else { return None };
    let [source, weights] = node.inputs[..] else { return None };
    let tensor = graph.constant(weights)?;
    let columns = *tensor.shape().last()?;
    let elements = graph.value(node.outputs[0]).ty.static_element_count()?;
    let few = elements / columns.max(1) <= most_rows;
    // Parts of one constant have one type.
    let stays = node.operands().any(|operand| operand != source && graph.is_single(operand));
    let plain = !stays && tensor.rank() == 2 && columns.is_multiple_of(WHOLE) && source != weights && few;
    let of_source = graph.readers(source).filter(|&reader| reader == id).count() == 1;
    let own = graph.readers(weights).len() == 1 && only_attention_reads(graph, node.outputs[0]);
    if !plain || !of_source || !own {
        return None;
    }
    let bias = match &node.epilogue {
        epilogue if epilogue.is_empty() => None,
        epilogue => Some(added(graph, epilogue).filter(|bias| bias.len() as u64 == columns)?),
    };
    if bias.as_ref().is_some_and(|bias| bias.element() != tensor.element()) {
        return None;
    }
    Some(Projection { node: id, weights: tensor.clone(), bias })
}

/// The constant that is all that an epilogue adds.
fn added(graph: &Graph, epilogue: &Epilogue) -> Option<Tensor> {
    let ([step], [operand]) = (&epilogue.steps[..], &epilogue.operands[..]) else { return None };
    let sums = step.op == ScalarOp::Binary(BinaryOp::Add);
    let arguments = [[StepArg::Result, StepArg::Operand(0)], [StepArg::Operand(0), StepArg::Result]];
    let bias = graph.constant(*operand)?;
    let is_row = bias.shape().last().copied() == Some(bias.len() as u64);
    (sums && is_row && arguments.iter().any(|wanted| step.args == wanted)).then(|| bias.clone())
}

/// Whether a value is only read as queries, keys or values, reshaped or not.
fn only_attention_reads(graph: &Graph, value: ValueId) -> bool {
    let reads = |reader: NodeId| {
        let node = graph.node(reader);
        match node.op {
            Op::Attention(_) => node.inputs[..3].contains(&value) && !node.epilogue.operands.contains(&value),
            Op::Reshape(_) => node.epilogue.is_empty() && only_attention_reads(graph, node.outputs[0]),
            _ => false,
        }
    };
    let mut readers = graph.readers(value);
    !graph.is_output(value) && readers.len() > 0 && readers.all(reads)
}

/// Puts one product before the first of a group, and slices of its result in their places.
fn replace(
    graph: &mut Graph,
    group: &[Projection],
    (weights, bias): (Tensor, Option<Tensor>),
) -> Result<(), Declined> {
    let first = group[0].node;
    let Node { name, inputs, outputs, .. } = graph.node(first).clone();
    let rank = graph.value(outputs[0]).ty.rank();
    let unique = |graph: &Graph, what: &str| graph.unique_name(&format!("{name}.{what}"));
    let weights = graph.add_constant(unique(graph, "packed_weights"), weights)?;
    let made = unique(graph, "packed");
    let op = Op::MatMul(MatMul { transpose_b: false });
    let product = graph.insert_node_before(first, made.clone(), op, &[inputs[0], weights], [made])?;
    if let Some(bias) = bias {
        let bias = graph.add_constant(unique(graph, "packed_bias"), bias)?;
        let add = ScalarOp::Binary(BinaryOp::Add);
        let steps = vec![Step { op: add, args: vec![StepArg::Result, StepArg::Operand(0)] }];
        graph.set_epilogue(product, Epilogue { steps, operands: vec![bias] })?;
    }
    let result = graph.node(product).outputs[0];
    let mut start = 0;
    for part in group {
        let count = part.columns();
        let axes = vec![SliceAxis { axis: rank - 1, start, step: 1, count: Dim::Const(count) }];
        graph.set_node(part.node, Op::Slice(Slice { axes }), &[result], Epilogue::default())?;
        graph.merge_origins(product, part.node);
        start += count;
    }
    Ok(())
}

/// Tensors of equally many rows, or single rows, side by side. None where that is more than constants may take.
fn side_by_side(parts: &[&Tensor]) -> Option<Tensor> {
    let concat = Op::Concat(Concat { axis: parts[0].rank() - 1 });
    concat.eval(parts).ok()?.into_iter().next()
}

/// All weights of a group, and all biases where one has any.
fn packed(group: &[Projection]) -> Option<(Tensor, Option<Tensor>)> {
    let weights: Vec<&Tensor> = group.iter().map(|part| &part.weights).collect();
    let bias = if group.iter().any(|part| part.bias.is_some()) {
        let rows: Vec<Tensor> = group.iter().map(Projection::row).collect::<Option<_>>()?;
        Some(side_by_side(&rows.iter().collect::<Vec<_>>())?)
    } else {
        None
    };
    Some((side_by_side(&weights)?, bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::testing::for_generic;

    const ATTENTION: &str =
        "%4 = attention %1, %2, %3 {q=[0,2,1,3], k=[0,2,1,3], v=[0,2,1,3], y=[0,2,1,3]}\nreturn %4";

    fn packed(text: &str) -> (usize, Graph) {
        let graph = drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (graph, report) = for_generic(graph);
        assert!(report.declined.is_empty(), "{report:?}");
        (report.count(PROJECTIONS_PACKED.name), graph)
    }

    fn products(graph: &Graph) -> usize {
        graph.nodes().filter(|&id| matches!(graph.node(id).op, Op::MatMul(_))).count()
    }

    /// Results are those of the products on their own, whether all, some or none have biases.
    #[test]
    fn queries_keys_and_values_come_from_one_product() {
        for biases in [["", "", ""], [" epilogue(add @c)", "", " epilogue(add @d)"]] {
            let [q, k, v] = biases;
            let text = format!(
                "%x: f32[2,5,12]\n@u: f32[12,16] = random(1)\n@w: f32[12,16] = random(2)\n@z: f32[12,16] = random(3)\n\
                 @c: f32[16] = random(4)\n@d: f32[1,1,16] = random(5)\n%q = matmul %x, @u{q}\n%k = matmul %x, @w{k}\n\
                 %v = matmul %x, @z{v}\n%1 = reshape %q {{shape=[2,5,4,4]}}\n%2 = reshape %k {{shape=[2,5,4,4]}}\n\
                 %3 = reshape %v {{shape=[2,5,4,4]}}\n{ATTENTION}"
            );
            let before = drift_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let (groups, graph) = packed(&text);
            assert_eq!((groups, products(&graph)), (1, 1));
            let values: Vec<f32> = (0..120).map(|n| (n as f32 * 0.37).sin()).collect();
            let input = Tensor::from_f32(vec![2, 5, 12], &values).expect("120 values");
            let of = |graph: &Graph| {
                drift_ir::eval::run(graph, std::slice::from_ref(&input)).expect("it runs")[0].to_f32_vec()
            };
            let pairs: Vec<(f32, f32)> = of(&before).into_iter().zip(of(&graph)).collect();
            assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-6), "{pairs:?}");
        }
    }

    /// Copies of a graph number what they add alike: blobs are told apart, and shared, by what they hold.
    #[test]
    fn what_copies_add_is_told_apart_by_content() {
        let packed = |seed: u32, before: bool| {
            let text = format!(
                "%x: f32[1,5,16]\n@u: f32[16,16] = random(1)\n@w: f32[16,16] = random(2)\n@z: f32[16,16] = random({seed})\n\
                 %q = matmul %x, @u\n%k = matmul %x, @w\n%v = matmul %x, @z\n%1 = reshape %q {{shape=[1,5,4,4]}}\n\
                 %2 = reshape %k {{shape=[1,5,4,4]}}\n%3 = reshape %v {{shape=[1,5,4,4]}}\n{ATTENTION}"
            );
            let mut graph = drift_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            graph.share();
            if before {
                graph.add_constant("another", Tensor::scalar_f32(1.0)).expect("a free name");
            }
            let profile = &crate::profile::GENERIC;
            let (graph, _) = for_generic(graph);
            let layouts = crate::layout::assign(&graph, profile, Default::default(), None).expect("layouts");
            let program = crate::select::choose(&graph, &layouts, profile, None).expect("kernels");
            let weights = program.constants.iter().find(|constant| constant.name.contains("packed_weights"));
            weights.expect("packed weights").key.clone()
        };
        assert_eq!(packed(3, false), packed(3, true));
        assert_ne!(packed(3, false), packed(4, false));
    }

    #[test]
    fn what_others_read_or_add_to_stays() {
        let text = |steps: &str| {
            format!(
                "%x: f32[1,5,16]\n%r: f32[1,5,16]\n@u: f32[16,16] = random(1)\n@w: f32[16,16] = random(2)\n\
                 @z: f32[16,16] = random(3)\n{steps}\n%1 = reshape %q {{shape=[1,5,4,4]}}\n\
                 %2 = reshape %k {{shape=[1,5,4,4]}}\n%3 = reshape %v {{shape=[1,5,4,4]}}\n{ATTENTION}"
            )
        };
        let two = text("%q = matmul %x, @u epilogue(add %r)\n%k = matmul %x, @w\n%v = matmul %x, @z");
        let (groups, graph) = packed(&two);
        assert_eq!((groups, products(&graph)), (1, 2));
        let none = text("%q = matmul %x, @u epilogue(add %r)\n%k = matmul %r, @w\n%v = matmul %x, @z");
        assert_eq!(packed(&none).0, 0);
        let shared = text("%q = matmul %r, @u\n%k = matmul %x, @w\n%v = matmul %x, @w");
        assert_eq!(packed(&shared).0, 0);
    }
}
