//! Inputs of cases: numbers around zero, and the values at which formulas break.

use drift_compiler::Precision;
use drift_ir::{ElementType, Graph, Tensor};

/// Numbers that are the same for each run.
struct Sequence(u64);

impl Sequence {
    const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 40
    }

    /// At least 0, below 1.
    fn fraction(&mut self) -> f32 {
        self.bits() as f32 / (1 << 24) as f32
    }
}

/// Seeded inputs: floats around zero with a few large ones, integers 0 to 2, alternating truth values.
pub(crate) fn inputs(graph: &Graph, precision: Precision) -> Vec<Tensor> {
    let mut sequence = Sequence::new();
    of_each(graph, |element, shape, count| match element {
        ElementType::I64 => Tensor::from_i64(shape, &(0..count as i64).map(|n| n % 3).collect::<Vec<_>>()),
        ElementType::Bool => Tensor::from_bool(shape, &(0..count).map(|n| n % 3 != 1).collect::<Vec<_>>()),
        element => {
            let values: Vec<f32> = (0..count)
                .map(|n| match n % 17 {
                    3 => 0.0,
                    11 => -20.0 * sequence.fraction(),
                    _ => 4.0 * sequence.fraction() - 2.0,
                })
                .map(|value| if precision == Precision::F16 { half(value) } else { value })
                .collect();
            Tensor::from_f32_as(element, shape, &values)
        }
    })
}

/// What an element-wise formula may break at, in f16 too: their largest, ties, zeros of both signs, NaNs and infinities.
const SPECIAL_FLOATS: [f32; 20] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    -0.0,
    0.0,
    65504.0,
    -65504.0,
    60000.0,
    -60000.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    1.0,
    -1.0,
    100.0,
    -100.0,
    3.0,
    -7.0,
];

/// Inputs with special values among plain ones: every third float, and the ends of the narrow integers and of i32. 64-bit
/// integers are indices more often than not, so they stay small.
pub(crate) fn special_inputs(graph: &Graph) -> Vec<Tensor> {
    let mut sequence = Sequence::new();
    of_each(graph, |element, shape, count| {
        let mut pick = |from: &[f64], plain: f64| match sequence.bits() % 3 {
            0 => from[sequence.bits() as usize % from.len()],
            _ => plain,
        };
        let ends = |least: f64, most: f64| {
            [least, most, least + 1.0, most - 1.0, 0.0, -1.0, 1.0].map(|v| v.max(least))
        };
        let values: Vec<f64> = match element {
            ElementType::F32 | ElementType::F16 | ElementType::F64 => {
                let special = SPECIAL_FLOATS.map(f64::from);
                (0..count).map(|n| pick(&special, f64::from(n as i32 % 9) * 0.75 - 3.0)).collect()
            }
            ElementType::I32 => {
                let ends = ends(f64::from(i32::MIN), f64::from(i32::MAX));
                (0..count).map(|n| pick(&ends, f64::from(n as i32 % 9) - 4.0)).collect()
            }
            ElementType::I8 => {
                (0..count).map(|n| pick(&ends(-128.0, 127.0), f64::from(n as i32 % 9))).collect()
            }
            ElementType::U8 => (0..count).map(|n| pick(&ends(0.0, 255.0), f64::from(n as i32 % 9))).collect(),
            ElementType::I16 => {
                let ends = ends(f64::from(i16::MIN), f64::from(i16::MAX));
                (0..count).map(|n| pick(&ends, f64::from(n as i32 % 9) - 4.0)).collect()
            }
            ElementType::U16 => {
                let ends = ends(0.0, f64::from(u16::MAX));
                (0..count).map(|n| pick(&ends, f64::from(n as i32 % 9))).collect()
            }
            ElementType::U32 => {
                let ends = ends(0.0, f64::from(u32::MAX));
                (0..count).map(|n| pick(&ends, f64::from(n as i32 % 9))).collect()
            }
            ElementType::I64 | ElementType::U64 => (0..count).map(|n| f64::from(n as i32 % 3)).collect(),
            ElementType::Bool => (0..count).map(|n| f64::from(u8::from(n % 3 != 1))).collect(),
        };
        Tensor::from_f64_as(element, shape, &values)
    })
}

fn of_each(
    graph: &Graph,
    mut make: impl FnMut(ElementType, Vec<u64>, usize) -> Result<Tensor, drift_ir::tensor::TensorError>,
) -> Vec<Tensor> {
    let tensors = graph.inputs().iter().map(|&input| {
        let ty = &graph.value(input).ty;
        let shape = ty.static_shape().expect("cases have static shapes");
        let count = shape.iter().product::<u64>() as usize;
        make(ty.element, shape, count)
    });
    tensors.collect::<Result<_, _>>().expect("counts follow from shapes")
}

/// `value` as a half holds it, so that both sides start from the same numbers.
fn half(value: f32) -> f32 {
    let bits = value.to_bits() & !0x1fff;
    f32::from_bits(bits)
}
