//! What the caller of an import should tell the user.

use std::fmt;

/// Something that was imported, but not exactly as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A graph input of type double, which is f32 in the graph.
    DoubleInput {
        /// The input.
        input: String,
    },
    /// Nodes that compute in double in the file, and in f32 here.
    Doubles {
        /// Their names, in model order.
        nodes: Vec<String>,
    },
    /// The branch of an `If` that can never be taken.
    DroppedBranch {
        /// The node.
        node: String,
        /// Which condition leads there.
        condition: bool,
    },
    /// A node of random numbers, which are made once.
    SameNumbers {
        /// The node.
        node: String,
    },
    /// An `If` both of whose branches are computed.
    BothBranches {
        /// The node.
        node: String,
    },
    /// Caches that stay inputs, since nothing says which input has the new tokens.
    NoTokens {
        /// The dimension of past rows.
        dim: String,
        /// The caches.
        caches: Vec<String>,
    },
    /// A size that data decide, for which nobody gave a bound.
    Bounded {
        /// The value that has it first.
        value: String,
        /// Places that it gets.
        bound: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubleInput { input } => {
                write!(f, "input `{input}` is of type double; it is f32 here, so give it as such")
            }
            Self::Doubles { nodes } => {
                const SHOWN: usize = 8;
                let shown: Vec<String> = nodes.iter().take(SHOWN).map(|node| format!("`{node}`")).collect();
                let more = nodes.len().saturating_sub(SHOWN);
                write!(f, "these nodes compute in double in the file and in f32 here: {}", shown.join(", "))?;
                if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            Self::DroppedBranch { node, condition } => {
                write!(f, "node `{node}` has a constant condition; its branch for {condition} is dropped")
            }
            Self::SameNumbers { node } => {
                write!(
                    f,
                    "the random numbers of node `{node}` are made when the model is compiled: each run gives the same"
                )
            }
            Self::BothBranches { node } => {
                write!(f, "the condition of node `{node}` depends on data; both of its branches are computed")
            }
            Self::NoTokens { dim, caches } => {
                write!(
                    f,
                    "`{dim}` counts past rows of caches ({}), which stay inputs of a free size: they become states only where an input \
                     is called `input_ids` or `inputs_embeds`; rename the one with the new tokens, or fix the rows with --dim {dim}=N",
                    caches.join(", ")
                )
            }
            Self::Bounded { value, bound } => {
                write!(
                    f,
                    "data decide how large `{value}` is; it has {bound} places, which is all that there can be; --bound {value}=N gives it fewer"
                )
            }
        }
    }
}
