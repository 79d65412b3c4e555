//! Contents of inputs and constants: ordinary numbers, the neutral elements that rules look for, and values that break
//! arithmetic.

use super::choices::{Choices, Random};
use drift_ir::{ElementType, Tensor};

/// What the elements of a tensor are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Numbers around zero.
    Ordinary,
    /// One number everywhere, of those that rules look for.
    Uniform,
    /// Small integers and halves between them.
    Ties,
    /// Many magnitudes.
    Wide,
    /// NaN, infinities, zeros of both signs and the ends of types, among ordinary numbers.
    Special,
    /// Places along an axis of this size, some counted from the end.
    Places(u64),
    /// Numbers above zero.
    Positive,
}

/// What rules look for in a uniform constant.
const NEUTRAL: [f64; 14] = [
    1.0,
    0.0,
    2.0,
    0.5,
    -1.0,
    -0.0,
    3.0,
    -0.5,
    1e-5,
    0.125,
    -65504.0,
    0.044_715,
    std::f64::consts::SQRT_2,
    10.0,
];

const SPECIAL: [f64; 20] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    65504.0,
    -65504.0,
    65520.0,
    3.4028234e38,
    -3.4028234e38,
    1e-45,
    -1e-40,
    6e-8,
    16_777_217.0,
    2_147_483_648.0,
    -2_147_483_904.0,
    300.5,
    -129.5,
    1e20,
    -1e-20,
];

const SPECIAL_INTEGERS: [i64; 14] = [
    0,
    -1,
    127,
    128,
    -128,
    -129,
    255,
    256,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    1 << 31,
    1 << 40,
    i64::MAX,
];

/// The style of a tensor; specials only where they are allowed.
pub fn style(choices: &mut Choices, specials: bool) -> Style {
    let styles = [Style::Ordinary, Style::Uniform, Style::Ties, Style::Ordinary, Style::Wide, Style::Special];
    choices.of(&styles[..if specials { 6 } else { 5 }])
}

/// A tensor of that style. Few choices decide it, so that shrinking need not try each element.
pub fn tensor(choices: &mut Choices, element: ElementType, shape: &[u64], style: Style) -> Option<Tensor> {
    let count = shape.iter().product::<u64>() as usize;
    if style == Style::Uniform {
        let value = choices.of(&NEUTRAL);
        return Tensor::from_f64_as(element, shape, &vec![value; count]).ok();
    }
    let mut random = Random::new(choices.pick(1 << 16) as u64);
    if element.is_float() {
        let values: Vec<f64> = (0..count).map(|_| float(&mut random, style)).collect();
        return Tensor::from_f64_as(element, shape, &values).ok();
    }
    let values: Vec<i64> = (0..count).map(|_| integer(&mut random, element, style)).collect();
    Tensor::from_i64_as(element, shape, &values).ok()
}

fn float(random: &mut Random, style: Style) -> f64 {
    let ordinary = random.unit() * 6.0 - 3.0;
    match style {
        Style::Ordinary | Style::Uniform => ordinary,
        Style::Ties => (ordinary * 4.0).round() / 2.0,
        Style::Wide => ordinary * 10f64.powi(random.below(7) as i32 - 3),
        Style::Positive => ordinary.abs() + 0.25,
        Style::Places(size) => random.below(size.max(1)) as f64,
        Style::Special => match random.below(2) {
            0 => SPECIAL[random.below(SPECIAL.len() as u64) as usize],
            _ => ordinary,
        },
    }
}

fn integer(random: &mut Random, element: ElementType, style: Style) -> i64 {
    if element == ElementType::Bool {
        return random.below(2) as i64;
    }
    match style {
        Style::Positive => random.below(4) as i64 + 1,
        Style::Places(size) => {
            let place = random.below(size.max(1)) as i64;
            if random.below(4) == 0 { place - size as i64 } else { place }
        }
        Style::Special if random.below(2) == 0 => {
            SPECIAL_INTEGERS[random.below(SPECIAL_INTEGERS.len() as u64) as usize]
        }
        Style::Ordinary | Style::Uniform | Style::Ties | Style::Wide | Style::Special => {
            random.below(9) as i64 - 4
        }
    }
}
