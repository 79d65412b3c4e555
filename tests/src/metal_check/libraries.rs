//! Puts what Apple's compiler makes of a bundle's shaders in the place of their text, for apps that may not compile at start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use drift_bundle::manifest::Target;
use drift_bundle::{Bundle, BundleError, BundleWriter, WeightSource};

use super::shaders::Named;
use super::tools::Compiler;
use super::{Rejected, compile_each};

/// What a conversion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Shaders that are libraries now.
    pub shaders: usize,
    /// Bytes of their text, and of the libraries.
    pub bytes: (u64, u64),
}

/// Why a bundle is not converted. Then nothing is written.
#[derive(Debug)]
pub enum ConvertError {
    /// The bundle cannot be read or written.
    Bundle(BundleError),
    /// It holds no text for Metal.
    NoText,
    /// The compiler does not take these.
    Rejected(Vec<Rejected>),
}

impl std::error::Error for ConvertError {}

impl From<BundleError> for ConvertError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(error) => error.fmt(f),
            Self::NoText => {
                f.write_str("the bundle holds no text for Metal; compile the model with `--target metal`")
            }
            Self::Rejected(rejected) => {
                write!(f, "the compiler refuses {} shaders", rejected.len())?;
                rejected.iter().try_for_each(|one| write!(f, "\n{}:\n{}", one.name, one.said))
            }
        }
    }
}

/// Writes the bundle at `from` to `to` with a library for each text of Metal's language; `scratch` is for the compiler's files.
pub fn convert(
    compiler: &Compiler,
    (from, to): (&Path, &Path),
    scratch: &Path,
) -> Result<Converted, ConvertError> {
    let bundle = Arc::new(Bundle::open(from)?);
    bundle.verify_weights()?;
    let libraries = libraries(compiler, &bundle, scratch)?;
    let manifest = bundle.manifest();
    let mut writer = BundleWriter::new(manifest.provenance.clone());
    let failed = Arc::new(Mutex::new(None));
    for (index, blob) in manifest.weights.iter().enumerate() {
        let (bundle, failed) = (Arc::clone(&bundle), Arc::clone(&failed));
        writer.add_packed_weight(&blob.name, Arc::new(Stored { bundle, index, failed }));
    }
    let (mut converted, mut numbers) = (Converted { shaders: 0, bytes: (0, 0) }, Vec::new());
    for shader in &manifest.shaders {
        let code = bundle.shader_code(shader);
        let library = libraries.get(&shader.offset).filter(|_| shader.target == Target::Metal);
        if let Some(library) = library {
            converted.shaders += 1;
            converted.bytes.0 += code.len() as u64;
            converted.bytes.1 += library.len() as u64;
        }
        numbers.push(writer.add_shader(shader.clone(), library.map_or(code, Vec::as_slice)));
    }
    for entry in &manifest.entries {
        let mut entry = entry.clone();
        let variants = entry.variants.iter_mut();
        for dispatch in variants.flat_map(|variant| variant.init.iter_mut().chain(&mut variant.dispatches)) {
            dispatch.shader = numbers[dispatch.shader as usize];
        }
        writer.add_entry(entry);
    }
    let written = writer.finish(to);
    // What was wrong with a weight says more than that its bytes were too few.
    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    written.map_err(|error| failed.unwrap_or(error))?;
    Ok(converted)
}

/// A library for each distinct text, by where the text is.
fn libraries(
    compiler: &Compiler,
    bundle: &Bundle,
    scratch: &Path,
) -> Result<BTreeMap<u64, Vec<u8>>, ConvertError> {
    let mut texts = BTreeMap::new();
    for shader in bundle.manifest().shaders.iter().filter(|shader| shader.target == Target::Metal) {
        let code = bundle.shader_code(shader);
        if let (false, Ok(text)) = (shader.is_metal_library(code), str::from_utf8(code)) {
            texts.entry(shader.offset).or_insert(Named { name: shader.name.clone(), text: text.to_owned() });
        }
    }
    if texts.is_empty() {
        return Err(ConvertError::NoText);
    }
    let (offsets, texts): (Vec<u64>, Vec<Named>) = texts.into_iter().unzip();
    let (made, rejected) = compile_each(compiler, &texts, scratch);
    if rejected.is_empty() {
        Ok(offsets.into_iter().zip(made).collect())
    } else {
        Err(ConvertError::Rejected(rejected))
    }
}

/// A weight of a bundle that is open.
struct Stored {
    bundle: Arc<Bundle>,
    index: usize,
    failed: Arc<Mutex<Option<BundleError>>>,
}

impl WeightSource for Stored {
    fn size_bytes(&self) -> u64 {
        self.bundle.manifest().weights[self.index].size
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        match self.bundle.weight_bytes(&self.bundle.manifest().weights[self.index]) {
            Ok(bytes) => bytes,
            Err(error) => {
                // The writer refuses a weight of another size than it was told.
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                Cow::Borrowed(&[])
            }
        }
    }
}
