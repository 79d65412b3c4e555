//! Constants, and what is there twice or for nobody.

pub(super) mod duplicates;
pub(super) mod fold;
