//! For devices that can store f16 and not compute with it: OpenCL without `cl_khr_fp16`, WebGPU without `shader-f16`.
//!
//! A storage buffer of `vec4<f16>` becomes one of `vec2<u32>`, of `vec2<f16>` or `f16` one of `u32`; loads unpack and stores
//! pack with the built-in functions that every device has. All other f16 values become f32, so results are rounded to
//! f16 only where they are stored. Workgroup arrays of f16 become f32 arrays and take twice the bytes.
//!
//! A store of one f16 is refused where words of 32 bits are all that a language has, since two invocations could write the
//! halves of one word; OpenCL C has words of 16 bits ([`OneF16`]). So is a store of one component of a vector.

use naga::{
    AddressSpace, ArraySize, BinaryOperator, Expression, Function, GlobalVariable, Handle, Literal,
    MathFunction, Module, Scalar, ScalarKind, Span, Statement, SwizzleComponent, Type, TypeInner, VectorSize,
    proc::Layouter,
};

use crate::module::{
    ModuleError, Specialized,
    build::Builder,
    finish, settle,
    walk::{self, Pass, Walk},
};

type Operand = Handle<Expression>;

/// What holds an element of a buffer of f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneF16 {
    /// Half of a word of 32 bits; such buffers are only read.
    HalfWord,
    /// A word of 16 bits.
    U16,
}

/// Rewrites a module so that it has no f16 type.
pub fn f16_storage_only(done: Specialized, one: OneF16) -> Result<Specialized, ModuleError> {
    let mut module = done.module;
    if !module.types.iter().any(|(_, ty)| ty.inner.scalar() == Some(Scalar::F16)) {
        return Ok(Specialized { module, info: done.info });
    }
    let packed = pack_globals(&mut module, one)?;
    let widened = widened_types(&mut module)?;
    widen_globals(&mut module, &widened);
    for index in 0..module.entry_points.len() {
        refuse_bitcasts(&module, &done.info, index)?;
        let mut function = std::mem::take(&mut module.entry_points[index].function);
        widen_function(&mut function, &widened);
        let mut pass = Unpack { packed: &packed, places: vec![None; function.expressions.len()] };
        module.entry_points[index].function = walk::rebuild(&mut module, &function, &mut pass)?;
    }
    settle(&mut module, "f16-storage-only")?;
    finish(module)
}

/// How the f16 elements of a buffer are packed in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    /// `vec4<f16>` in two words.
    Four,
    /// `vec2<f16>` in one word.
    Two,
    /// Two elements of type f16 in one word.
    One,
    /// One f16 in a word of 16 bits.
    Alone,
}

/// Retypes all storage buffers of f16; returns the packing of each global variable.
fn pack_globals(module: &mut Module, one: OneF16) -> Result<Vec<Option<Packing>>, ModuleError> {
    let mut packed = Vec::new();
    let handles: Vec<Handle<GlobalVariable>> =
        module.global_variables.iter().map(|(handle, _)| handle).collect();
    for handle in handles {
        let variable = &module.global_variables[handle];
        let is_buffer = matches!(
            variable.space,
            AddressSpace::Storage { .. } | AddressSpace::Uniform | AddressSpace::Immediate
        );
        if !is_buffer || !holds_f16(module, variable.ty) {
            packed.push(None);
            continue;
        }
        let refuse =
            |reason| ModuleError::F16Storage { variable: variable.name.clone().unwrap_or_default(), reason };
        let (AddressSpace::Storage { .. }, TypeInner::Array { base, size, .. }) =
            (variable.space, &module.types[variable.ty].inner)
        else {
            return Err(refuse(
                "only storage buffers that are arrays of f16, vec2<f16> or vec4<f16> can be packed",
            ));
        };
        let (packing, size) = match (&module.types[*base].inner, *size) {
            (TypeInner::Vector { size: VectorSize::Quad, .. }, size) => (Packing::Four, size),
            (TypeInner::Vector { size: VectorSize::Bi, .. }, size) => (Packing::Two, size),
            (TypeInner::Scalar(_), size) if one == OneF16::U16 => (Packing::Alone, size),
            (TypeInner::Scalar(_), ArraySize::Constant(count)) => {
                (Packing::One, ArraySize::Constant(count.div_ceil(TWO)))
            }
            (TypeInner::Scalar(_), size) => (Packing::One, size),
            _ => return Err(refuse("its elements are neither f16 nor vec2<f16> nor vec4<f16>")),
        };
        let word = module.types.insert(unnamed(TypeInner::Scalar(Scalar::U32)), Span::UNDEFINED);
        let (base, stride) = match packing {
            Packing::Four => {
                let pair = TypeInner::Vector { size: VectorSize::Bi, scalar: Scalar::U32 };
                (module.types.insert(unnamed(pair), Span::UNDEFINED), 8)
            }
            Packing::Two | Packing::One => (word, 4),
            Packing::Alone => {
                (module.types.insert(unnamed(TypeInner::Scalar(Scalar::U16)), Span::UNDEFINED), 2)
            }
        };
        let ty = module.types.insert(unnamed(TypeInner::Array { base, size, stride }), Span::UNDEFINED);
        module.global_variables[handle].ty = ty;
        packed.push(Some(packing));
    }
    Ok(packed)
}

const TWO: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(1);

fn unnamed(inner: TypeInner) -> Type {
    Type { name: None, inner }
}

fn holds_f16(module: &Module, ty: Handle<Type>) -> bool {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } | TypeInner::Pointer { base, .. } => holds_f16(module, *base),
        TypeInner::Struct { members, .. } => members.iter().any(|member| holds_f16(module, member.ty)),
        inner => inner.scalar() == Some(Scalar::F16),
    }
}

/// For each type of the module, the type with f32 in place of f16.
fn widened_types(module: &mut Module) -> Result<Vec<Handle<Type>>, ModuleError> {
    let old: Vec<(Handle<Type>, Type)> =
        module.types.iter().map(|(handle, ty)| (handle, ty.clone())).collect();
    let mut widened: Vec<Handle<Type>> = Vec::new();
    for (handle, ty) in old {
        if !holds_f16(module, handle) {
            widened.push(handle);
            continue;
        }
        let wide = |scalar: Scalar| if scalar == Scalar::F16 { Scalar::F32 } else { scalar };
        let inner = match ty.inner {
            TypeInner::Scalar(scalar) => TypeInner::Scalar(wide(scalar)),
            TypeInner::Vector { size, scalar } => TypeInner::Vector { size, scalar: wide(scalar) },
            TypeInner::Matrix { columns, rows, scalar } => {
                TypeInner::Matrix { columns, rows, scalar: wide(scalar) }
            }
            TypeInner::Pointer { base, space } => TypeInner::Pointer { base: widened[base.index()], space },
            TypeInner::ValuePointer { size, scalar, space } => {
                TypeInner::ValuePointer { size, scalar: wide(scalar), space }
            }
            TypeInner::Array { base, size, .. } => {
                let base = widened[base.index()];
                TypeInner::Array { base, size, stride: stride(module, base)? }
            }
            // Refused where a variable or value has such a type: the validator names it.
            other => other,
        };
        let named = Type { name: None, inner };
        widened.push(module.types.insert(named, Span::UNDEFINED));
    }
    Ok(widened)
}

fn stride(module: &Module, base: Handle<Type>) -> Result<u32, ModuleError> {
    let mut layouter = Layouter::default();
    layouter
        .update(module.to_ctx())
        .map_err(|error| ModuleError::Invalid { pass: "f16-storage-only", diagnostics: error.to_string() })?;
    Ok(layouter[base].to_stride())
}

/// Retypes workgroup and private variables, constants and their initialisers.
fn widen_globals(module: &mut Module, widened: &[Handle<Type>]) {
    let is_new = |ty: Handle<Type>| ty.index() >= widened.len();
    for (_, variable) in module.global_variables.iter_mut() {
        if !is_new(variable.ty) {
            variable.ty = widened[variable.ty.index()];
        }
    }
    for (_, constant) in module.constants.iter_mut() {
        constant.ty = widened[constant.ty.index()];
    }
    for (_, expression) in module.global_expressions.iter_mut() {
        widen(expression, widened);
    }
}

fn widen_function(function: &mut Function, widened: &[Handle<Type>]) {
    for (_, variable) in function.local_variables.iter_mut() {
        variable.ty = widened[variable.ty.index()];
    }
    for (_, expression) in function.expressions.iter_mut() {
        widen(expression, widened);
    }
}

fn widen(expression: &mut Expression, widened: &[Handle<Type>]) {
    match expression {
        Expression::Literal(literal) => {
            if let Literal::F16(value) = literal {
                *literal = Literal::F32(value.to_f32());
            }
        }
        Expression::ZeroValue(ty)
        | Expression::Compose { ty, .. }
        | Expression::AtomicResult { ty, .. }
        | Expression::WorkGroupUniformLoadResult { ty }
        | Expression::SubgroupOperationResult { ty } => *ty = widened[ty.index()],
        Expression::As { kind: ScalarKind::Float, convert: Some(width), .. } if *width == 2 => *width = 4,
        _ => {}
    }
}

/// A bitcast sees the 16 bits that no longer exist.
fn refuse_bitcasts(module: &Module, info: &naga::valid::ModuleInfo, index: usize) -> Result<(), ModuleError> {
    let function = &module.entry_points[index].function;
    let facts = info.get_entry_point(index);
    let scalar = |handle: Operand| facts[handle].ty.inner_with(&module.types).scalar();
    let found = function.expressions.iter().any(|(handle, expression)| match expression {
        Expression::As { expr, convert: None, .. } => {
            scalar(handle) == Some(Scalar::F16) || scalar(*expr) == Some(Scalar::F16)
        }
        _ => false,
    });
    if found {
        let variable = function.name.clone().unwrap_or_default();
        return Err(ModuleError::F16Storage { variable, reason: "it bitcasts f16 values" });
    }
    Ok(())
}

/// A position in a packed buffer.
#[derive(Clone, Copy)]
struct Place {
    packing: Packing,
    global: Handle<GlobalVariable>,
    /// Element of the buffer, as declared.
    index: Operand,
    /// Component of that element.
    component: Option<Operand>,
}

/// Rewrites reads and writes of packed buffers.
struct Unpack<'p> {
    packed: &'p [Option<Packing>],
    /// By old pointer expression.
    places: Vec<Option<Place>>,
}

impl<'s> Pass<'s> for Unpack<'_> {
    fn expression(
        &mut self,
        walk: &mut Walk<'_, 's>,
        old: Operand,
        mapped: Expression,
    ) -> Result<Operand, ModuleError> {
        let source = walk.frame.source;
        let step = match (&source.expressions[old], &mapped) {
            (Expression::Access { base, .. }, Expression::Access { index, .. }) => Some((*base, *index)),
            (Expression::AccessIndex { base, index }, _) => Some((*base, walk.build.u32(*index)?)),
            _ => None,
        };
        if let Some((base, index)) = step {
            if let Some(place) = self.step(source, base, index) {
                self.places[old.index()] = Some(place);
                // The pointer itself is gone; whatever stands for it is not used.
                return walk.build.global(place.global);
            }
            return walk.build.emit(mapped);
        }
        match source.expressions[old] {
            Expression::Load { pointer } => match self.places[pointer.index()] {
                Some(place) => load(&mut walk.build, place),
                None => walk.build.emit(mapped),
            },
            Expression::ArrayLength(array) if self.packing_of(source, array) == Some(Packing::One) => {
                Err(refused(
                    walk.build.module,
                    source,
                    array,
                    "its length is asked for, and counts words after packing",
                ))
            }
            _ => walk.build.emit(mapped),
        }
    }

    fn statement(&mut self, walk: &mut Walk<'_, 's>, statement: &'s Statement) -> Result<(), ModuleError> {
        if let Statement::Store { pointer, value } = statement
            && let Some(place) = self.places[pointer.index()]
        {
            let value = walk.operand(self, *value)?;
            return store(&mut walk.build, place, value);
        }
        walk.copy(self, statement)
    }
}

impl Unpack<'_> {
    fn packing_of(&self, source: &Function, base: Operand) -> Option<Packing> {
        match source.expressions[base] {
            Expression::GlobalVariable(global) => self.packed[global.index()],
            _ => None,
        }
    }

    /// Where one more index leads from an old pointer.
    fn step(&self, source: &Function, base: Operand, index: Operand) -> Option<Place> {
        match source.expressions[base] {
            Expression::GlobalVariable(global) => {
                let packing = self.packed[global.index()]?;
                Some(Place { packing, global, index, component: None })
            }
            _ => self.places[base.index()].map(|place| Place { component: Some(index), ..place }),
        }
    }
}

fn refused(module: &Module, source: &Function, base: Operand, reason: &'static str) -> ModuleError {
    let variable = match source.expressions[base] {
        Expression::GlobalVariable(global) => module.global_variables[global].name.clone(),
        _ => None,
    };
    ModuleError::F16Storage { variable: variable.unwrap_or_default(), reason }
}

fn word_pointer(build: &mut Builder<'_>, place: Place) -> Result<Operand, ModuleError> {
    let base = build.global(place.global)?;
    let index = match place.packing {
        Packing::Four | Packing::Two | Packing::Alone => place.index,
        Packing::One => {
            let right = two_like(build, place.index)?;
            build.emit(Expression::Binary { op: BinaryOperator::Divide, left: place.index, right })?
        }
    };
    build.emit(Expression::Access { base, index })
}

/// The literal 2 in the type of `index`.
fn two_like(build: &mut Builder<'_>, index: Operand) -> Result<Operand, ModuleError> {
    let is_signed = build.inner(index).scalar_kind() == Some(ScalarKind::Sint);
    build.literal(if is_signed { Literal::I32(2) } else { Literal::U32(2) })
}

fn unpack(build: &mut Builder<'_>, word: Operand) -> Result<Operand, ModuleError> {
    build.emit(Expression::Math {
        fun: MathFunction::Unpack2x16float,
        arg: word,
        arg1: None,
        arg2: None,
        arg3: None,
    })
}

fn load(build: &mut Builder<'_>, place: Place) -> Result<Operand, ModuleError> {
    let pointer = word_pointer(build, place)?;
    let words = build.emit(Expression::Load { pointer })?;
    let value = match place.packing {
        Packing::Four => {
            let low = build.emit(Expression::AccessIndex { base: words, index: 0 })?;
            let low = unpack(build, low)?;
            let high = build.emit(Expression::AccessIndex { base: words, index: 1 })?;
            let high = unpack(build, high)?;
            let ty = build.ty(TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::F32 });
            build.emit(Expression::Compose { ty, components: vec![low, high] })?
        }
        Packing::Two => unpack(build, words)?,
        Packing::Alone => {
            let word = convert(build, words, Scalar::U32)?;
            let pair = unpack(build, word)?;
            build.emit(Expression::AccessIndex { base: pair, index: 0 })?
        }
        Packing::One => {
            let halves = unpack(build, words)?;
            let right = two_like(build, place.index)?;
            let half =
                build.emit(Expression::Binary { op: BinaryOperator::Modulo, left: place.index, right })?;
            build.emit(Expression::Access { base: halves, index: half })?
        }
    };
    match place.component {
        Some(index) => build.emit(Expression::Access { base: value, index }),
        None => Ok(value),
    }
}

/// An integer in another width.
fn convert(build: &mut Builder<'_>, expr: Operand, to: Scalar) -> Result<Operand, ModuleError> {
    build.emit(Expression::As { expr, kind: to.kind, convert: Some(to.width) })
}

fn pack(build: &mut Builder<'_>, pair: Operand) -> Result<Operand, ModuleError> {
    build.emit(Expression::Math {
        fun: MathFunction::Pack2x16float,
        arg: pair,
        arg1: None,
        arg2: None,
        arg3: None,
    })
}

fn store(build: &mut Builder<'_>, place: Place, value: Operand) -> Result<(), ModuleError> {
    use SwizzleComponent::{W, X, Y, Z};
    if place.component.is_some() || place.packing == Packing::One {
        let variable = build.module.global_variables[place.global].name.clone().unwrap_or_default();
        return Err(ModuleError::F16Storage {
            variable,
            reason: "a single f16 is stored; store whole vec2<f16> or vec4<f16> elements",
        });
    }
    let words = match place.packing {
        Packing::Four => {
            let mut components = Vec::new();
            for pattern in [[X, Y, X, X], [Z, W, X, X]] {
                let pair =
                    build.emit(Expression::Swizzle { size: VectorSize::Bi, vector: value, pattern })?;
                components.push(pack(build, pair)?);
            }
            let ty = build.ty(TypeInner::Vector { size: VectorSize::Bi, scalar: Scalar::U32 });
            build.emit(Expression::Compose { ty, components })?
        }
        Packing::Two | Packing::One => pack(build, value)?,
        Packing::Alone => {
            let ty = build.ty(TypeInner::Vector { size: VectorSize::Bi, scalar: Scalar::F32 });
            let zero = build.literal(Literal::F32(0.0))?;
            let pair = build.emit(Expression::Compose { ty, components: vec![value, zero] })?;
            let word = pack(build, pair)?;
            convert(build, word, Scalar::U16)?
        }
    };
    let pointer = word_pointer(build, place)?;
    build.store(pointer, words);
    Ok(())
}
