//! Convolutions and pools, and what they take over.

pub(super) mod absorb;
pub(super) mod padding;
pub(super) mod written_out;
