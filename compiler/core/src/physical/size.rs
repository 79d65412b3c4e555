//! Sizes as kernels see them.

/// A size, distance or number of workgroups in a kernel's text or grid.
///
/// There is one variant: every size is known when a module is made. Sizes that are known when a program runs come in as another
/// one (`Param`, a place in a uniform buffer): then each `match` on this type, which are few, says what becomes of them, and
/// nothing else has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Known when the module is made.
    Const(u64),
}

impl Size {
    /// The number, for decisions that are made with the module.
    pub const fn known(self) -> u64 {
        match self {
            Self::Const(size) => size,
        }
    }
}
