//! What rules may do to numbers, as `docs/rewrite-rules.md` lists it. A rule without an entry here fails the tests.

use drift_compiler::rewrite::Report;
use drift_ir::{ElementType, Graph};

/// How results may differ after a rule has applied, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Not at all: bit for bit, NaN and the sign of zero included.
    Same,
    /// An intermediate f16 is no longer rounded, nor overflows; other types keep every bit.
    F16,
    /// Rounding differs, and with it where an intermediate result overflows or loses its last bits; so do NaN, infinities
    /// and zeros that come of that.
    Special,
}

/// Every rule.
pub const EFFECTS: &[(&str, Effect)] = &[
    ("static-shape", Effect::Same),
    ("fold-constants", Effect::Same),
    ("scalar-constant", Effect::Same),
    ("identity-arithmetic", Effect::Same),
    ("identity-move", Effect::Same),
    ("select-known", Effect::Same),
    ("reshape-reshape", Effect::Same),
    ("transpose-transpose", Effect::Same),
    ("transpose-to-reshape", Effect::Same),
    ("cast-cast", Effect::Same),
    ("transpose-between-reshapes", Effect::Same),
    ("slice-slice", Effect::Same),
    ("slice-of-concat", Effect::Same),
    ("slice-of-shape", Effect::Same),
    ("concat-concat", Effect::Same),
    ("concat-of-slices", Effect::Same),
    ("gather-to-slice", Effect::Same),
    ("gather-before-rows", Effect::Same),
    ("common-subexpression", Effect::Same),
    ("gelu-erf", Effect::Special),
    ("gelu-tanh", Effect::Special),
    ("sigmoid", Effect::Special),
    ("silu", Effect::Special),
    ("rotary", Effect::F16),
    ("rotary-absorbs-rest", Effect::Same),
    ("layer-norm", Effect::Special),
    ("layer-norm-absorbs-scale", Effect::Special),
    ("layer-norm-absorbs-bias", Effect::Special),
    ("norm-expands-parameters", Effect::Same),
    ("rms-norm", Effect::Special),
    ("rms-norm-absorbs-scale", Effect::Special),
    ("softmax", Effect::Special),
    ("accumulation-absorbs-casts", Effect::Same),
    ("group-norm", Effect::Same),
    ("group-norm-absorbs-scale", Effect::Special),
    ("group-norm-absorbs-bias", Effect::Special),
    ("conv-absorbs-pad", Effect::Special),
    ("pool-absorbs-pad", Effect::Same),
    ("conv-absorbs-scale", Effect::Special),
    ("conv-absorbs-bias", Effect::Special),
    ("elementwise-absorbs-expand", Effect::Same),
    ("conv-transpose-by-conv", Effect::Special),
    ("conv-by-product", Effect::Special),
    ("pool-by-axes", Effect::Special),
    ("integer-products", Effect::Same),
    ("matmul-absorbs-transpose", Effect::Same),
    ("matmul-hoists-scale", Effect::Special),
    ("matmul-absorbs-expand", Effect::Same),
    ("matmul-absorbs-repeat", Effect::Same),
    ("matmul-absorbs-slice", Effect::Same),
    ("transpose-sinks", Effect::Same),
    ("reshape-sinks", Effect::Same),
    ("equal-constants", Effect::Same),
    ("dead-code", Effect::Same),
    ("elementwise-chain", Effect::F16),
    ("diamond", Effect::F16),
    ("epilogue", Effect::F16),
    ("attention", Effect::Special),
    ("attention-band", Effect::Special),
    ("attention-absorbs-transpose", Effect::Same),
    ("attention-absorbs-repeat", Effect::Same),
    ("attention-writes-transposed", Effect::Same),
    ("attention-without-kernel", Effect::Special),
    ("attention-decomposed", Effect::Special),
    ("long-walks-in-parts", Effect::Special),
    ("projections-packed", Effect::Same),
];

/// The effect of a rule; the strongest where it has no entry yet.
pub fn of(rule: &str) -> Effect {
    EFFECTS.iter().find(|(name, _)| *name == rule).map_or(Effect::Special, |&(_, effect)| effect)
}

/// What the rules of a report may have done to the numbers of a graph.
pub fn of_report(graph: &Graph, report: &Report) -> Effect {
    let has_f16 = graph.values().any(|(_, value)| value.ty.element == ElementType::F16);
    let effects = report.applied.iter().map(|applied| match of(applied.rule) {
        Effect::F16 if !has_f16 => Effect::Same,
        effect => effect,
    });
    effects.max().unwrap_or(Effect::Same)
}

#[cfg(test)]
mod tests {
    use super::{EFFECTS, Effect};
    use drift_compiler::rewrite::rules;

    #[test]
    fn every_rule_has_an_effect() {
        let all: Vec<&str> = rules::all().map(|rule| rule.name).collect();
        let listed: Vec<&str> = EFFECTS.iter().map(|(name, _)| *name).collect();
        let missing: Vec<&&str> = all.iter().filter(|name| !listed.contains(name)).collect();
        assert!(missing.is_empty(), "rules without an effect: {missing:?}");
        let gone: Vec<&&str> = listed.iter().filter(|name| !all.contains(name)).collect();
        assert!(gone.is_empty(), "effects without a rule: {gone:?}");
    }

    #[test]
    fn rules_that_may_change_special_values_are_documented() {
        let document = include_str!("../../../docs/rewrite-rules.md");
        let (_, section) = document.split_once("## Special values").unwrap_or_default();
        for (name, _) in EFFECTS.iter().filter(|(_, effect)| *effect != Effect::Same) {
            assert!(section.contains(&format!("`{name}`")), "docs/rewrite-rules.md says nothing of {name}");
        }
    }
}
