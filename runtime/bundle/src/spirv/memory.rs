//! Rules of instructions that reach memory: loads, stores, access chains, images and cooperative matrices.

use super::body::{Body, Made};
use super::flaw::SpirvFlaw;
use super::ids::Ids;
use super::module::{Module, Product};
use super::op::{self, capability, storage};
use super::types::{Dim, Id, Image, Scalar, Type};
use super::words::Instruction;

/// One of them.
pub(super) fn instruction(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
) -> Result<Option<Made>, SpirvFlaw> {
    match one.opcode {
        op::LOAD => load(body, module, one).map(Some),
        op::STORE => store(body, module, one).map(|()| None),
        op::ACCESS_CHAIN | op::IN_BOUNDS_ACCESS_CHAIN => chain(body, module, one).map(Some),
        op::ARRAY_LENGTH => length(body, module, one).map(Some),
        op::IMAGE_FETCH | op::IMAGE_READ => fetch(body, module, one).map(Some),
        op::IMAGE_WRITE => write(body, module, one).map(|()| None),
        op::IMAGE_QUERY_SIZE_LOD | op::IMAGE_QUERY_SIZE => size(body, module, one).map(Some),
        op::COOPERATIVE_MATRIX_LOAD => matrix_load(body, module, one).map(Some),
        op::COOPERATIVE_MATRIX_STORE => matrix_store(body, module, one).map(|()| None),
        op::COOPERATIVE_MATRIX_MUL_ADD => mul_add(body, module, one).map(Some),
        _ => Err(one.flaw("is an instruction that no kernel may have")),
    }
}

impl Module {
    /// Whether what a pointer leads to may be written. Memory without a variable of the module is the function's own.
    pub(super) fn may_write(&self, root: Option<Id>) -> bool {
        root.and_then(|id| self.globals.get(&id)).is_none_or(|global| global.writable)
    }
}

/// Class, type and root of what a pointer points to.
fn pointed(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
    pointer: Id,
) -> Result<(u32, Id, Option<Id>), SpirvFlaw> {
    let value = body.operand(module, one, pointer)?;
    let (class, to) = module.ids.pointer(value.ty).ok_or_else(|| one.flaw("takes what is no pointer"))?;
    Ok((class, to, value.root))
}

/// Memory operands that kernels have: an alignment, or that the memory is shared.
fn access(module: &Module, one: &Instruction<'_>, operands: &[u32]) -> Result<(), SpirvFlaw> {
    const ALIGNED: u32 = 0x2;
    const NON_PRIVATE: u32 = 0x20;
    let fits = match *operands {
        [] | [0] => true,
        [ALIGNED, alignment] => alignment.is_power_of_two(),
        [NON_PRIVATE] => module.has(capability::VULKAN_MEMORY_MODEL),
        _ => false,
    };
    one.ensure(fits, "reaches memory in a way that no kernel may")
}

fn load(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, pointer], operands) = one.at_least::<3>()?;
    let (class, to, root) = pointed(body, module, one, pointer)?;
    one.ensure(to == ty, "loads another type than the pointer's")?;
    access(module, one, operands)?;
    if class == storage::UNIFORM_CONSTANT {
        return Ok(Made { ty, id, root });
    }
    module.is_data(one, ty)?;
    Ok(Made { ty, id, root: None })
}

fn store(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    let ([pointer, value], operands) = one.at_least::<2>()?;
    let (class, to, root) = pointed(body, module, one, pointer)?;
    let ty = body.type_of(module, one, value)?;
    one.ensure(to == ty, "stores another type than the pointer's")?;
    one.ensure(class != storage::UNIFORM_CONSTANT, "stores an image")?;
    one.ensure(module.may_write(root), "writes what may only be read")?;
    access(module, one, operands)
}

fn chain(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, base], path) = one.at_least::<3>()?;
    let (class, mut to, root) = pointed(body, module, one, base)?;
    for index in path {
        let given = body.type_of(module, one, *index)?;
        let int = matches!(module.ids.ty(given), Some(Type::Int { .. }));
        one.ensure(int, "takes an index that is no integer")?;
        let next = step(&module.ids, to, module.ids.literal(*index));
        to = next.ok_or_else(|| one.flaw("goes to a member that is not there"))?;
    }
    let fits = module.ids.pointer(ty) == Some((class, to));
    one.ensure(fits, "makes another pointer than its path leads to")?;
    Ok(Made { ty, id, root })
}

/// The type behind an index into `ty`; constants are held against its length.
fn step(ids: &Ids, ty: Id, index: Option<u32>) -> Option<Id> {
    match ids.ty(ty)? {
        Type::Vector { of, count } | Type::Array { of, count } => {
            index.is_none_or(|index| index < *count).then_some(*of)
        }
        Type::RuntimeArray { of } => Some(*of),
        Type::Struct { members } => members.get(index? as usize).copied(),
        _ => None,
    }
}

fn length(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let [ty, id, pointer, member] = one.exactly()?;
    let (class, to, _) = pointed(body, module, one, pointer)?;
    let member = step(&module.ids, to, Some(member)).and_then(|of| module.ids.ty(of));
    let open = matches!(module.ids.ty(to), Some(Type::Struct { .. }))
        && matches!(member, Some(Type::RuntimeArray { .. }));
    let fits = module.ids.ty(ty) == Some(&Type::Int { signed: false });
    one.ensure(fits && open && class == storage::STORAGE_BUFFER, "asks for a length that there is not")?;
    Ok(Made { ty, id, root: None })
}

/// The image that is an operand, and its variable.
fn image(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
    id: Id,
) -> Result<(Image, Option<Id>), SpirvFlaw> {
    let value = body.operand(module, one, id)?;
    let image = module.ids.image(value.ty).ok_or_else(|| one.flaw("takes what is no image"))?;
    Ok((image, value.root))
}

/// The coordinate is made of as many integers as the image has axes.
fn coordinate(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
    (image, id): (Image, Id),
) -> Result<(), SpirvFlaw> {
    let ty = body.type_of(module, one, id)?;
    let axes = axes(image.dim);
    one.ensure(module.ids.shape(ty) == Some((Scalar::Int, axes)), "takes a coordinate of other axes")
}

const fn axes(dim: Dim) -> u32 {
    match dim {
        Dim::Buffer => 1,
        Dim::D2 => 2,
        Dim::Array | Dim::D3 => 3,
    }
}

fn is_texel(ids: &Ids, ty: Id, image: Image) -> bool {
    matches!(ids.ty(ty), Some(Type::Vector { of, count: 4 }) if *of == image.of)
}

fn fetch(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    const LEVEL: u32 = 0x2;
    let ([ty, id, from, at], operands) = one.at_least::<4>()?;
    let (image, root) = image(body, module, one, from)?;
    coordinate(body, module, one, (image, at))?;
    one.ensure(is_texel(&module.ids, ty, image), "makes other than a texel of the image")?;
    let sampled = image.format.is_none();
    one.ensure(sampled == (one.opcode == op::IMAGE_FETCH), "reads an image of the other kind")?;
    let readable = root.and_then(|id| module.globals.get(&id)).is_some_and(|global| global.readable);
    one.ensure(readable, "reads what may only be written")?;
    match *operands {
        [] => {}
        [LEVEL, level] if sampled && image.dim != Dim::Buffer => {
            let level = body.type_of(module, one, level)?;
            one.ensure(module.ids.scalar(level) == Some(Scalar::Int), "takes a level that is no integer")?;
        }
        _ => return Err(one.flaw("has image operands that no kernel has")),
    }
    Ok(Made { ty, id, root: None })
}

fn write(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    let [to, at, texel] = one.exactly()?;
    let (image, root) = image(body, module, one, to)?;
    coordinate(body, module, one, (image, at))?;
    let ty = body.type_of(module, one, texel)?;
    one.ensure(is_texel(&module.ids, ty, image), "writes other than a texel of the image")?;
    let writable = root.and_then(|id| module.globals.get(&id)).is_some_and(|global| global.writable);
    one.ensure(image.format.is_some() && writable, "writes what may only be read")
}

fn size(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, of], level) = one.at_least::<3>()?;
    one.ensure(module.has(capability::IMAGE_QUERY), "needs a capability that is not declared")?;
    let (image, _) = image(body, module, one, of)?;
    let levels = image.format.is_none() && image.dim != Dim::Buffer;
    one.ensure(levels == (one.opcode == op::IMAGE_QUERY_SIZE_LOD), "asks an image of the other kind")?;
    one.ensure(level.len() == usize::from(levels), "has another number of operands")?;
    for level in level {
        let level = body.type_of(module, one, *level)?;
        one.ensure(module.ids.scalar(level) == Some(Scalar::Int), "takes a level that is no integer")?;
    }
    let fits = module.ids.shape(ty) == Some((Scalar::Int, axes(image.dim)));
    one.ensure(fits, "makes a size of other axes")?;
    Ok(Made { ty, id, root: None })
}

/// What a matrix is loaded from or stored to: scalars or vectors in a buffer or in workgroup memory.
fn matrix_memory(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
    pointer: Id,
) -> Result<Option<Id>, SpirvFlaw> {
    let (class, to, root) = pointed(body, module, one, pointer)?;
    let shared = matches!(class, storage::STORAGE_BUFFER | storage::WORKGROUP);
    let numbers = module.ids.shape(to).is_some_and(|(scalar, _)| scalar != Scalar::Bool);
    one.ensure(shared && numbers, "reaches memory that matrices are not in")?;
    Ok(root)
}

/// Order and stride, then memory operands.
fn matrix_layout(
    body: &mut Body,
    module: &mut Module,
    one: &Instruction<'_>,
    operands: &[u32],
) -> Result<(), SpirvFlaw> {
    let [order, stride, rest @ ..] = operands else { return Err(one.flaw("has no order or no stride")) };
    let order = module.ids.literal(*order);
    one.ensure(order.is_some_and(|order| order < 2), "has an order that is neither by row nor by column")?;
    let stride = body.type_of(module, one, *stride)?;
    one.ensure(module.ids.scalar(stride) == Some(Scalar::Int), "has a stride that is no integer")?;
    access(module, one, rest)
}

fn matrix_load(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, pointer], operands) = one.at_least::<3>()?;
    one.ensure(module.ids.cooperative(ty).is_some(), "makes what is no matrix")?;
    matrix_memory(body, module, one, pointer)?;
    matrix_layout(body, module, one, operands)?;
    Ok(Made { ty, id, root: None })
}

fn matrix_store(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    let ([pointer, object], operands) = one.at_least::<2>()?;
    let root = matrix_memory(body, module, one, pointer)?;
    one.ensure(module.may_write(root), "writes what may only be read")?;
    let ty = body.type_of(module, one, object)?;
    one.ensure(module.ids.cooperative(ty).is_some(), "stores what is no matrix")?;
    matrix_layout(body, module, one, operands)
}

fn mul_add(body: &mut Body, module: &mut Module, one: &Instruction<'_>) -> Result<Made, SpirvFlaw> {
    let ([ty, id, a, b, c], operands) = one.at_least::<5>()?;
    one.ensure(matches!(operands, [] | [0]), "has operands that no kernel has")?;
    let mut matrix = |id| {
        let ty = body.type_of(module, one, id)?;
        module.ids.cooperative(ty).ok_or_else(|| one.flaw("takes what is no matrix"))
    };
    let (a, b, c) = (matrix(a)?, matrix(b)?, matrix(c)?);
    let bits = |id| match module.ids.scalar(id) {
        Some(Scalar::Float(bits)) => bits,
        _ => 0,
    };
    let shapes = a.columns == b.rows && a.rows == c.rows && b.columns == c.columns;
    let uses = (a.usage, b.usage, c.usage) == (0, 1, 2) && a.of == b.of;
    let same = module.ids.cooperative(ty) == Some(c);
    one.ensure(shapes && uses && same, "multiplies matrices that do not fit")?;
    let product = Product { m: a.rows, n: b.columns, k: a.columns, ab_bits: bits(a.of), c_bits: bits(c.of) };
    module.products.insert(product);
    Ok(Made { ty, id, root: None })
}
