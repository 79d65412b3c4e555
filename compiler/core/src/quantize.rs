//! Quantizes the weights of matrix products of a float model: `--weights q8`, `q4` and `844`.
//!
//! q8 is symmetric with a scale for each output; q4 has blocks of 32 inputs whose value of largest magnitude becomes -8. Weights are
//! read where they are, a band of rows at a time: what is kept is the result.

mod roles;

use bytes::Bytes;
use drift_ir::graph::EditError;
use drift_ir::tensor::TensorError;
use drift_ir::tensor::blocks::{Blocks, Parts, Zeros, pack_numbers};
use drift_ir::{ElementType, Graph, NodeId, Op, Tensor, ValueId};
use half::f16;
use std::collections::BTreeSet;

/// Weights of fewer elements stay as they are: they are few bytes.
const LEAST_ELEMENTS: u64 = 1 << 12;

/// Inputs of a q4 block.
const BLOCK: u64 = 32;

/// Rows that are in memory as f32.
const BAND: u64 = 32;

/// A form of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Eight bits, a scale for each output.
    Q8,
    /// Four bits, a scale for 32 inputs of an output.
    Q4,
}

impl Form {
    /// Name for `--weights`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    const fn bits(self) -> u32 {
        match self {
            Self::Q8 => 8,
            Self::Q4 => 4,
        }
    }

    /// Inputs of a block, of so many.
    const fn block(self, inputs: u64) -> u64 {
        match self {
            Self::Q8 => inputs,
            Self::Q4 => BLOCK,
        }
    }

    const fn zero(self) -> u8 {
        1 << (self.bits() - 1)
    }

    /// The scale under which all of a block can be stored.
    fn scale(self, block: &[f32]) -> f32 {
        let largest = block.iter().copied().fold(0.0, |a: f32, b| if b.abs() > a.abs() { b } else { a });
        match self {
            Self::Q8 => largest.abs() / 127.0,
            Self::Q4 => largest / -8.0,
        }
    }

    /// The number nearest to a value.
    fn number(self, value: f32, scale: f32) -> u8 {
        let zero = f32::from(self.zero());
        let number = if scale == 0.0 { zero } else { (value / scale).round_ties_even() + zero };
        number.clamp(0.0, f32::from(u8::MAX >> (8 - self.bits()))) as u8
    }
}

/// Which weights have which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// All of them one.
    All(Form),
    /// Eight bits in attention's projections, four in all else: embedding, feed-forward layers, head (section 3.6 of the ML
    /// Drift paper).
    ByRole,
}

impl Forms {
    /// Name for `--weights`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All(form) => form.name(),
            Self::ByRole => "844",
        }
    }
}

/// Where numbers are kept until the bundle is written: memory, or a file that the system may page out.
pub type Keep<'a> = &'a dyn Fn(Vec<u8>) -> Bytes;

/// A weight that was quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedWeight {
    /// The model's name of it.
    pub name: String,
    /// Its form.
    pub form: &'static str,
    /// How many numbers it has.
    pub elements: u64,
    /// Bytes that they take, with scales.
    pub bytes: u64,
    /// Length of the difference from the model's weights over the length of these.
    pub relative_error: f64,
}

/// Why weights could not be put into the graph: a bug of driftc.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantizeError {
    /// The graph refused them.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Their parts do not fit together.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Quantizes the constant matrices that products read, but for those that `keep` names, or whose products it names; what it
/// names is taken out of `unknown`. Numbers go where `store` keeps them.
pub fn weights(
    graph: &mut Graph,
    forms: Forms,
    (keep, unknown): (&[String], &mut BTreeSet<String>),
    store: Keep<'_>,
) -> Result<Vec<QuantizedWeight>, QuantizeError> {
    let mut report = Vec::new();
    let of_attention = match forms {
        Forms::All(_) => BTreeSet::new(),
        Forms::ByRole => roles::of_attention(graph),
    };
    let nodes: Vec<NodeId> = graph.nodes().collect();
    let mut seen = BTreeSet::new();
    for node in nodes {
        let Some((value, turned)) = weight_of(graph, node) else { continue };
        if is_kept(graph, (node, value), keep, unknown) || !seen.insert(value) || !fits(graph, value, turned)
        {
            continue;
        }
        let Some(tensor) = graph.constant(value) else { continue };
        let form = match forms {
            Forms::All(form) => form,
            Forms::ByRole if of_attention.contains(&value) => Form::Q8,
            Forms::ByRole => Form::Q4,
        };
        let Some((blocks, relative_error)) = quantized(tensor, (turned, form), store)? else { continue };
        let (name, elements, bytes) =
            (graph.value(value).name.clone(), tensor.len() as u64, blocks.size_bytes());
        let quantized = match turned {
            true => Tensor::from_turned_blocks(tensor.element(), blocks)?,
            false => Tensor::from_blocks(tensor.element(), tensor.shape(), blocks)?,
        };
        let stored = graph.unique_name(&format!("{name}.{}", form.name()));
        let stored = graph.add_constant(stored, quantized)?;
        graph.replace_uses(value, stored)?;
        report.push(QuantizedWeight { name, form: form.name(), elements, bytes, relative_error });
    }
    graph.remove_dead();
    Ok(report)
}

/// The constant matrix of a product, and whether its columns are the outputs.
fn weight_of(graph: &Graph, node: NodeId) -> Option<(ValueId, bool)> {
    let node = graph.node(node);
    let Op::MatMul(op) = node.op else { return None };
    let value = *node.inputs.get(1)?;
    let tensor = graph.constant(value)?;
    let is_float = matches!(tensor.element(), ElementType::F32 | ElementType::F16);
    let plain = tensor.rank() == 2 && is_float && tensor.blocks().is_none();
    (plain && node.inputs[0] != value).then_some((value, !op.transpose_b))
}

/// Whether a weight is to stay as it is.
fn is_kept(
    graph: &Graph,
    (node, value): (NodeId, ValueId),
    keep: &[String],
    unknown: &mut BTreeSet<String>,
) -> bool {
    let subject = graph.node(node);
    let names = [&graph.value(value).name, &subject.name].into_iter().chain(&subject.origins);
    let named: Vec<&String> = names.filter(|name| keep.contains(name)).collect();
    named.iter().for_each(|name| {
        unknown.remove(*name);
    });
    !named.is_empty()
}

/// Whether a weight is worth it, and all who read it can read it quantized.
fn fits(graph: &Graph, value: ValueId, turned: bool) -> bool {
    let tensor = graph.constant(value);
    let large = tensor.is_some_and(|tensor| tensor.len() as u64 >= LEAST_ELEMENTS);
    let reads = |reader: NodeId| match &graph.node(reader).op {
        Op::MatMul(op) => {
            let node = graph.node(reader);
            op.transpose_b != turned && node.inputs[0] != value && !node.epilogue.operands.contains(&value)
        }
        Op::Gather(op) => {
            let node = graph.node(reader);
            op.axis == 0 && !turned && node.inputs[1] != value && !node.epilogue.operands.contains(&value)
        }
        _ => false,
    };
    large && !graph.is_output(value) && graph.readers(value).all(reads)
}

/// The rows of a matrix, or its columns where it is turned, read in bands.
struct Rows<'a> {
    tensor: &'a Tensor,
    turned: bool,
    rows: u64,
    columns: u64,
}

impl<'a> Rows<'a> {
    fn new(tensor: &'a Tensor, turned: bool) -> Self {
        let [outer, inner] = [tensor.shape()[0], tensor.shape()[1]];
        let [rows, columns] = if turned { [inner, outer] } else { [outer, inner] };
        Self { tensor, turned, rows, columns }
    }

    /// Calls `with` for each row in order.
    fn each(&self, mut with: impl FnMut(&[f32])) {
        let (bytes, columns) = (self.tensor.bytes(), self.columns as usize);
        let size = self.tensor.element().size_bytes();
        let value = |at: usize| match size {
            2 => f16::from_le_bytes([bytes[at * 2], bytes[at * 2 + 1]]).to_f32(),
            _ => f32::from_le_bytes([bytes[at * 4], bytes[at * 4 + 1], bytes[at * 4 + 2], bytes[at * 4 + 3]]),
        };
        let mut band = vec![0.0; BAND as usize * columns];
        for first in (0..self.rows).step_by(BAND as usize) {
            let count = BAND.min(self.rows - first) as usize;
            // In the order in which they are.
            if self.turned {
                for column in 0..columns {
                    let from = column * self.rows as usize + first as usize;
                    (0..count).for_each(|row| band[row * columns + column] = value(from + row));
                }
            } else {
                let from = first as usize * columns;
                (0..count * columns).for_each(|at| band[at] = value(from + at));
            }
            band[..count * columns].chunks_exact(columns.max(1)).for_each(&mut with);
        }
    }
}

/// A matrix in blocks, and its error; nothing where it has values that are not finite.
fn quantized(
    tensor: &Tensor,
    (turned, form): (bool, Form),
    store: Keep<'_>,
) -> Result<Option<(Blocks, f64)>, TensorError> {
    let rows = Rows::new(tensor, turned);
    let size = form.block(rows.columns);
    let (mut scales, mut finite) = (Vec::new(), true);
    rows.each(|row| {
        finite &= row.iter().all(|value| value.is_finite());
        scales.extend(row.chunks(size as usize).map(|block| form.scale(block)));
    });
    if !finite {
        return Ok(None);
    }
    let shape = [rows.rows, rows.columns.div_ceil(size)];
    let normal = f32::from(f16::MIN_POSITIVE)..=f32::from(f16::MAX);
    let half = scales.iter().all(|scale| *scale == 0.0 || normal.contains(&scale.abs()));
    let element = if half { ElementType::F16 } else { ElementType::F32 };
    let stored = Tensor::from_f32_as(element, shape, &scales)?;
    // Numbers are chosen for the scales that are kept.
    let scales = stored.to_f32_vec();
    let mut of_rows = scales.chunks(shape[1] as usize);
    let row_bytes = (rows.columns * u64::from(form.bits())).div_ceil(8);
    let mut numbers = Vec::with_capacity((rows.rows * row_bytes) as usize);
    let mut squares = [0.0_f64; 2];
    rows.each(|row| {
        let blocks = row.chunks(size as usize).zip(of_rows.next().unwrap_or(&[]));
        let of_row: Vec<u8> = blocks
            .flat_map(|(block, &scale)| block.iter().map(move |&value| (value, scale)))
            .map(|(value, scale)| {
                let number = form.number(value, scale);
                let difference = (f32::from(number) - f32::from(form.zero())) * scale - value;
                squares[0] += f64::from(difference).powi(2);
                squares[1] += f64::from(value).powi(2);
                number
            })
            .collect();
        numbers.extend(pack_numbers(of_row, form.bits()));
    });
    let zeros = Zeros::All(form.zero());
    let shape = [rows.rows, rows.columns];
    let parts = Parts { bits: form.bits(), size, shape, numbers: store(numbers), scales: stored, zeros };
    let error = if squares[1] > 0.0 { (squares[0] / squares[1]).sqrt() } else { 0.0 };
    Ok(Some((Blocks::new(parts)?, error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> Graph {
        drift_ir::text::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Both orientations, a weight that is also picked from, and one that is named.
    #[test]
    fn weights_of_products_are_quantized_but_for_those_that_are_kept() {
        let text = "%i: i64[3]\n@w: f32[128,96] = random(1)\n@v: f32[128,64] = random(2)\n@u: f32[64,96] = random(3)\n\
                    %x = gather @w, %i {axis=0}\n%1 = matmul %x, @w {transpose_b=true}\n%2 = matmul %1, @v\n\
                    %3 = matmul %2, @u\nreturn %3";
        for (form, most) in [(Form::Q8, 0.01), (Form::Q4, 0.11)] {
            let (mut subject, mut unknown) =
                (graph(text), BTreeSet::from(["u".to_owned(), "none".to_owned()]));
            let keep = ["u".to_owned(), "none".to_owned()];
            let report = weights(&mut subject, Forms::All(form), (&keep, &mut unknown), &Bytes::from)
                .expect("they fit");
            assert_eq!(unknown, BTreeSet::from(["none".to_owned()]));
            let names: Vec<&str> = report.iter().map(|weight| weight.name.as_str()).collect();
            assert_eq!(names, ["w", "v"]);
            for weight in &report {
                assert!(weight.relative_error > most / 10.0 && weight.relative_error < most, "{weight:?}");
                assert!(weight.bytes < weight.elements * 5 / 4);
            }
            let quantized = subject.values().filter_map(|(id, _)| subject.constant(id)?.blocks());
            assert_eq!(quantized.count(), 2);
            drift_ir::verify::verify(&subject).expect("a graph");
        }
    }

    /// The value of largest magnitude is kept to the precision of the scale.
    #[test]
    fn four_bits_keep_the_value_of_largest_magnitude() {
        let mut values = vec![0.1_f32; 32 * 128];
        (values[5], values[40], values[100]) = (-4.0, 3.0, f32::MIN_POSITIVE);
        let tensor = Tensor::from_f32([128, 32], &values).expect("a matrix");
        let (blocks, _) =
            quantized(&tensor, (false, Form::Q4), &Bytes::from).expect("they fit").expect("they are finite");
        let rows: Vec<Vec<f32>> = blocks.values().collect();
        assert!((rows[0][5] - -4.0).abs() < 1e-3 && (rows[1][8] - 3.0).abs() < 2e-3, "{:?}", &rows[..2]);
        values[7] = f32::NAN;
        let tensor = Tensor::from_f32([128, 32], &values).expect("a matrix");
        assert_eq!(quantized(&tensor, (false, Form::Q4), &Bytes::from).expect("no error"), None);
    }
}
