//! Counts of what was run, by op, element type, rank, stage and rule.

use super::generate::Case;
use super::rewrites::{Passed, Stage};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a run of the fuzzer did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Graphs that were checked.
    pub graphs: u64,
    /// Seeds of which no graph came.
    pub empty: u64,
    /// Nodes by op.
    pub ops: BTreeMap<String, u64>,
    /// Results by element type.
    pub elements: BTreeMap<&'static str, u64>,
    /// Results by rank.
    pub ranks: BTreeMap<usize, u64>,
    /// Graphs by the last stage that changed them.
    pub stages: BTreeMap<String, u64>,
    /// Applications of rules.
    pub rules: BTreeMap<&'static str, u64>,
    /// Elements whose special value a listed rule changed.
    pub special: u64,
    /// Answers of the compiler to graphs that it refuses, without names.
    pub refusals: BTreeMap<String, u64>,
    /// Time of all threads by what it went to, where that is measured.
    pub times: BTreeMap<&'static str, Duration>,
}

impl Report {
    /// Counts a graph that was checked.
    pub fn count(&mut self, case: &Case, passed: &Passed) {
        self.graph(case);
        self.reached(stage_name(passed.stage));
        self.special += passed.special;
        for rule in &passed.rules {
            *self.rules.entry(rule).or_default() += 1;
        }
    }

    /// Counts what a graph is made of.
    pub fn graph(&mut self, case: &Case) {
        self.graphs += 1;
        for id in case.graph.nodes() {
            let node = case.graph.node(id);
            *self.ops.entry(node.op.name().to_owned()).or_default() += 1;
            let ty = &case.graph.value(node.outputs[0]).ty;
            *self.elements.entry(ty.element.name()).or_default() += 1;
            *self.ranks.entry(ty.rank()).or_default() += 1;
        }
    }

    /// Counts how far a graph came.
    pub fn reached(&mut self, stage: &str) {
        *self.stages.entry(stage.to_owned()).or_default() += 1;
    }

    /// Counts why a graph was refused: the last line of the answer, names left out.
    pub fn refused(&mut self, why: &str) {
        let last = why.lines().last().unwrap_or_default();
        let reason = last.rsplit_once("): ").map_or(last, |(_, reason)| reason);
        let words = reason.split(' ').filter(|word| !word.contains(|c: char| c == '`' || c.is_ascii_digit()));
        *self.refusals.entry(words.collect::<Vec<_>>().join(" ")).or_default() += 1;
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: Self) {
        fn merge<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
        self.graphs += other.graphs;
        self.empty += other.empty;
        self.special += other.special;
        merge(&mut self.ops, other.ops);
        merge(&mut self.elements, other.elements);
        merge(&mut self.ranks, other.ranks);
        merge(&mut self.stages, other.stages);
        merge(&mut self.rules, other.rules);
        merge(&mut self.refusals, other.refusals);
        for (stage, time) in other.times {
            *self.times.entry(stage).or_default() += time;
        }
    }
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Refused => "refused by the evaluator",
        Stage::Unchanged => "unchanged",
        Stage::Simplified => "simplified",
        Stage::Fused => "fused",
        Stage::Expanded => "expanded",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn line<K: fmt::Display>(
            f: &mut fmt::Formatter<'_>,
            what: &str,
            counts: &BTreeMap<K, u64>,
        ) -> fmt::Result {
            let parts: Vec<String> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
            writeln!(f, "{what}: {}", parts.join(", "))
        }
        writeln!(f, "{} graphs; {} seeds made none", self.graphs, self.empty)?;
        line(f, "stages", &self.stages)?;
        line(f, "element types", &self.elements)?;
        line(f, "ranks", &self.ranks)?;
        line(f, "ops", &self.ops)?;
        line(f, "rules", &self.rules)?;
        for (why, count) in &self.refusals {
            writeln!(f, "refused {count}: {why}")?;
        }
        for (stage, time) in &self.times {
            writeln!(f, "{:.1} s: {stage}", time.as_secs_f64())?;
        }
        writeln!(f, "elements whose special value a listed rule changed: {}", self.special)
    }
}
