//! The blobs of a bundle, one for each content: variants, targets and entries that ask for the same bytes share them.
//!
//! Within a graph a constant is told by its id. Between graphs, and between the constants of one, only contents can say
//! that two are equal; they are hashed in full only where a sample of them agrees.

use crate::physical::Recipe;
use crate::physical::content::{Hash, hash, sample};
use crate::program::{PackedConstant, PackedKey};
use drift_bundle::{BundleWriter, WeightSource};
use drift_ir::Tensor;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

/// A packed constant as the bundle's writer asks for it.
struct Packed(Recipe);

impl WeightSource for Packed {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        self.0.bytes()
    }
}

/// A blob of the bundle.
struct Blob {
    index: u32,
    /// What is packed in it.
    source: Tensor,
    /// Hash of all of the source.
    content: OnceCell<Hash>,
}

/// The blobs of a bundle, by what they hold.
#[derive(Default)]
pub struct Blobs {
    /// Those of the entry at hand.
    known: HashMap<PackedKey, u32>,
    /// Those of all entries, by packing and a sample of what is packed.
    alike: HashMap<(String, Hash), Vec<Blob>>,
    /// Blobs of each name.
    names: HashMap<String, u32>,
    prefix: String,
}

impl Blobs {
    /// Turns to the next entry: ids are those of another graph from here on. New blobs get names that begin with `prefix`.
    pub fn begin_entry(&mut self, prefix: String) {
        self.known.clear();
        self.prefix = prefix;
    }

    /// The blob of a constant, added to the bundle unless some step has asked for the same bytes before.
    pub(super) fn index(
        &mut self,
        constant: &PackedConstant,
        recipe: &Recipe,
        bundle: &mut BundleWriter,
    ) -> u32 {
        if let Some(&known) = self.known.get(&constant.key) {
            return known;
        }
        let index = self.same_content(constant, recipe).unwrap_or_else(|| self.add(constant, recipe, bundle));
        self.known.insert(constant.key.clone(), index);
        index
    }

    fn same_content(&self, constant: &PackedConstant, recipe: &Recipe) -> Option<u32> {
        let source = recipe.source();
        let alike = self.alike.get(&(constant.key.packing.clone(), sample(source)))?;
        let content = hash(source);
        let same = |blob: &&Blob| *blob.content.get_or_init(|| hash(&blob.source)) == content;
        alike.iter().find(same).map(|blob| blob.index)
    }

    fn add(&mut self, constant: &PackedConstant, recipe: &Recipe, bundle: &mut BundleWriter) -> u32 {
        let mut name = format!("{}{}", self.prefix, constant.name);
        // What variants make for themselves may differ and be named alike.
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name} ({count})");
        }
        let index = bundle.add_packed_weight(&name, Arc::new(Packed(recipe.clone())));
        let source = recipe.source().clone();
        let key = (constant.key.packing.clone(), sample(&source));
        self.alike.entry(key).or_default().push(Blob { index, source, content: OnceCell::new() });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::{AxisMap, Element, Layout, Packing};
    use crate::program::Content;
    use drift_bundle::manifest::Provenance;

    /// The blob of a dense constant of these values, which its graph calls `name`.
    fn index(blobs: &mut Blobs, bundle: &mut BundleWriter, name: &str, values: &[f32]) -> u32 {
        let tensor = Tensor::from_f32([values.len() as u64], values).expect("a row");
        let layout = Layout { axes: AxisMap::channels_last(1), ..Layout::row_major(Element::F32, 1) };
        let packing = layout.describe();
        let recipe = Recipe::new(&tensor, Packing::plain(tensor.shape()), layout).expect("floats");
        // As a graph that has one constant: ids of different graphs may be equal.
        let key = PackedKey { value: None, packing, content: Some([name.len() as u8; 32]) };
        let constant =
            PackedConstant { name: name.to_owned(), key, content: Content::Packed(Box::new(recipe.clone())) };
        blobs.index(&constant, &recipe, bundle)
    }

    #[test]
    fn entries_share_blobs_of_one_content_and_no_others() {
        let mut bundle = BundleWriter::new(Provenance {
            compiler: String::new(),
            flags: Vec::new(),
            model: String::new(),
            model_hash: String::new(),
            profiles: Vec::new(),
        });
        let mut blobs = Blobs::default();
        let values: Vec<f32> = (0..4096).map(|n| n as f32).collect();
        blobs.begin_entry("a/".to_owned());
        let first = index(&mut blobs, &mut bundle, "w", &values);
        blobs.begin_entry("b/".to_owned());
        assert_eq!(index(&mut blobs, &mut bundle, "w", &values), first);
        // One number between the pieces of the sample differs.
        let mut other = values.clone();
        other[100] += 1.0;
        blobs.begin_entry("c/".to_owned());
        let second = index(&mut blobs, &mut bundle, "w", &other);
        assert_ne!(second, first);
        assert_eq!(index(&mut blobs, &mut bundle, "other", &values), first);
        assert_eq!(index(&mut blobs, &mut bundle, "others", &other), second);
    }
}
