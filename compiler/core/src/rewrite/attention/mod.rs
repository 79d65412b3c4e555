//! Attention: recognised, with its band, and written out again where a device is better off.

pub(super) mod band;
pub(super) mod recognize;
pub(super) mod rotary;
pub(super) mod written_out;
