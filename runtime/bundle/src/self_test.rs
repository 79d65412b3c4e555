//! What a bundle holds so that a device can be tried before its numbers are believed: for each variant of an entry a program
//! of its own, and the right values of what it samples.
//!
//! The program is a variant of an ordinary entry, named by [`entry_name`]: it makes seeded operands, runs the dispatches of the
//! model on them and copies samples of each result to an output. The right values are in a weight that no dispatch binds, named
//! by [`blob_name`]; [`SelfTest`] says what they are. A bundle without that weight has no self-test, whatever its entries are
//! called.

use crate::codec;
use crate::error::BundleError;
use crate::manifest::{Entry, HostElement, Manifest, Target, Variant, WeightBlob};
use crate::reader::Bundle;
use serde::{Deserialize, Serialize};

/// Name of the self-test of the entry `main`; that of another entry follows behind a dot.
pub const SELF_TEST: &str = "self_test";

/// The entry that every bundle of one model has.
const MAIN: &str = "main";

/// Most bytes of the right values of one variant: a thousand times what a model of ten thousand kernels needs.
const MOST_BYTES: usize = 64 << 20;

/// The right values of one variant's self-test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// One for each distinct dispatch, or several that compute a node together, in the order of the program.
    pub tests: Vec<Test>,
    /// What is not tested.
    pub untested: Vec<Untested>,
}

/// One test: dispatches of the model on seeded operands, and samples of their result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// Where its samples begin in the output of the self-test, which holds their bits.
    pub sample: u32,
    /// The first of the model's dispatches, by its index among those of the self-test's variant.
    pub first: u32,
    /// How many there are, one behind the other.
    pub count: u32,
    /// How far a sample may be from its right value at least.
    pub absolute: f32,
    /// The same as a share of the right value; the larger of both counts.
    pub relative: f32,
    /// The right value of each sample.
    pub expected: Samples,
}

/// Right values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Samples {
    /// Of floats, which may be infinite but not no number.
    Floats(Vec<f32>),
    /// Of integers and truth values.
    Integers(Vec<i32>),
}

/// Dispatches that a self-test leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untested {
    /// Name of the first of them, as the model's variant has it.
    pub dispatch: String,
    /// Why.
    pub reason: String,
}

impl Samples {
    /// How many there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Name of the entry that holds the self-test of `entry`.
pub fn entry_name(entry: &str) -> String {
    if entry == MAIN { SELF_TEST.to_owned() } else { format!("{SELF_TEST}.{entry}") }
}

/// Name of the entry whose self-test an entry of this name may be.
pub fn tested_entry(name: &str) -> Option<&str> {
    match name.strip_prefix(SELF_TEST)? {
        "" => Some(MAIN),
        rest => rest.strip_prefix('.').filter(|rest| !rest.is_empty() && *rest != MAIN),
    }
}

/// Name of the weight with the right values of one variant of the self-test `entry`.
pub fn blob_name(target: Target, entry: &str, variant: &str) -> String {
    format!("{entry}/{}/{variant}", target.name())
}

/// Whether `entry` is a self-test and no entry of the model.
pub fn is_self_test(manifest: &Manifest, entry: &Entry) -> bool {
    tested_entry(&entry.name).is_some()
        && entry.variants.iter().any(|variant| blob(manifest, entry, variant).is_some())
}

fn blob<'a>(manifest: &'a Manifest, entry: &Entry, variant: &Variant) -> Option<&'a WeightBlob> {
    let name = blob_name(entry.target, &entry.name, &variant.name);
    manifest.weights.iter().rev().find(|weight| weight.name == name)
}

/// The entry of a bundle that holds the self-test of `entry`.
pub fn entry_of<'a>(manifest: &'a Manifest, entry: &Entry) -> Option<&'a Entry> {
    let name = entry_name(&entry.name);
    let found = manifest.entries.iter().find(|other| other.target == entry.target && other.name == name);
    found.filter(|found| is_self_test(manifest, found))
}

impl SelfTest {
    /// The bytes that a bundle holds.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        codec::encode::<MOST_BYTES>(self).map_err(|reason| BundleError::Encode { reason })
    }

    /// The right values of `variant` of the self-test `entry`, checked against its hash and against the variant; none if the
    /// bundle holds none.
    pub fn of(bundle: &Bundle, entry: &Entry, variant: &Variant) -> Result<Option<Self>, BundleError> {
        let Some(blob) = blob(bundle.manifest(), entry, variant) else { return Ok(None) };
        let damaged = |reason: String| BundleError::SelfTest { name: blob.name.clone(), reason };
        if blob.size > MOST_BYTES as u64 {
            return Err(damaged(format!("{} bytes where at most {MOST_BYTES} are read", blob.size)));
        }
        let mut bytes = vec![0; blob.size as usize];
        let mut reader = bundle.verifying_weight_reader();
        reader.read(blob, 0, &mut bytes)?;
        reader.finish()?;
        let found: Self = codec::decode::<MOST_BYTES, _>(&bytes).map_err(damaged)?;
        found.check(entry, variant).map_err(damaged)?;
        Ok(Some(found))
    }

    /// Whether indices, counts and types are those of the program, and tolerances are tolerances.
    fn check(&self, entry: &Entry, variant: &Variant) -> Result<(), String> {
        let [output] = entry.outputs.as_slice() else {
            return Err(format!("the program has {} outputs", entry.outputs.len()));
        };
        if !entry.dims.is_empty() {
            return Err("the program has sizes that the host says".to_owned());
        }
        if output.element != HostElement::I32 || !entry.inputs.is_empty() {
            return Err("the program takes inputs, or makes no bits".to_owned());
        }
        let samples = output.elements().unwrap_or(0);
        for (number, test) in self.tests.iter().enumerate() {
            let wrong = |what: String| Err(format!("test {number}: {what}"));
            if u64::from(test.sample) + test.expected.len() as u64 > samples {
                return wrong(format!("samples from {} of {samples}", test.sample));
            }
            if test.count == 0
                || u64::from(test.first) + u64::from(test.count) > variant.dispatches.len() as u64
            {
                let (first, count) = (test.first, test.count);
                return wrong(format!("{count} dispatches from {first} of {}", variant.dispatches.len()));
            }
            let is_tolerance = |value: f32| value.is_finite() && value >= 0.0;
            if !is_tolerance(test.absolute) || !is_tolerance(test.relative) {
                return wrong("a tolerance that is none".to_owned());
            }
            if let Samples::Floats(values) = &test.expected
                && values.iter().any(|value| value.is_nan())
            {
                return wrong("a right value that is no number".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{entry_name, tested_entry};

    #[test]
    fn names_of_self_tests_say_of_what() {
        for entry in ["main", "unet", "a.b"] {
            assert_eq!(tested_entry(&entry_name(entry)), Some(entry));
        }
        for other in ["main", "self_testing", "self_test.", "self_test.main", ""] {
            assert_eq!(tested_entry(other), None, "{other}");
        }
    }
}
