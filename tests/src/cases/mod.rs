//! The kernels to be proved: graphs in text form, small and awkward, each named after what is hard about it.

mod attention;
mod base;
mod blocks;
mod bytes;
mod cached;
mod causal;
mod combined;
mod data_movement;
mod empty;
mod half_precision;
mod in_place;
mod indices;
mod large;
mod large_values;
mod memory;
mod norm;
mod parts;
mod projections;
mod quantized;
mod ranks;
mod rotary;
mod scalar;
mod special;
mod speed;
mod views;
mod vision;
mod weights;
mod winograd;

/// One graph.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `kernel/what-is-hard`; also the folder of its golden.
    pub name: &'static str,
    /// The graph.
    pub graph: &'static str,
    /// Whether its kernel text is kept as a golden, under buffer layout and f32 unless the name says otherwise.
    pub golden: bool,
}

const fn case(name: &'static str, graph: &'static str) -> Case {
    Case { name, graph, golden: false }
}

const fn golden(name: &'static str, graph: &'static str) -> Case {
    Case { name, graph, golden: true }
}

/// Cases whose own values f16 does not hold: stored as f16 they are other numbers.
pub const BEYOND_F16: [&str; 1] = ["special/f16"];

/// The cases of each family.
const FAMILIES: &[&[Case]] = &[
    attention::CASES,
    base::CASES,
    blocks::CASES,
    bytes::CASES,
    cached::CASES,
    causal::CASES,
    combined::CASES,
    empty::CASES,
    half_precision::CASES,
    in_place::CASES,
    indices::CASES,
    large::CASES,
    large_values::CASES,
    memory::CASES,
    data_movement::CASES,
    norm::CASES,
    parts::CASES,
    projections::CASES,
    quantized::CASES,
    ranks::CASES,
    rotary::CASES,
    scalar::CASES,
    special::CASES,
    speed::CASES,
    views::CASES,
    vision::CASES,
    weights::CASES,
    winograd::CASES,
];

/// All cases.
pub fn all() -> impl Iterator<Item = &'static Case> {
    FAMILIES.iter().copied().flatten()
}
