//! Arithmetic that is known, changes nothing or has a name.

pub(super) mod activation;
pub(super) mod identity;
