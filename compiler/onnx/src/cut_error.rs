//! Why a part of a model cannot stand alone.

use std::fmt;

/// Why a model cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// A name that no value of the main graph has.
    #[error("the model has no value `{name}` to cut at")]
    UnknownValue {
        /// The name given.
        name: String,
        /// The values that there are, in model order.
        known: Vec<String>,
    },
    /// A name that is given twice.
    #[error("`{name}` is given twice as a cut point")]
    Twice {
        /// The name.
        name: String,
    },
    /// An output that depends on an input of the model that the part does not have.
    #[error(
        "output `{output}` depends on `{outside}`, which is not among --inputs: {}; add it, or a value on the way",
        Path(path)
    )]
    Outside {
        /// The output.
        output: String,
        /// The model's input.
        outside: String,
        /// The values from the output back to that input, both included.
        path: Vec<String>,
    },
    /// An input that no output depends on.
    #[error("input `{name}` is not needed: no output depends on it without another of --inputs between")]
    Unneeded {
        /// The input.
        name: String,
    },
    /// An input whose type or shape nobody knows.
    #[error(
        "the shape of `{name}` is not known: {reason}; give it, such as --inputs {name}=f32[1,3,224,224], or store it in the \
         model with onnx.shape_inference"
    )]
    UnknownShape {
        /// The value.
        name: String,
        /// Why it cannot be inferred.
        reason: String,
    },
}

/// Values from an output back to where they come from; of a long way its ends.
struct Path<'a>(&'a [String]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ENDS: usize = 4;
        let hidden = self.0.len().saturating_sub(2 * ENDS);
        for (at, name) in self.0.iter().enumerate() {
            if hidden > 1 && at == ENDS {
                write!(f, " <- ({hidden} more)")?;
            }
            if hidden > 1 && (ENDS..ENDS + hidden).contains(&at) {
                continue;
            }
            let arrow = if at == 0 { "" } else { " <- " };
            write!(f, "{arrow}`{name}`")?;
        }
        Ok(())
    }
}
