//! Chooses a kernel for every node, or says why there is none.
//!
//! Each op has an ordered list of candidates (`table`); a candidate returns a kernel call or a typed [`Declined`], and the
//! first call wins. `driftc explain` prints both. Values keep the layouts that `layout` gave them; where a kernel needs other
//! axes than a stored layout has, a conversion is inserted before it.
//!
//! Selection proposes, then builds. A candidate sees what has been selected and changes nothing (`context`): conversions,
//! buffers and constants that its kernels need are part of what is proposed for a node (`propose`), and everything that can
//! fail fails there. The driver takes proposals over, one node after the other (`driver`).

mod attention;
mod combined;
mod concat;
mod constants;
mod context;
mod conv;
mod conv_transpose;
mod copies;
mod data;
mod derive;
mod driver;
mod elementwise;
mod empty;
mod factors;
mod group_norm;
mod headroom;
mod image;
mod index;
mod matmul;
mod matvec;
mod orders;
mod pad;
mod pool;
mod product;
mod propose;
mod reduce;
mod resize;
mod rotary;
mod rows;
mod scan;
mod selected;
mod strided;
mod table;
mod tiling;
mod views;
mod weights;
mod winograd;
mod write_rows;

pub use context::{Chosen, Context, grid};
pub use orders::{Agreement, Orders, agree, share_matrices};
pub use selected::Selected;
pub use winograd::Samples;

use driver::Driver;

use crate::estimate::Decisions;
use crate::kernel::TooLarge;
use crate::layout::{LayoutError, LayoutMap, Precision};
use crate::physical::{NotKnown, PackError};
use crate::profile::Profile;
use crate::program::Program;
use drift_ir::{Graph, ValueId};

/// Why a kernel does not serve a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Declined {
    /// The profile has no such feature.
    #[error("needs {feature}, which profile {profile} lacks")]
    Feature {
        /// What is missing.
        feature: &'static str,
        /// The profile.
        profile: &'static str,
    },
    /// Sizes do not suit.
    #[error("{0}")]
    Shape(String),
    /// A size is free, and the kernel is made for known ones.
    #[error(transparent)]
    Free(#[from] NotKnown),
    /// The element type does not suit.
    #[error("needs {needed} elements, has {found}")]
    Element {
        /// What the kernel takes.
        needed: &'static str,
        /// What the tensor has.
        found: &'static str,
    },
    /// A constant cannot be packed.
    #[error("constant `{name}`: {source}")]
    Pack {
        /// The constant.
        name: String,
        /// Why.
        source: PackError,
    },
    /// A tensor has to be brought to another layout first: the proposal is made with a conversion of it.
    #[error("`{name}` has to be converted first")]
    Convert {
        /// The value.
        value: ValueId,
        /// Its name.
        name: String,
    },
    /// Nothing in this version computes this.
    #[error("{0}")]
    Unsupported(String),
}

/// Why a program could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nodes without a kernel, all of them.
    #[error("no kernel for {}:\n{}", count(nodes.len()), nodes.iter().map(|n| format!("  {n}")).collect::<Vec<_>>().join("\n"))]
    NoKernel {
        /// `node (op): reason` for each.
        nodes: Vec<String>,
    },
    /// A value without a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Sizes that a kernel's arithmetic does not reach.
    #[error("node `{node}` ({kernel})")]
    TooLarge {
        /// The node.
        node: String,
        /// The kernel.
        kernel: &'static str,
        /// What is too large.
        #[source]
        source: TooLarge,
    },
    /// A constant that cannot be packed.
    #[error("constant `{name}`")]
    Pack {
        /// The constant.
        name: String,
        /// Why.
        #[source]
        source: PackError,
    },
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

/// Makes the program of one variant.
pub fn choose(
    graph: &Graph,
    layouts: &LayoutMap,
    profile: &Profile,
    precision: Option<Precision>,
) -> Result<Program, SelectError> {
    let decisions = Decisions::of(graph, profile, precision);
    let (samples, orders) = (Samples::default(), Orders::default());
    choose_with(graph, layouts, (profile, precision), &decisions, (&samples, &orders))
}

/// As [`choose`], with what was decided for the graph already, what other variants of it have sampled, and the orders of weights
/// that the entries of a bundle agreed on.
pub fn choose_with(
    graph: &Graph,
    layouts: &LayoutMap,
    (profile, precision): (&Profile, Option<Precision>),
    decisions: &Decisions,
    shared: (&Samples, &Orders),
) -> Result<Program, SelectError> {
    let selected = Selected::new(graph, (profile, precision), decisions, shared);
    let mut program = Driver::new(selected, layouts).run()?;
    combined::steps(&mut program, profile);
    Ok(program)
}
