//! Matrix products, and what they take over.

pub(super) mod integers;
pub(super) mod operands;
pub(super) mod packed;
pub(super) mod split;
