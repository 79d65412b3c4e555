//! The operands of naga's expressions and statements, listed once for every pass.

use naga::{
    AtomicFunction, Block, CooperativeData, Expression, GatherMode, Handle, ImageQuery, LocalVariable,
    Module, RayPipelineFunction, RayQueryFunction, SampleLevel, Statement, TypeInner,
};

use super::ModuleError;

type Operand = Handle<Expression>;
type Outcome = Result<(), ModuleError>;
/// Called for every operand; may replace it.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&mut Operand) -> Outcome;

/// Visits the operands of `expression`, in the order in which naga declares them.
pub(super) fn of_expression(expression: &mut Expression, visit: Visit<'_>) -> Outcome {
    match expression {
        Expression::Literal(_)
        | Expression::Constant(_)
        | Expression::Override(_)
        | Expression::ZeroValue(_)
        | Expression::FunctionArgument(_)
        | Expression::GlobalVariable(_)
        | Expression::LocalVariable(_)
        | Expression::CallResult(_)
        | Expression::AtomicResult { .. }
        | Expression::WorkGroupUniformLoadResult { .. }
        | Expression::RayQueryProceedResult
        | Expression::SubgroupBallotResult
        | Expression::SubgroupOperationResult { .. } => Ok(()),
        Expression::Compose { components, .. } => components.iter_mut().try_for_each(visit),
        Expression::Access { base, index } => {
            visit(base)?;
            visit(index)
        }
        Expression::AccessIndex { base, .. } => visit(base),
        Expression::Splat { value, .. } => visit(value),
        Expression::Swizzle { vector, .. } => visit(vector),
        Expression::Load { pointer } => visit(pointer),
        Expression::ImageSample {
            image,
            sampler,
            coordinate,
            array_index,
            offset,
            level,
            depth_ref,
            gather: _,
            clamp_to_edge: _,
        } => {
            visit(image)?;
            visit(sampler)?;
            visit(coordinate)?;
            array_index.iter_mut().chain(offset).try_for_each(&mut *visit)?;
            match level {
                SampleLevel::Auto | SampleLevel::Zero => {}
                SampleLevel::Exact(level) | SampleLevel::Bias(level) => visit(level)?,
                SampleLevel::Gradient { x, y } => {
                    visit(x)?;
                    visit(y)?;
                }
            }
            depth_ref.iter_mut().try_for_each(visit)
        }
        Expression::ImageLoad { image, coordinate, array_index, sample, level } => {
            visit(image)?;
            visit(coordinate)?;
            array_index.iter_mut().chain(sample).chain(level).try_for_each(visit)
        }
        Expression::ImageQuery { image, query } => {
            visit(image)?;
            match query {
                ImageQuery::Size { level } => level.iter_mut().try_for_each(visit),
                ImageQuery::NumLevels | ImageQuery::NumLayers | ImageQuery::NumSamples => Ok(()),
            }
        }
        Expression::Unary { expr, .. }
        | Expression::Derivative { expr, .. }
        | Expression::As { expr, .. } => visit(expr),
        Expression::Binary { left, right, .. } => {
            visit(left)?;
            visit(right)
        }
        Expression::Select { condition, accept, reject } => {
            visit(condition)?;
            visit(accept)?;
            visit(reject)
        }
        Expression::Relational { argument, .. } => visit(argument),
        Expression::Math { arg, arg1, arg2, arg3, .. } => {
            visit(arg)?;
            arg1.iter_mut().chain(arg2).chain(arg3).try_for_each(visit)
        }
        Expression::ArrayLength(array) => visit(array),
        Expression::RayQueryVertexPositions { query, .. }
        | Expression::RayQueryGetIntersection { query, .. } => visit(query),
        Expression::CooperativeLoad { data, .. } => of_cooperative(data, visit),
        Expression::CooperativeMultiplyAdd { a, b, c } => {
            visit(a)?;
            visit(b)?;
            visit(c)
        }
    }
}

fn of_cooperative(data: &mut CooperativeData, visit: Visit<'_>) -> Outcome {
    visit(&mut data.pointer)?;
    visit(&mut data.stride)
}

/// Visits what `statement` itself reads: not the statements nested in it, not the results that it defines.
pub(super) fn of_statement(statement: &mut Statement, visit: Visit<'_>) -> Outcome {
    match statement {
        Statement::Emit(_)
        | Statement::Block(_)
        | Statement::Break
        | Statement::Continue
        | Statement::Kill
        | Statement::ControlBarrier(_)
        | Statement::MemoryBarrier(_) => Ok(()),
        Statement::If { condition, .. } => visit(condition),
        Statement::Switch { selector, .. } => visit(selector),
        Statement::Loop { break_if, .. } => break_if.iter_mut().try_for_each(visit),
        Statement::Return { value } => value.iter_mut().try_for_each(visit),
        Statement::Store { pointer, value } => {
            visit(pointer)?;
            visit(value)
        }
        Statement::ImageStore { image, coordinate, array_index, value } => {
            visit(image)?;
            visit(coordinate)?;
            array_index.iter_mut().try_for_each(&mut *visit)?;
            visit(value)
        }
        Statement::Atomic { pointer, fun, value, result: _ } => {
            visit(pointer)?;
            of_atomic(fun, visit)?;
            visit(value)
        }
        Statement::ImageAtomic { image, coordinate, array_index, fun, value } => {
            visit(image)?;
            visit(coordinate)?;
            array_index.iter_mut().try_for_each(&mut *visit)?;
            of_atomic(fun, visit)?;
            visit(value)
        }
        Statement::WorkGroupUniformLoad { pointer, result: _ } => visit(pointer),
        Statement::Call { arguments, .. } => arguments.iter_mut().try_for_each(visit),
        Statement::RayQuery { query, fun } => {
            visit(query)?;
            match fun {
                RayQueryFunction::Initialize { acceleration_structure, descriptor } => {
                    visit(acceleration_structure)?;
                    visit(descriptor)
                }
                RayQueryFunction::GenerateIntersection { hit_t } => visit(hit_t),
                RayQueryFunction::Proceed { result: _ }
                | RayQueryFunction::ConfirmIntersection
                | RayQueryFunction::Terminate => Ok(()),
            }
        }
        Statement::RayPipelineFunction(RayPipelineFunction::TraceRay {
            acceleration_structure,
            descriptor,
            payload,
        }) => {
            visit(acceleration_structure)?;
            visit(descriptor)?;
            visit(payload)
        }
        Statement::SubgroupBallot { predicate, result: _ } => predicate.iter_mut().try_for_each(visit),
        Statement::SubgroupGather { mode, argument, result: _ } => {
            match mode {
                GatherMode::BroadcastFirst | GatherMode::QuadSwap(_) => {}
                GatherMode::Broadcast(lane)
                | GatherMode::Shuffle(lane)
                | GatherMode::ShuffleDown(lane)
                | GatherMode::ShuffleUp(lane)
                | GatherMode::ShuffleXor(lane)
                | GatherMode::QuadBroadcast(lane) => visit(lane)?,
            }
            visit(argument)
        }
        Statement::SubgroupCollectiveOperation { argument, .. } => visit(argument),
        Statement::CooperativeStore { target, data } => {
            visit(target)?;
            of_cooperative(data, visit)
        }
    }
}

fn of_atomic(function: &mut AtomicFunction, visit: Visit<'_>) -> Outcome {
    match function {
        AtomicFunction::Exchange { compare } => compare.iter_mut().try_for_each(visit),
        AtomicFunction::Add
        | AtomicFunction::Subtract
        | AtomicFunction::And
        | AtomicFunction::ExclusiveOr
        | AtomicFunction::InclusiveOr
        | AtomicFunction::Min
        | AtomicFunction::Max => Ok(()),
    }
}

/// The expression that `statement` defines outside every `Emit`, if any.
pub(super) fn result_of(statement: &mut Statement) -> Option<&mut Operand> {
    match statement {
        Statement::Atomic { result, .. } | Statement::Call { result, .. } => result.as_mut(),
        Statement::WorkGroupUniformLoad { result, .. }
        | Statement::SubgroupBallot { result, .. }
        | Statement::SubgroupGather { result, .. }
        | Statement::SubgroupCollectiveOperation { result, .. }
        | Statement::RayQuery { fun: RayQueryFunction::Proceed { result }, .. } => Some(result),
        _ => None,
    }
}

/// Every operand of `expression`, read only.
pub(super) fn each_operand(expression: &Expression, mut visit: impl FnMut(Operand)) {
    let outcome = of_expression(&mut expression.clone(), &mut |operand| {
        visit(*operand);
        Ok(())
    });
    debug_assert!(outcome.is_ok(), "reading cannot fail");
}

/// Every operand that `statement` itself reads, read only. Nested blocks are not entered or copied.
pub(super) fn each_statement_operand(statement: &Statement, mut visit: impl FnMut(Operand)) {
    let mut shallow = shallow(statement);
    let outcome = of_statement(&mut shallow, &mut |operand| {
        visit(*operand);
        Ok(())
    });
    debug_assert!(outcome.is_ok(), "reading cannot fail");
}

/// A copy of `statement` with empty blocks.
pub(super) fn shallow(statement: &Statement) -> Statement {
    match statement {
        Statement::Block(_) => Statement::Block(Block::new()),
        Statement::If { condition, .. } => {
            Statement::If { condition: *condition, accept: Block::new(), reject: Block::new() }
        }
        Statement::Switch { selector, .. } => Statement::Switch { selector: *selector, cases: Vec::new() },
        Statement::Loop { break_if, .. } => {
            Statement::Loop { body: Block::new(), continuing: Block::new(), break_if: *break_if }
        }
        other => other.clone(),
    }
}

/// The blocks nested directly in `statement`, in source order.
pub(super) fn blocks_of(statement: &Statement) -> Vec<&Block> {
    match statement {
        Statement::Block(block) => vec![block],
        Statement::If { accept, reject, .. } => vec![accept, reject],
        Statement::Switch { cases, .. } => cases.iter().map(|case| &case.body).collect(),
        Statement::Loop { body, continuing, .. } => vec![body, continuing],
        _ => Vec::new(),
    }
}

/// Every statement of `block` and of the blocks inside it.
pub(super) fn each_statement<'b>(block: &'b Block, visit: &mut dyn FnMut(&'b Statement)) {
    for statement in block {
        visit(statement);
        for nested in blocks_of(statement) {
            each_statement(nested, visit);
        }
    }
}

/// The local variable that a pointer expression points into.
pub(super) fn root_local(
    expressions: &naga::Arena<Expression>,
    mut pointer: Operand,
) -> Option<Handle<LocalVariable>> {
    loop {
        match expressions[pointer] {
            Expression::LocalVariable(local) => return Some(local),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
            _ => return None,
        }
    }
}

/// Whether a value of this type fits in an expression: scalars, vectors and matrices.
pub(super) fn is_plain_value(module: &Module, ty: Handle<naga::Type>) -> bool {
    matches!(
        module.types[ty].inner,
        TypeInner::Scalar(_)
            | TypeInner::Vector { .. }
            | TypeInner::Matrix { .. }
            | TypeInner::CooperativeMatrix { .. }
    )
}
