//! What failed: each kind with a few small graphs, and how often.

use super::generate::Case;
use drift_ir::text;
use std::collections::BTreeMap;
use std::fmt;

/// A graph that failed, made small.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number: `--seed SEED --only NUMBER` makes it again.
    pub number: u64,
    /// What is wrong with the small graph.
    pub why: String,
    /// The small graph.
    pub graph: String,
    /// Its inputs.
    pub inputs: Vec<String>,
}

impl Found {
    /// A failure in words.
    pub fn new(number: u64, why: String, small: &Case) -> Self {
        let named = small.graph.inputs().iter().map(|&input| &small.graph.value(input).name);
        let short = named.zip(&small.inputs).filter(|(_, tensor)| tensor.len() <= 128);
        let inputs = short.map(|(name, tensor)| match tensor.element().is_float() {
            true => format!("%{name} = {:?}", tensor.to_f64_vec()),
            false => format!("%{name} = {:?}", tensor.to_i64_vec()),
        });
        let inputs = inputs.collect();
        Self { number, why, graph: text::print(&small.graph), inputs }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {}: {}\n{}", self.number, self.why, self.graph)?;
        self.inputs.iter().try_for_each(|input| writeln!(f, "// {input}"))
    }
}

/// Failures by kind.
#[derive(Clone, Debug, Default)]
pub struct Findings(BTreeMap<String, (u64, Vec<Found>)>);

impl Findings {
    /// Counts a failure; says how many of its kind there are now.
    pub fn count(&mut self, kind: &str) -> u64 {
        let (count, _) = self.0.entry(kind.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Keeps an example.
    pub fn keep(&mut self, kind: &str, found: Found) {
        self.0.entry(kind.to_owned()).or_default().1.push(found);
    }

    /// Failures.
    pub fn total(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    /// The examples of all kinds.
    pub fn examples(&self) -> impl Iterator<Item = &Found> {
        self.0.values().flat_map(|(_, examples)| examples)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, examples)) in &self.0 {
            writeln!(f, "{count} x {kind}")?;
            examples.iter().try_for_each(|found| writeln!(f, "{found}"))?;
        }
        write!(f, "{} failures of {} kinds", self.total(), self.0.len())
    }
}
