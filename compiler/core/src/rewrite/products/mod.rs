//! Matrix products, and what they take over.

pub(super) mod operands;
pub(super) mod packed;
pub(super) mod split;
