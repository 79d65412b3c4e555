//! Techniques: what can be switched off as a whole, so that what it brings can be measured (`--disable`, `bench --ablate`).
//!
//! A technique is a group of rewrite rules, or something that a profile allows. `--disable` takes the names of single rules as
//! well.

use crate::profile::{LayoutCosts, Profile, WeightsForms, WinogradWhen};
use crate::rewrite::{Rules, UnknownRule};
use std::borrow::Cow;

/// Something that can be left out.
#[derive(Clone, Copy)]
pub struct Technique {
    /// Name for `--disable`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// Rules that belong to it.
    pub rules: &'static [&'static str],
    /// Takes it out of a profile.
    adjust: fn(&mut Profile),
}

const fn rules(name: &'static str, what: &'static str, rules: &'static [&'static str]) -> Technique {
    Technique { name, what, rules, adjust: |_| () }
}

const fn allowed(name: &'static str, what: &'static str, adjust: fn(&mut Profile)) -> Technique {
    Technique { name, what, rules: &[], adjust }
}

/// All techniques.
pub const TECHNIQUES: &[Technique] = &[
    rules(
        "element-wise-fusion",
        "element-wise chains and branches in the write of their producer",
        &["elementwise-chain", "diamond", "epilogue"],
    ),
    rules(
        "activations",
        "GELU, sigmoid and SiLU as one step each",
        &["gelu-erf", "gelu-tanh", "sigmoid", "silu"],
    ),
    rules(
        "group-normalisation",
        "group normalisation as one op, with its scale and bias",
        &["group-norm", "group-norm-absorbs-scale", "group-norm-absorbs-bias"],
    ),
    rules(
        "row-normalisation",
        "layer and RMS normalisation as one op, with scale and bias",
        &[
            "layer-norm",
            "layer-norm-absorbs-scale",
            "layer-norm-absorbs-bias",
            "rms-norm",
            "rms-norm-absorbs-scale",
        ],
    ),
    rules("softmax", "a decomposed softmax as one op", &["softmax"]),
    rules(
        "attention",
        "attention as one op, without a matrix of scores where that is faster",
        &["attention"],
    ),
    rules("rotary-embedding", "a written-out rotary embedding as one op", &["rotary", "rotary-absorbs-rest"]),
    rules("packed-projections", "queries, keys and values as one product", &["projections-packed"]),
    rules(
        "data-movement-in-products",
        "matrix products that read transposed, sliced, expanded or repeated operands in place",
        &[
            "matmul-absorbs-transpose",
            "matmul-absorbs-slice",
            "matmul-absorbs-expand",
            "matmul-absorbs-repeat",
        ],
    ),
    rules(
        "sinking-data-movement",
        "transposes and reshapes moved behind element-wise nodes",
        &["transpose-sinks", "reshape-sinks"],
    ),
    allowed("winograd", "3x3 convolutions after Winograd", |profile| {
        profile.winograd.when = WinogradWhen::Never
    }),
    allowed("cooperative-matrices", "products on matrix units", |profile| profile.cooperative = None),
    allowed("subgroups", "reductions in subgroups", |profile| {
        (profile.subgroups, profile.subgroup_size, profile.cooperative) = (false, None, None);
    }),
    allowed(
        "textures",
        "values and weights in textures and image buffers where those cost less",
        |profile| {
            profile.layout = LayoutCosts::BUFFERS;
            profile.weights = WeightsForms::BUFFERS;
        },
    ),
    allowed("in-place", "results over operands at their last use", |profile| profile.memory.in_place = false),
    allowed("step-order", "steps in the order that keeps least alive", |profile| {
        profile.memory.order = false
    }),
    allowed("norms-in-products", "normalised rows made where a product of few rows reads them", |profile| {
        profile.steps.norms = false;
    }),
    allowed("gated-products", "a product of few rows and its gate in one walk", |profile| {
        profile.steps.gates = false;
    }),
    allowed("cache-steps", "rotary embeddings and writes to a cache in one dispatch", |profile| {
        profile.steps.caches = false;
    }),
    allowed("views", "parts of concatenations and slices as ranges of the whole", |profile| {
        profile.memory.views = false;
    }),
];

/// What is left after some names were taken out.
pub struct Enabled {
    /// The rewrite rules.
    pub rules: Rules,
    off: Vec<Technique>,
}

impl Enabled {
    /// Everything but the techniques and rules named.
    pub fn without(names: &[String]) -> Result<Self, UnknownRule> {
        let of = |name: &String| TECHNIQUES.iter().find(|technique| technique.name == *name);
        let off: Vec<Technique> = names.iter().filter_map(of).copied().collect();
        let single = names.iter().filter(|name| of(name).is_none()).cloned();
        let grouped = off.iter().flat_map(|technique| technique.rules).map(|rule| (*rule).to_owned());
        let rules = Rules::disabling(single.chain(grouped)).map_err(|mut unknown| {
            unknown.known.extend(TECHNIQUES.iter().map(|technique| technique.name));
            unknown
        })?;
        Ok(Self { rules, off })
    }

    /// The profile without what is off.
    pub fn profile<'a>(&self, profile: &'a Profile) -> Cow<'a, Profile> {
        let mut profile = Cow::Borrowed(profile);
        for technique in self.off.iter().filter(|technique| technique.rules.is_empty()) {
            (technique.adjust)(profile.to_mut());
        }
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    #[test]
    fn rules_of_techniques_exist_and_names_are_their_own() {
        for technique in TECHNIQUES {
            let enabled =
                Enabled::without(&[technique.name.to_owned()]).unwrap_or_else(|error| panic!("{error}"));
            assert!(technique.rules.iter().all(|rule| !enabled.rules.allows(rule)), "{}", technique.name);
            assert!(Rules::disabling([technique.name]).is_err() || technique.rules == [technique.name]);
        }
    }

    #[test]
    fn a_technique_changes_the_profiles_that_have_it() {
        let nvidia = profile::find("nvidia").unwrap_or_else(|| panic!("nvidia"));
        let without = |name: &str| {
            let enabled = Enabled::without(&[name.to_owned()]).unwrap_or_else(|error| panic!("{error}"));
            enabled.profile(nvidia).into_owned()
        };
        assert_eq!(without("cooperative-matrices").cooperative, None);
        assert_eq!(without("winograd").winograd.when, WinogradWhen::Never);
        assert_eq!(&without("softmax"), nvidia);
    }

    #[test]
    fn unknown_names_are_told_apart() {
        let error =
            Enabled::without(&["flash".to_owned()]).err().unwrap_or_else(|| panic!("there is no such name"));
        assert!(error.to_string().contains("winograd") && error.to_string().contains("epilogue"), "{error}");
    }
}
