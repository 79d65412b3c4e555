//! The operands of naga's expressions and statements, listed once for every pass and writer.

use std::convert::Infallible;

use naga::{
    AtomicFunction, Block, CooperativeData, Expression, GatherMode, Handle, ImageQuery, RayPipelineFunction,
    RayQueryFunction, SampleLevel, Statement,
};

type Operand = Handle<Expression>;
/// Called for every operand; may replace it.
pub type Visit<'v, E> = &'v mut dyn FnMut(&mut Operand) -> Result<(), E>;

/// Visits the operands of `expression`, in the order in which naga declares them.
pub fn of_expression<E>(expression: &mut Expression, visit: Visit<'_, E>) -> Result<(), E> {
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

fn of_cooperative<E>(data: &mut CooperativeData, visit: Visit<'_, E>) -> Result<(), E> {
    visit(&mut data.pointer)?;
    visit(&mut data.stride)
}

/// Visits what `statement` itself reads: not the statements nested in it, not the results that it defines.
pub fn of_statement<E>(statement: &mut Statement, visit: Visit<'_, E>) -> Result<(), E> {
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

fn of_atomic<E>(function: &mut AtomicFunction, visit: Visit<'_, E>) -> Result<(), E> {
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

/// Every operand of `expression`, read only.
pub fn each_operand(expression: &Expression, mut visit: impl FnMut(Operand)) {
    let Ok(()) = of_expression::<Infallible>(&mut expression.clone(), &mut |operand| {
        visit(*operand);
        Ok(())
    });
}

/// Every operand that `statement` itself reads, read only. Nested blocks are not entered or copied.
pub fn each_statement_operand(statement: &Statement, mut visit: impl FnMut(Operand)) {
    let mut shallow = shallow(statement);
    let Ok(()) = of_statement::<Infallible>(&mut shallow, &mut |operand| {
        visit(*operand);
        Ok(())
    });
}

/// A copy of `statement` with empty blocks.
fn shallow(statement: &Statement) -> Statement {
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
