//! Data movement that changes nothing, is one with another, or happens later.

pub(super) mod expand;
pub(super) mod identity;
pub(super) mod rows;
pub(super) mod sink;
pub(super) mod slices;
