//! What someone with a Mac can find out that machines without one cannot: whether Apple's compiler takes every shader, and
//! whether the device computes what the evaluator does. `cargo xtask metal-check` starts it.

mod libraries;
mod shaders;
mod suite;
mod tools;

pub use libraries::{ConvertError, Converted, convert};
pub use shaders::{Named, shaders};
pub use suite::{Suite, suite};
pub use tools::{Compiler, ToolError};

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use drift_bundle::on_several;

/// A shader that the compiler does not take, and its words.
#[derive(Debug)]
pub struct Rejected {
    /// Which shader.
    pub name: String,
    /// What the compiler says.
    pub said: String,
    /// The shader.
    pub text: String,
}

/// Compiles every shader by way of files in `folder`, on all processors at once: the libraries in their order, or what the
/// compiler does not take.
pub fn compile_each(compiler: &Compiler, shaders: &[Named], folder: &Path) -> (Vec<Vec<u8>>, Vec<Rejected>) {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    on_several(shaders.len(), || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(shader) = shaders.get(number) else { break };
            let made = compiler.library(&shader.text, &folder.join(number.to_string()));
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, made);
        }
    });
    let (mut libraries, mut rejected) = (Vec::new(), Vec::new());
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (made, Named { name, text }) in done.into_values().zip(shaders) {
        match made {
            Ok(library) => libraries.push(library),
            Err(said) => rejected.push(Rejected { name: name.clone(), said, text: text.clone() }),
        }
    }
    (libraries, rejected)
}

/// The part of a report that tells what the compiler said.
pub fn compiled_report(compiler: &Compiler, shaders: usize, rejected: &[Rejected]) -> String {
    let mut report = format!(
        "compiler   {}\nshaders    {shaders} compiled, {} rejected\n",
        compiler.version(),
        rejected.len()
    );
    for Rejected { name, said, text } in rejected {
        let _ = write!(report, "\nrejected: {name}\n{}\n--- its text:\n{text}\n---\n", said.trim_end());
    }
    report
}
