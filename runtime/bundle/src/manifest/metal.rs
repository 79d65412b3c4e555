//! How Metal's language numbers what a kernel is bound to.

use super::{BindingKind, Shader, Target};

/// An argument of a kernel in Metal's language: `[[buffer(0)]]`, `[[texture(0)]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Argument {
    /// A storage or uniform buffer.
    Buffer(u32),
    /// A texture, or texels of a buffer.
    Texture(u32),
}

impl Argument {
    /// Its number in its table.
    pub const fn index(self) -> u32 {
        match self {
            Self::Buffer(index) | Self::Texture(index) => index,
        }
    }

    /// Entries of its table, of the devices with the most.
    pub const fn table(self) -> u32 {
        match self {
            Self::Buffer(_) => 31,
            Self::Texture(_) => 128,
        }
    }
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Buffer(index) => write!(f, "buffer {index}"),
            Self::Texture(index) => write!(f, "texture {index}"),
        }
    }
}

/// How a compiled library of Apple's begins; no text of MSL does.
pub(crate) const LIBRARY_MAGIC: &[u8] = b"MTLB";

impl Shader {
    /// The argument of each slot, in the order of [`Shader::bindings`]: buffers and textures are numbered apart, each in the
    /// order of group and binding.
    pub fn metal_arguments(&self) -> Vec<Argument> {
        let mut order: Vec<usize> = (0..self.bindings.len()).collect();
        order.sort_by_key(|at| (self.bindings[*at].group, self.bindings[*at].binding));
        let (mut buffers, mut textures) = (0, 0);
        let mut arguments = vec![Argument::Buffer(0); order.len()];
        for at in order {
            let (argument, next) = match self.bindings[at].kind {
                BindingKind::StorageBuffer { .. } | BindingKind::UniformBuffer { .. } => {
                    (Argument::Buffer(buffers), &mut buffers)
                }
                BindingKind::Texture { .. } | BindingKind::ImageBuffer { .. } => {
                    (Argument::Texture(textures), &mut textures)
                }
            };
            *next += 1;
            arguments[at] = argument;
        }
        arguments
    }

    /// Whether `code`, which is this shader's, is a library that Apple's compiler has made, and no text.
    pub fn is_metal_library(&self, code: &[u8]) -> bool {
        self.target == Target::Metal && code.starts_with(LIBRARY_MAGIC)
    }
}
