//! What a module needs beyond the least device of each target, found in its types, built-ins and statements.

use std::collections::BTreeSet;
use std::fmt;

use naga::{
    ArraySize, Barrier, Binding, Block, BuiltIn, Expression, Function, ImageDimension, MathFunction, Module,
    Scalar, ScalarKind, Statement, TypeInner,
};

/// Something that not every device or target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Half-precision values, in memory or in arithmetic.
    F16,
    /// Double-precision values.
    F64,
    /// 16-bit integers.
    Int16,
    /// 64-bit integers.
    Int64,
    /// Subgroup operations or built-ins.
    Subgroups,
    /// Cooperative matrices of one shape.
    CooperativeMatrix {
        /// Columns of the matrix.
        columns: u32,
        /// Rows of the matrix.
        rows: u32,
    },
    /// A cooperative matrix that is loaded from, or stored to, an array of vectors.
    CooperativeVectorMemory,
    /// One-dimensional textures, which stand for image buffers.
    ImageBuffer,
    /// Dot products of packed 8-bit integers.
    PackedDot,
    /// An array whose length only the binding tells.
    RuntimeSizedArray,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F16 => f.write_str("f16"),
            Self::F64 => f.write_str("f64"),
            Self::Int16 => f.write_str("16-bit integers"),
            Self::Int64 => f.write_str("64-bit integers"),
            Self::Subgroups => f.write_str("subgroup operations"),
            Self::CooperativeMatrix { columns, rows } => write!(f, "{columns}x{rows} cooperative matrices"),
            Self::CooperativeVectorMemory => f.write_str("cooperative matrices in arrays of vectors"),
            Self::ImageBuffer => f.write_str("image buffers"),
            Self::PackedDot => f.write_str("packed 8-bit dot products"),
            Self::RuntimeSizedArray => f.write_str("runtime-sized arrays"),
        }
    }
}

/// What `module` uses, in the order of [`Feature`].
#[must_use]
pub fn features(module: &Module) -> BTreeSet<Feature> {
    let mut found = BTreeSet::new();
    for (_, ty) in module.types.iter() {
        found.extend(of_type(&ty.inner));
    }
    for function in functions(module) {
        of_function(module, function, &mut found);
    }
    found
}

fn functions(module: &Module) -> impl Iterator<Item = &Function> {
    let entry_points = module.entry_points.iter().map(|entry_point| &entry_point.function);
    module.functions.iter().map(|(_, function)| function).chain(entry_points)
}

fn of_type(inner: &TypeInner) -> Option<Feature> {
    match *inner {
        TypeInner::CooperativeMatrix { columns, rows, .. } => {
            Some(Feature::CooperativeMatrix { columns: columns as u32, rows: rows as u32 })
        }
        TypeInner::Image { dim: ImageDimension::D1, .. } => Some(Feature::ImageBuffer),
        TypeInner::Array { size: ArraySize::Dynamic, .. } => Some(Feature::RuntimeSizedArray),
        ref other => other.scalar().and_then(of_scalar),
    }
}

fn of_scalar(scalar: Scalar) -> Option<Feature> {
    match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 2) => Some(Feature::F16),
        (ScalarKind::Float, 8) => Some(Feature::F64),
        (ScalarKind::Sint | ScalarKind::Uint, 2) => Some(Feature::Int16),
        (ScalarKind::Sint | ScalarKind::Uint, 8) => Some(Feature::Int64),
        _ => None,
    }
}

fn of_function(module: &Module, function: &Function, found: &mut BTreeSet<Feature>) {
    if function.arguments.iter().any(|argument| asks_for_subgroups(module, argument)) {
        found.insert(Feature::Subgroups);
    }
    for (_, expression) in function.expressions.iter() {
        match *expression {
            Expression::Math { fun: MathFunction::Dot4I8Packed | MathFunction::Dot4U8Packed, .. } => {
                found.insert(Feature::PackedDot);
            }
            Expression::CooperativeLoad { ref data, .. }
                if points_to_vector(module, function, data.pointer) =>
            {
                found.insert(Feature::CooperativeVectorMemory);
            }
            _ => {}
        }
    }
    visit(&function.body, &mut |statement| match *statement {
        Statement::SubgroupBallot { .. }
        | Statement::SubgroupGather { .. }
        | Statement::SubgroupCollectiveOperation { .. } => {
            found.insert(Feature::Subgroups);
        }
        Statement::ControlBarrier(barrier) if barrier.contains(Barrier::SUB_GROUP) => {
            found.insert(Feature::Subgroups);
        }
        Statement::CooperativeStore { ref data, .. } if points_to_vector(module, function, data.pointer) => {
            found.insert(Feature::CooperativeVectorMemory);
        }
        _ => {}
    });
}

fn asks_for_subgroups(module: &Module, argument: &naga::FunctionArgument) -> bool {
    let members = match module.types[argument.ty].inner {
        TypeInner::Struct { ref members, .. } => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|member| &member.binding).chain([&argument.binding]).any(|binding| {
        matches!(
            binding,
            Some(Binding::BuiltIn(
                BuiltIn::NumSubgroups
                    | BuiltIn::SubgroupId
                    | BuiltIn::SubgroupSize
                    | BuiltIn::SubgroupInvocationId
            ))
        )
    })
}

/// Whether `pointer` names an element of an array of vectors.
fn points_to_vector(module: &Module, function: &Function, pointer: naga::Handle<Expression>) -> bool {
    let array = match function.expressions[pointer] {
        Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => base,
        _ => return false,
    };
    let mut path = Vec::new();
    let mut at = array;
    let root = loop {
        match function.expressions[at] {
            Expression::Access { base, .. } => {
                path.push(0);
                at = base;
            }
            Expression::AccessIndex { base, index } => {
                path.push(index as usize);
                at = base;
            }
            Expression::GlobalVariable(global) => break module.global_variables[global].ty,
            Expression::LocalVariable(local) => break function.local_variables[local].ty,
            _ => return false,
        }
    };
    let mut ty = root;
    for &index in path.iter().rev() {
        ty = match module.types[ty].inner {
            TypeInner::Struct { ref members, .. } => members[index].ty,
            TypeInner::Array { base, .. } => base,
            _ => return false,
        };
    }
    let TypeInner::Array { base, .. } = module.types[ty].inner else { return false };
    matches!(module.types[base].inner, TypeInner::Vector { .. })
}

/// Calls `at` on every statement of `block`, nested ones too.
fn visit(block: &Block, at: &mut impl FnMut(&Statement)) {
    for statement in block {
        at(statement);
        match *statement {
            Statement::Block(ref inner) => visit(inner, at),
            Statement::If { ref accept, ref reject, .. } => {
                visit(accept, at);
                visit(reject, at);
            }
            Statement::Switch { ref cases, .. } => {
                for case in cases {
                    visit(&case.body, at);
                }
            }
            Statement::Loop { ref body, ref continuing, .. } => {
                visit(body, at);
                visit(continuing, at);
            }
            _ => {}
        }
    }
}
