//! How callers have a value of the graph, where that is not its element type.

use crate::small_float::SmallFloat;
use crate::tensor::ElementType;

/// A type that callers give or get, whose values the graph holds in a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostForm {
    /// The upper half of an f32; f32 in the graph.
    Bf16,
    /// A float of eight or four bits; f32 in the graph.
    Small(SmallFloat),
    /// -8 to 7; i8 in the graph.
    I4,
    /// 0 to 15; u8 in the graph.
    U4,
    /// -2 to 1; i8 in the graph.
    I2,
    /// 0 to 3; u8 in the graph.
    U2,
}

impl HostForm {
    /// The type that the graph holds its values in.
    pub const fn element(self) -> ElementType {
        match self {
            Self::Bf16 | Self::Small(_) => ElementType::F32,
            Self::I4 | Self::I2 => ElementType::I8,
            Self::U4 | Self::U2 => ElementType::U8,
        }
    }
}
