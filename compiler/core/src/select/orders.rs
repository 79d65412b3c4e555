//! Orders of weights that the entries of a bundle agree on. A product of few rows reads a matrix fastest with the inputs of an
//! output side by side, and one of many rows with the outputs of an input; a prompt's and a token's entries would hold each matrix
//! twice. Kernels of both read either order, so one is taken for all: that in which an entry's rows, tokens that is, take the
//! fewest cycles. Quantized weights have one order in any case, and a weight that one entry reads alone keeps its own.

use super::tiling::Size;
use super::{Context, Declined, product};
use crate::kernel::{Slot, Source};
use crate::physical::Element;
use crate::physical::content::{Hash, sample};
use crate::physical::weights::{RowFormat, WeightsForm, WeightsOrder, WeightsStorage};
use crate::profile::Profile;
use crate::program::{Content, Program, ProgramStep};
use drift_ir::{Graph, Tensor, ValueId};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// Which of the two orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sides {
    /// Inputs of an output side by side: `matvec_rows`, and products as if transposed.
    Inputs,
    /// Outputs of an input side by side.
    Outputs,
}

/// Orders by what weights hold. A sample tells them apart: two that agree in it and differ elsewhere get one order, which either
/// may have.
#[derive(Clone, Debug, Default)]
pub struct Orders(HashMap<Hash, Sides>);

/// What entries agreed on for one profile.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// The orders.
    pub orders: Orders,
    /// Weights that have one.
    pub weights: usize,
    /// Bytes that would be stored a second time.
    pub saved_bytes: u64,
    /// By how much the agreed orders change the cycles of each entry's products that read these weights, as a factor.
    pub slower: Vec<f64>,
}

/// A product that reads a weight.
struct Reading {
    entry: usize,
    size: Size,
    element: Element,
    sides: Sides,
    bytes: u64,
    /// Whether it is bound by reading the matrix.
    few: bool,
}

/// The form of a constant matrix for a kernel that reads any.
pub(super) fn form(context: &Context<'_>, weights: ValueId) -> WeightsForm {
    match agreed(context, weights) {
        Some(Sides::Inputs) => WeightsForm::buffer(WeightsOrder::ROWS_OF_INPUTS),
        Some(Sides::Outputs) | None => context.profile.weights.product,
    }
}

/// Fails where a constant matrix has the outputs of an input side by side for another entry.
pub(super) fn allows_rows(context: &Context<'_>, weights: ValueId) -> Result<(), Declined> {
    match agreed(context, weights) {
        Some(Sides::Outputs) => {
            Err(Declined::Unsupported("another entry's products read the weights by outputs".to_owned()))
        }
        Some(Sides::Inputs) | None => Ok(()),
    }
}

fn agreed(context: &Context<'_>, weights: ValueId) -> Option<Sides> {
    if context.orders.0.is_empty() {
        return None;
    }
    context.orders.0.get(&sample(context.constant_tensor(weights)?)).copied()
}

/// Whether any of these graphs hold the same matrix, without which there is nothing to agree on.
pub fn share_matrices<'g>(graphs: impl IntoIterator<Item = &'g Graph>) -> bool {
    let mut seen: HashSet<Hash> = HashSet::new();
    graphs.into_iter().any(|graph| {
        let tensors = graph.values().filter_map(|(value, _)| graph.constant(value));
        let own: HashSet<Hash> =
            tensors.filter(|tensor| tensor.rank() > 1 && tensor.element().is_float()).map(sample).collect();
        let shares = !seen.is_disjoint(&own);
        seen.extend(own);
        shares
    })
}

/// Decides for each weight that several entries read in different orders. `programs` are those that the entries would have on
/// their own, none for one that has no kernels.
pub fn agree(programs: &[Option<Program>], profile: &Profile) -> Agreement {
    let mut readings: IndexMap<Hash, Vec<Reading>> = IndexMap::new();
    for (entry, program) in programs.iter().enumerate() {
        let Some(program) = program else { continue };
        for step in &program.steps {
            for (weights, reading) in of_step(program, step, entry) {
                readings.entry(weights).or_default().push(reading);
            }
        }
    }
    let mut agreement = Agreement::default();
    let mut cycles = vec![[0.0_f64; 2]; programs.len()];
    for (weights, readings) in readings {
        let Some(sides) = decide(&readings, profile) else { continue };
        agreement.weights += 1;
        agreement.saved_bytes += readings[0].bytes;
        for reading in &readings {
            let [before, after] = [reading.sides, sides].map(|sides| reading.cycles(sides, profile));
            cycles[reading.entry][0] += before.unwrap_or(0.0);
            cycles[reading.entry][1] += after.unwrap_or(0.0);
        }
        agreement.orders.0.insert(weights, sides);
    }
    let slower = |[before, after]: [f64; 2]| if before > 0.0 { after / before } else { 1.0 };
    agreement.slower = cycles.into_iter().map(slower).collect();
    agreement
}

/// The order in which a row of each product takes the fewest cycles; none where there is nothing to agree on.
fn decide(readings: &[Reading], profile: &Profile) -> Option<Sides> {
    let several = readings.iter().any(|reading| reading.entry != readings[0].entry);
    let differ = readings.iter().any(|reading| reading.sides != readings[0].sides);
    if !several || !differ {
        return None;
    }
    let cost = |sides| -> Option<f64> {
        let of_a_row =
            |reading: &Reading| Some(reading.cycles(sides, profile)? / reading.size.m.max() as f64);
        readings.iter().map(of_a_row).sum()
    };
    match (cost(Sides::Inputs), cost(Sides::Outputs)) {
        (Some(inputs), Some(outputs)) if inputs <= outputs => Some(Sides::Inputs),
        (_, Some(_)) => Some(Sides::Outputs),
        (Some(_), None) => Some(Sides::Inputs),
        (None, None) => None,
    }
}

impl Reading {
    /// Estimated time with the weights in an order.
    fn cycles(&self, sides: Sides, profile: &Profile) -> Option<f64> {
        if self.few {
            let rates = &profile.rates.few_rows;
            let beside = if sides == Sides::Inputs { rates.by_inputs } else { rates.by_outputs };
            return Some(beside + self.bytes as f64 / profile.rates.device.bytes_per_cycle);
        }
        let size = Size { transposed: sides == Sides::Inputs, ..self.size.clone() };
        product::cycles(profile, &size, self.element, self.bytes).ok()
    }
}

/// Kernels of products that are bound by reading the matrix, and of all others. A test sees that no product is missing.
const OF_FEW_ROWS: [&str; 3] = ["matvec_rows_subgroup", "matvec_rows", "matvec"];
const OF_MANY_ROWS: [&str; 3] = ["matmul_cooperative", "matmul_cooperative_8x8", "matmul_tiled"];

/// What a step reads of weights in buffers, if it is a product with some that are floats, or two such in one loop.
fn of_step(program: &Program, step: &ProgramStep, entry: usize) -> Vec<(Hash, Reading)> {
    let kernel = step.call.kernel.name;
    let few = OF_FEW_ROWS.contains(&kernel);
    if !few && !OF_MANY_ROWS.contains(&kernel) {
        return Vec::new();
    }
    let matrices: Vec<(&Tensor, Sides, &Slot)> =
        step.call.slots.iter().filter_map(|slot| matrix(program, slot)).collect();
    let elements = |tensor: &Tensor| (tensor.len() as u64).max(1);
    let all: u64 = matrices.iter().map(|(tensor, ..)| elements(tensor)).sum();
    let reading = |(tensor, sides, slot): (&Tensor, Sides, &Slot)| {
        let elements = elements(tensor);
        // The first size of the slot is no padded one.
        let first = slot.shape.first().map_or(1, |first| first.max().max(1));
        let [k, n] = match sides {
            Sides::Inputs => [elements / first, first],
            Sides::Outputs => [first, elements / first],
        };
        // The step's arithmetic is that of its rows, however they are cut.
        let m = (step.flops / (2 * all)).max(1);
        let [batches, m, n, k] = [1, m, n, k].map(Into::into);
        let size = Size { batches, m, n, k, transposed: false, parts_bytes: u64::MAX };
        let element = slot.layout.element;
        let reading = Reading { entry, size, element, sides, bytes: elements * element.size_bytes(), few };
        (sample(tensor), reading)
    };
    matrices.into_iter().map(reading).collect()
}

/// The weights that a slot reads in one of the two orders.
fn matrix<'p>(program: &'p Program, slot: &'p Slot) -> Option<(&'p Tensor, Sides, &'p Slot)> {
    let Source::Constant(constant) = slot.source else { return None };
    let Content::Packed(recipe) = &program.constants.get(constant as usize)?.content else { return None };
    Some((recipe.source(), sides(slot)?, slot))
}

/// In which of the two orders a matrix is; none for others.
fn sides(slot: &Slot) -> Option<Sides> {
    match (&slot.rows, &slot.weights) {
        (Some(rows), _) => matches!(rows.format(), RowFormat::Floats(_)).then_some(Sides::Inputs),
        (None, Some(weights)) if weights.form().storage == WeightsStorage::Buffer => {
            match weights.form().order {
                WeightsOrder::ROWS_OF_INPUTS => Some(Sides::Inputs),
                WeightsOrder::ROWS => Some(Sides::Outputs),
                _ => None,
            }
        }
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{OF_FEW_ROWS, OF_MANY_ROWS};
    use crate::kernel;

    #[test]
    fn every_kernel_of_a_product_is_listed() {
        let products = kernel::ALL.iter().map(|source| source.name).filter(|name| name.starts_with("mat"));
        let listed: Vec<&str> = OF_MANY_ROWS.into_iter().chain(OF_FEW_ROWS).collect();
        let missing: Vec<&str> = products.filter(|name| !listed.contains(name)).collect();
        assert_eq!(missing, [""; 0]);
    }
}
