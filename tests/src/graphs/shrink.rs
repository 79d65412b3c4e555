//! Makes a failing graph smaller: first by simpler choices, then by cutting nodes off and giving their results as inputs.

use super::choices::Choices;
use super::generate::{Case, Limits, case};
use super::reference;
use drift_ir::{NodeId, Tensor, ValueId, eval};
use std::time::Instant;

/// Cases that are tried, at most.
const TRIES: usize = 3000;

/// The smallest case found by then that still fails.
pub fn shrink(
    choices: Vec<u32>,
    limits: Limits,
    until: Instant,
    fails: impl FnMut(&Case) -> bool,
) -> Option<Case> {
    let mut shrinking = Shrinking { limits, fails, until, tries: 0 };
    let choices = shrinking.choices(choices);
    let made = case(&mut Choices::replayed(choices), limits)?;
    Some(shrinking.cut(made))
}

struct Shrinking<F> {
    limits: Limits,
    fails: F,
    until: Instant,
    tries: usize,
}

impl<F: FnMut(&Case) -> bool> Shrinking<F> {
    fn is_over(&self) -> bool {
        self.tries > TRIES || Instant::now() >= self.until
    }

    /// The choices that these come to if the case that they make still fails.
    fn try_choices(&mut self, choices: Vec<u32>) -> Option<Vec<u32>> {
        self.tries += 1;
        if self.is_over() {
            return None;
        }
        let mut replayed = Choices::replayed(choices);
        let made = case(&mut replayed, self.limits)?;
        (self.fails)(&made).then(|| replayed.used().to_vec())
    }

    /// Deletes and zeroes runs of choices, long ones first, then halves single ones, until nothing helps.
    fn choices(&mut self, mut best: Vec<u32>) -> Vec<u32> {
        loop {
            let before = best.clone();
            let mut length = best.len().next_power_of_two();
            while length > 0 {
                let mut start = 0;
                while start < best.len() {
                    let end = (start + length).min(best.len());
                    let deleted = [&best[..start], &best[end..]].concat();
                    let mut zeroed = best.clone();
                    zeroed[start..end].fill(0);
                    let zeroed = (zeroed != best).then_some(zeroed);
                    let smaller = [Some(deleted), zeroed].into_iter().flatten();
                    match smaller.into_iter().find_map(|choices| self.try_choices(choices)) {
                        Some(found) if found.len() < best.len() => best = found,
                        Some(found) => {
                            best = found;
                            start += length;
                        }
                        None => start += length,
                    }
                }
                length /= 2;
            }
            for at in 0..best.len() {
                // Choices are taken modulo small numbers, so only small ones are of use.
                for value in [0, 1, 2, 3, 4] {
                    let Some(mut smaller) = best.get(at).filter(|&&own| own > value).map(|_| best.clone())
                    else {
                        break;
                    };
                    smaller[at] = value;
                    if let Some(found) = self.try_choices(smaller) {
                        best = found;
                        break;
                    }
                }
            }
            if best == before || self.is_over() {
                return best;
            }
        }
    }

    /// Keeps one output, and makes inputs of results as far as it still fails.
    fn cut(&mut self, mut best: Case) -> Case {
        if let Some(graph) = reference::bound(&best) {
            let bound = Case { graph, inputs: best.inputs.clone() };
            if (self.fails)(&bound) {
                best = bound;
            }
        }
        for output in best.graph.outputs().to_vec() {
            let mut smaller = best.clone();
            if smaller.graph.set_outputs(&[output]).is_ok() {
                smaller.graph.remove_dead();
                if (self.fails)(&smaller) {
                    best = smaller;
                    break;
                }
            }
        }
        let Ok(results) = results(&best) else { return best };
        for (node, result, tensor) in results {
            if self.is_over() {
                break;
            }
            let Some(smaller) = without(&best, node, result, tensor) else { continue };
            if (self.fails)(&smaller) {
                best = smaller;
            }
        }
        best
    }
}

type Results = Vec<(NodeId, ValueId, Tensor)>;

/// The results of all nodes, last first.
fn results(case: &Case) -> Result<Results, eval::EvalError> {
    let mut results = Vec::new();
    eval::run_observed(&case.graph, &case.inputs, |node, tensors| {
        let result = case.graph.node(node).outputs[0];
        results.extend(tensors.first().map(|tensor| (node, result, tensor.clone())));
    })?;
    results.reverse();
    Ok(results)
}

/// The case with a node's result as an input.
fn without(case: &Case, node: NodeId, result: ValueId, tensor: Tensor) -> Option<Case> {
    let mut smaller = case.clone();
    let graph = &mut smaller.graph;
    if graph.get_node(node).is_none() || graph.is_output(result) {
        return None;
    }
    let name = graph.unique_name(&format!("{}_given", graph.value(result).name));
    let given = graph.add_input(name, tensor.ty()).ok()?;
    graph.replace_uses(result, given).ok()?;
    graph.remove_dead();
    smaller.inputs.push(tensor);
    Some(smaller)
}
