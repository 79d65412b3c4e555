//! One walk over a module: its sections in order, what it declares, and every instruction of its functions.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::body::Body;
use super::decorations::{Decorated, Decorations};
use super::flaw::SpirvFlaw;
use super::ids::{Definition, Ids, Place, Value};
use super::op::{self, capability, storage};
use super::types::{self, Id, Type, VALUE_BYTES};
use super::words::{Instruction, Words};

/// What has been seen of a module.
pub(super) struct Module {
    pub(super) ids: Ids,
    pub(super) decorations: Decorations,
    pub(super) capabilities: BTreeSet<u32>,
    /// Variables outside of functions, by id.
    pub(super) globals: BTreeMap<Id, Global>,
    pub(super) entry_point: Option<EntryPoint>,
    pub(super) workgroup_size: Option<[u32; 3]>,
    /// Element types and shapes of matrix products.
    pub(super) products: BTreeSet<Product>,
    pub(super) version: u32,
    memory_model: Option<u32>,
    /// Types that may be declared once only, by their words without the id.
    unique: HashSet<Vec<u32>>,
    /// Ids with names, and members of them.
    named: Vec<(Id, Option<u32>)>,
    private_bytes: u64,
    /// Variables that instructions name.
    pub(super) used: BTreeSet<Id>,
}

/// A variable outside of functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Global {
    pub(super) class: u32,
    /// What the variable holds.
    pub(super) ty: Id,
    pub(super) writable: bool,
    pub(super) readable: bool,
}

/// The one function that a dispatch calls.
#[derive(Clone, Debug)]
pub(super) struct EntryPoint {
    pub(super) function: Id,
    pub(super) name: String,
    interface: Vec<Id>,
}

/// A product of cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Product {
    pub(super) m: u32,
    pub(super) n: u32,
    pub(super) k: u32,
    pub(super) ab_bits: u32,
    pub(super) c_bits: u32,
}

/// Walks over all of `words`.
pub(super) fn walk(words: &Words) -> Result<Module, SpirvFlaw> {
    let mut module = Module {
        ids: Ids::new(words.bound()),
        decorations: Decorations::default(),
        capabilities: BTreeSet::new(),
        globals: BTreeMap::new(),
        entry_point: None,
        workgroup_size: None,
        products: BTreeSet::new(),
        version: words.version(),
        memory_model: None,
        unique: HashSet::new(),
        named: Vec::new(),
        private_bytes: 0,
        used: BTreeSet::new(),
    };
    let mut section = 0;
    let mut body = None;
    for one in words.instructions() {
        let one = one?;
        if one.opcode == op::NOP {
            one.exactly::<0>()?;
            continue;
        }
        let declares = section < FUNCTIONS && matches!(one.opcode, op::VARIABLE | op::UNDEF);
        let next = if declares { DECLARATIONS } else { section_of(one.opcode) };
        one.ensure(next >= section, "stands after what it must stand before")?;
        section = next;
        if section == FUNCTIONS {
            body = Body::step(body, &mut module, &one)?;
        } else {
            module.declare(&one)?;
        }
    }
    if body.is_some() {
        return Err(SpirvFlaw::Missing { what: "end of the last function" });
    }
    module.finish()?;
    Ok(module)
}

const DECLARATIONS: u8 = 8;
const FUNCTIONS: u8 = 9;

/// The place of an instruction in the order of a module.
fn section_of(opcode: u16) -> u8 {
    match opcode {
        op::CAPABILITY => 0,
        op::EXTENSION => 1,
        op::EXT_INST_IMPORT => 2,
        op::MEMORY_MODEL => 3,
        op::ENTRY_POINT => 4,
        op::EXECUTION_MODE => 5,
        op::NAME | op::MEMBER_NAME => 6,
        op::DECORATE | op::MEMBER_DECORATE => 7,
        op::TYPE_VOID..=op::TYPE_FUNCTION
        | op::TYPE_COOPERATIVE_MATRIX
        | op::CONSTANT_TRUE..=op::CONSTANT_NULL => DECLARATIONS,
        _ => FUNCTIONS,
    }
}

impl Module {
    /// Whether `capability` is declared.
    pub(super) fn has(&self, capability: u32) -> bool {
        self.capabilities.contains(&capability)
    }

    /// An instruction outside of functions.
    fn declare(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        match one.opcode {
            op::CAPABILITY => self.capability(one),
            op::EXTENSION => extension(one),
            op::EXT_INST_IMPORT => {
                let (name, rest) = one.text(1)?;
                one.ensure(name == "GLSL.std.450" && rest.is_empty(), "imports what no kernel may use")?;
                self.ids.define(one, one.operands[0], Definition::Glsl)
            }
            op::MEMORY_MODEL => {
                let [addressing, model] = one.exactly()?;
                let vulkan = model == 3 && self.has(capability::VULKAN_MEMORY_MODEL);
                one.ensure(addressing == 0 && (model == 1 || vulkan), "is a memory model of no kernel")?;
                one.ensure(self.memory_model.replace(model).is_none(), "is the second memory model")
            }
            op::ENTRY_POINT => self.entry_point(one),
            op::EXECUTION_MODE => self.execution_mode(one),
            op::NAME => {
                let ([id], _) = one.at_least::<1>()?;
                let (_, rest) = one.text(1)?;
                self.named.push((id, None));
                one.ensure(rest.is_empty(), "has another number of operands")
            }
            op::MEMBER_NAME => {
                let ([id, member], _) = one.at_least::<2>()?;
                let (_, rest) = one.text(2)?;
                self.named.push((id, Some(member)));
                one.ensure(rest.is_empty(), "has another number of operands")
            }
            op::DECORATE | op::MEMBER_DECORATE => self.decorations.add(one),
            op::CONSTANT_TRUE..=op::CONSTANT_NULL | op::UNDEF => self.constant(one),
            op::VARIABLE => self.global(one),
            _ => self.ty(one),
        }
    }

    fn capability(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let [declared] = one.exactly()?;
        let known = matches!(
            declared,
            capability::MATRIX
                | capability::SHADER
                | capability::FLOAT16
                | capability::SAMPLED_BUFFER
                | capability::IMAGE_BUFFER
                | capability::STORAGE_IMAGE_EXTENDED_FORMATS
                | capability::IMAGE_QUERY
                | capability::GROUP_NON_UNIFORM
                ..=capability::GROUP_SHUFFLE_RELATIVE
                    | capability::GROUP_QUAD
                    | capability::STORAGE_BUFFER_16BIT
                    | capability::UNIFORM_AND_STORAGE_BUFFER_16BIT
                    | capability::VULKAN_MEMORY_MODEL
                    | capability::COOPERATIVE_MATRIX
        );
        if !known {
            return Err(SpirvFlaw::Capability { capability: declared });
        }
        self.capabilities.insert(declared);
        Ok(())
    }

    fn entry_point(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let ([model, function], _) = one.at_least::<2>()?;
        one.ensure(model == 5, "is an entry point of other than compute")?;
        let (name, interface) = one.text(2)?;
        let mut seen = HashSet::new();
        one.ensure(interface.iter().all(|id| seen.insert(*id)), "names a variable of its interface twice")?;
        let made = EntryPoint { function, name, interface: interface.to_vec() };
        one.ensure(self.entry_point.replace(made).is_none(), "is the second entry point")
    }

    fn execution_mode(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        const LOCAL_SIZE: u32 = 17;
        let [function, mode, x, y, z] = one.exactly()?;
        let of_entry = self.entry_point.as_ref().is_some_and(|entry| entry.function == function);
        one.ensure(of_entry, "is of other than the entry point")?;
        one.ensure(mode == LOCAL_SIZE, "is an execution mode of no kernel")?;
        one.ensure(x > 0 && y > 0 && z > 0, "is an empty workgroup")?;
        one.ensure(self.workgroup_size.replace([x, y, z]).is_none(), "is the second workgroup size")
    }

    fn ty(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let (id, ty, memory) = types::declared(&self.ids, &self.decorations, one)?;
        let aggregate = matches!(
            ty,
            Type::Array { .. } | Type::RuntimeArray { .. } | Type::Struct { .. } | Type::Pointer { .. }
        );
        if !aggregate {
            let words = [&[one.opcode.into()], &one.operands[1..]].concat();
            one.ensure(self.unique.insert(words), "declares a type for the second time")?;
        }
        self.type_is_allowed(one, &ty)?;
        self.ids.define(one, id, Definition::Type(ty, memory))
    }

    fn type_is_allowed(&self, one: &Instruction<'_>, ty: &Type) -> Result<(), SpirvFlaw> {
        let needed = match ty {
            Type::Float { bits: 16 } => [capability::FLOAT16, capability::STORAGE_BUFFER_16BIT],
            Type::Image(image) if image.dim == types::Dim::Buffer => {
                [if image.format.is_some() { capability::IMAGE_BUFFER } else { capability::SAMPLED_BUFFER };
                    2]
            }
            Type::Cooperative(_) => [capability::COOPERATIVE_MATRIX; 2],
            _ => return Ok(()),
        };
        one.ensure(needed.iter().any(|needed| self.has(*needed)), "needs a capability that is not declared")
    }

    fn constant(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let ([ty, id], rest) = one.at_least::<2>()?;
        self.is_data(one, ty)?;
        let Some(known) = self.ids.ty(ty) else { return Err(one.flaw("has no type")) };
        let mut literal = None;
        match (one.opcode, known) {
            (op::CONSTANT_TRUE | op::CONSTANT_FALSE, Type::Bool) | (op::CONSTANT_NULL | op::UNDEF, _) => {
                one.exactly::<2>()?;
                literal = (one.opcode == op::CONSTANT_NULL).then_some(0);
            }
            (op::CONSTANT, Type::Int { .. } | Type::Float { .. }) => {
                let [_, _, bits] = one.exactly()?;
                let half = matches!(known, Type::Float { bits: 16 });
                one.ensure(!half || bits >> 16 == 0, "is a half of more than 16 bits")?;
                literal = Some(bits);
            }
            (op::CONSTANT_COMPOSITE, _) => {
                let constant = |id: &Id| self.ids.value(*id).filter(|value| value.place == Place::Constant);
                let given: Option<Vec<Id>> = rest.iter().map(|id| Some(constant(id)?.ty)).collect();
                let given = given.ok_or_else(|| one.flaw("holds what is no constant"))?;
                self.has_members(one, ty, &given)?;
            }
            _ => return Err(one.flaw("is a constant of a type that it does not fit")),
        }
        let value = Value { ty, literal, place: Place::Constant, root: None };
        self.ids.define(one, id, Definition::Value(value))
    }

    /// `ty` is a composite of exactly these members.
    pub(super) fn has_members(&self, one: &Instruction<'_>, ty: Id, given: &[Id]) -> Result<(), SpirvFlaw> {
        let fits = match self.ids.ty(ty) {
            Some(Type::Vector { of, count } | Type::Array { of, count }) => {
                given.len() == *count as usize && given.iter().all(|one| one == of)
            }
            Some(Type::Struct { members }) => given == members,
            Some(Type::Cooperative(matrix)) => given == [matrix.of],
            _ => false,
        };
        one.ensure(fits, "is made of other members than its type has")
    }

    /// `ty` is a type of values that fit registers.
    pub(super) fn is_data(&self, one: &Instruction<'_>, ty: Id) -> Result<(), SpirvFlaw> {
        let fits = match self.ids.get(ty) {
            Some(Definition::Type(Type::Cooperative(_), _)) => true,
            Some(Definition::Type(_, memory)) => {
                memory.natural.is_some_and(|layout| layout.size <= VALUE_BYTES) && !memory.open
            }
            _ => false,
        };
        one.ensure(fits, "is of a type that no value has, or of one that is too large")
    }

    /// A variable outside of functions.
    fn global(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let ([pointer, id, class], initial) = one.at_least::<3>()?;
        let pointed = self.ids.pointer(pointer).filter(|(of, _)| *of == class);
        let (_, ty) = pointed.ok_or_else(|| one.flaw("is no pointer of its storage class"))?;
        let decorated = self.decorations.of(id);
        match class {
            storage::PRIVATE => {
                self.private(one, ty)?;
                self.initial(one, ty, initial)?;
            }
            _ => one.ensure(initial.is_empty(), "has an initial value that its storage class forbids")?,
        }
        let members = match self.ids.ty(ty) {
            Some(Type::Struct { members }) => members.len(),
            _ => 0,
        };
        let frozen =
            decorated.non_writable || (members > 0 && self.decorations.members_non_writable(ty, members));
        let sampled = self.ids.image(ty).is_some_and(|image| image.format.is_none());
        let constant = matches!(class, storage::UNIFORM | storage::INPUT) || frozen || sampled;
        let global = Global { class, ty, writable: !constant, readable: !decorated.non_readable };
        self.globals.insert(id, global);
        let value = Value { ty: pointer, literal: None, place: Place::Global, root: Some(id) };
        self.ids.define(one, id, Definition::Value(value))
    }

    /// Counts a private variable.
    pub(super) fn private(&mut self, one: &Instruction<'_>, ty: Id) -> Result<(), SpirvFlaw> {
        self.is_data(one, ty)?;
        let bytes = self.ids.memory(ty).and_then(|memory| memory.natural).map_or(0, |layout| layout.size);
        self.private_bytes = self.private_bytes.saturating_add(bytes);
        one.ensure(self.private_bytes <= VALUE_BYTES, "makes private variables larger than any kernel's")
    }

    /// The initial value of a variable, if there is one, is a constant of its type.
    pub(super) fn initial(&self, one: &Instruction<'_>, ty: Id, given: &[Id]) -> Result<(), SpirvFlaw> {
        let fits = match given {
            [] => true,
            [id] => self.ids.value(*id).is_some_and(|value| value.place == Place::Constant && value.ty == ty),
            _ => false,
        };
        one.ensure(fits, "has an initial value that is no constant of its type")
    }

    /// What can be said at the end only.
    fn finish(&self) -> Result<(), SpirvFlaw> {
        let missing = |what| SpirvFlaw::Missing { what };
        if self.memory_model.is_none() || !self.has(capability::SHADER) {
            return Err(missing("memory model, or no capability `Shader`"));
        }
        let entry = self.entry_point.as_ref().ok_or(missing("entry point"))?;
        let signature = match self.ids.get(entry.function) {
            Some(Definition::Function { ty }) => self.ids.ty(*ty),
            _ => None,
        };
        match signature {
            Some(Type::Function { result, parameters })
                if parameters.is_empty() && self.ids.ty(*result) == Some(&Type::Void) => {}
            _ => return Err(missing("function without parameters and result at the entry point")),
        }
        self.interface(entry)?;
        if !self.decorations.ids().all(|(id, how)| self.may_have(id, how)) {
            return Err(missing("id that a decoration fits"));
        }
        let members = |id| match self.ids.ty(id) {
            Some(Type::Struct { members }) => members.len(),
            _ => 0,
        };
        let mut all = self.decorations.members();
        if !all.all(|(id, member, how)| (member as usize) < members(id) && how.is_of_a_member()) {
            return Err(missing("member that a decoration fits"));
        }
        let named = |(id, member): &(Id, Option<u32>)| match member {
            Some(member) => (*member as usize) < members(*id),
            None => self.ids.get(*id).is_some(),
        };
        if !self.named.iter().all(named) {
            return Err(missing("id or member that has a name"));
        }
        Ok(())
    }

    /// Whether `id` is what its decorations are for; a built-in on a constant, say, would be the workgroup's size.
    fn may_have(&self, id: Id, how: &Decorated) -> bool {
        let class = self.globals.get(&id).map(|global| global.class);
        let resource = class.is_some_and(|class| {
            matches!(class, storage::UNIFORM_CONSTANT | storage::UNIFORM | storage::STORAGE_BUFFER)
        });
        let ty = self.ids.ty(id);
        let array = matches!(ty, Some(Type::Array { .. } | Type::RuntimeArray { .. }));
        self.ids.get(id).is_some()
            && (how.built_in.is_none() || class == Some(storage::INPUT))
            && ((how.binding.is_none() && how.descriptor_set.is_none()) || resource)
            && (!(how.non_writable || how.non_readable) || resource)
            && (how.array_stride.is_none() || array)
            && (!how.block || matches!(ty, Some(Type::Struct { .. })))
            && how.offset.is_none()
            && (!how.no_contraction || self.ids.value(id).is_some_and(|value| value.place == Place::Gone))
    }

    fn interface(&self, entry: &EntryPoint) -> Result<(), SpirvFlaw> {
        let wide = self.version >= 0x0001_0400;
        let listed =
            |id: &Id| self.globals.get(id).is_some_and(|global| wide || global.class == storage::INPUT);
        if !entry.interface.iter().all(listed) {
            return Err(SpirvFlaw::Missing { what: "variable that the entry point's interface names" });
        }
        let names: BTreeSet<Id> = entry.interface.iter().copied().collect();
        let class = |id: &Id| self.globals.get(id).map(|global| global.class);
        let mut used = self.used.iter().filter(|id| wide || class(id) == Some(storage::INPUT));
        if used.any(|id| !names.contains(id)) {
            return Err(SpirvFlaw::Missing { what: "name of a variable in the entry point's interface" });
        }
        Ok(())
    }
}

fn extension(one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
    const KNOWN: [&str; 4] = [
        "SPV_KHR_16bit_storage",
        "SPV_KHR_cooperative_matrix",
        "SPV_KHR_storage_buffer_storage_class",
        "SPV_KHR_vulkan_memory_model",
    ];
    let (name, rest) = one.text(0)?;
    one.ensure(rest.is_empty(), "has another number of operands")?;
    if KNOWN.contains(&name.as_str()) { Ok(()) } else { Err(SpirvFlaw::Extension { name }) }
}
