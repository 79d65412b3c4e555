//! Where each target finds the bound variables of a module: the numbering that the runtime replays.

use naga::{AddressSpace, GlobalVariable, Module, ResourceBinding};

/// One bound variable, under the module's numbers and under the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingIndex {
    /// `@group` of the WGSL variable.
    pub group: u32,
    /// `@binding` of the WGSL variable.
    pub binding: u32,
    /// What is bound. Metal numbers each kind on its own.
    pub kind: BindingKind,
    /// The number on the target: `binding` on Vulkan and WebGPU, where the group is the descriptor set; `[[buffer(n)]]`
    /// or `[[texture(n)]]` on Metal; the argument's position on OpenCL.
    pub index: u32,
}

/// What a bound variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BindingKind {
    /// A storage or uniform buffer.
    Buffer,
    /// A texture or an image buffer.
    Texture,
}

/// The bound variables of `module` in (group, binding) order, numbered as the module numbers them.
pub(crate) fn as_declared(module: &Module) -> Vec<BindingIndex> {
    numbered(module, |_, binding| binding.binding)
}

/// Numbered from zero, buffers and textures apart.
pub(crate) fn by_kind(module: &Module) -> Vec<BindingIndex> {
    let (mut buffers, mut textures) = (0.., 0..);
    numbered(module, |kind, _| {
        let numbers = match kind {
            BindingKind::Buffer => &mut buffers,
            BindingKind::Texture => &mut textures,
        };
        numbers.next().unwrap_or(u32::MAX)
    })
}

/// Numbered from zero, buffers and textures together.
pub(crate) fn in_one_sequence(module: &Module) -> Vec<BindingIndex> {
    let mut numbers = 0..;
    numbered(module, |_, _| numbers.next().unwrap_or(u32::MAX))
}

/// The variable that `index` describes.
pub(crate) fn variable<'a>(module: &'a Module, index: &BindingIndex) -> Option<&'a GlobalVariable> {
    let binding = ResourceBinding { group: index.group, binding: index.binding };
    module
        .global_variables
        .iter()
        .map(|(_, variable)| variable)
        .find(|variable| variable.binding == Some(binding))
}

fn numbered(
    module: &Module,
    mut number: impl FnMut(BindingKind, ResourceBinding) -> u32,
) -> Vec<BindingIndex> {
    let mut bound: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| variable.binding.map(|binding| (binding, kind(variable))))
        .collect();
    bound.sort();
    bound
        .into_iter()
        .map(|(binding, kind)| BindingIndex {
            group: binding.group,
            binding: binding.binding,
            kind,
            index: number(kind, binding),
        })
        .collect()
}

fn kind(variable: &GlobalVariable) -> BindingKind {
    if variable.space == AddressSpace::Handle { BindingKind::Texture } else { BindingKind::Buffer }
}
