//! What kernels are estimated to take, from sizes and a profile alone. Rewriting asks before layouts are chosen and selection
//! afterwards; what was decided for a node is recorded, so that both have one answer ([`Decisions`]).

pub mod attention;
mod decisions;
mod parts;

pub use decisions::Decisions;
pub use parts::wants_parts;

pub(crate) use parts::part_of;

/// Storage buffers that every device binds in one dispatch: WebGPU's default limit.
pub(crate) const STORAGE_BUFFERS: usize = 8;

/// Rows up to which a product is bound by reading the matrix once.
pub(crate) const FEW_ROWS: u64 = 4;
