//! The expressions that an expression or statement of naga's IR refers to.

use naga::{AtomicFunction, Expression, GatherMode, Handle, ImageQuery, SampleLevel, Statement};

/// Calls `visit` with each operand of `expression`, in the order of the text.
pub(super) fn for_each_operand(expression: &Expression, mut visit: impl FnMut(Handle<Expression>)) {
    match *expression {
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
        | Expression::SubgroupOperationResult { .. } => {}
        Expression::Compose { ref components, .. } => components.iter().copied().for_each(visit),
        Expression::Access { base, index } => [base, index].into_iter().for_each(visit),
        Expression::AccessIndex { base: one, .. }
        | Expression::Splat { value: one, .. }
        | Expression::Swizzle { vector: one, .. }
        | Expression::Load { pointer: one }
        | Expression::Unary { expr: one, .. }
        | Expression::Derivative { expr: one, .. }
        | Expression::Relational { argument: one, .. }
        | Expression::As { expr: one, .. }
        | Expression::ArrayLength(one)
        | Expression::RayQueryVertexPositions { query: one, .. }
        | Expression::RayQueryGetIntersection { query: one, .. } => visit(one),
        Expression::ImageSample {
            image, sampler, coordinate, array_index, offset, level, depth_ref, ..
        } => {
            let (level, second) = match level {
                SampleLevel::Auto | SampleLevel::Zero => (None, None),
                SampleLevel::Exact(level) | SampleLevel::Bias(level) => (Some(level), None),
                SampleLevel::Gradient { x, y } => (Some(x), Some(y)),
            };
            let optional = [array_index, offset, level, second, depth_ref];
            [image, sampler, coordinate].into_iter().chain(optional.into_iter().flatten()).for_each(visit);
        }
        Expression::ImageLoad { image, coordinate, array_index, sample, level } => {
            [Some(image), Some(coordinate), array_index, sample, level].into_iter().flatten().for_each(visit);
        }
        Expression::ImageQuery { image, query } => {
            visit(image);
            if let ImageQuery::Size { level: Some(level) } = query {
                visit(level);
            }
        }
        Expression::Binary { left, right, .. } => [left, right].into_iter().for_each(visit),
        Expression::Select { condition, accept, reject } => {
            [condition, accept, reject].into_iter().for_each(visit);
        }
        Expression::Math { arg, arg1, arg2, arg3, .. } => {
            [Some(arg), arg1, arg2, arg3].into_iter().flatten().for_each(visit);
        }
        Expression::CooperativeLoad { data, .. } => [data.pointer, data.stride].into_iter().for_each(visit),
        Expression::CooperativeMultiplyAdd { a, b, c } => [a, b, c].into_iter().for_each(visit),
    }
}

/// Calls `visit` with each expression that `statement` itself uses: not those it emits, nor those of its blocks,
/// nor the ones that name its result.
pub(super) fn for_each_statement_operand(statement: &Statement, mut visit: impl FnMut(Handle<Expression>)) {
    match *statement {
        Statement::Emit(_)
        | Statement::Block(_)
        | Statement::Break
        | Statement::Continue
        | Statement::Kill
        | Statement::ControlBarrier(_)
        | Statement::MemoryBarrier(_)
        | Statement::RayQuery { .. }
        | Statement::RayPipelineFunction(_) => {}
        Statement::If { condition, .. } => visit(condition),
        Statement::Switch { selector, .. } => visit(selector),
        Statement::Loop { break_if, .. } => break_if.into_iter().for_each(visit),
        Statement::Return { value } => value.into_iter().for_each(visit),
        Statement::Store { pointer, value } => [pointer, value].into_iter().for_each(visit),
        Statement::ImageStore { image, coordinate, array_index, value } => {
            [Some(image), Some(coordinate), array_index, Some(value)].into_iter().flatten().for_each(visit);
        }
        Statement::Atomic { pointer, fun, value, .. } => {
            let compare = match fun {
                AtomicFunction::Exchange { compare } => compare,
                _ => None,
            };
            [Some(pointer), compare, Some(value)].into_iter().flatten().for_each(visit);
        }
        Statement::ImageAtomic { image, coordinate, array_index, value, .. } => {
            [Some(image), Some(coordinate), array_index, Some(value)].into_iter().flatten().for_each(visit);
        }
        Statement::WorkGroupUniformLoad { pointer, .. } => visit(pointer),
        Statement::Call { ref arguments, .. } => arguments.iter().copied().for_each(visit),
        Statement::SubgroupBallot { predicate, .. } => predicate.into_iter().for_each(visit),
        Statement::SubgroupGather { mode, argument, .. } => {
            visit(argument);
            match mode {
                GatherMode::Broadcast(index)
                | GatherMode::Shuffle(index)
                | GatherMode::ShuffleDown(index)
                | GatherMode::ShuffleUp(index)
                | GatherMode::ShuffleXor(index)
                | GatherMode::QuadBroadcast(index) => visit(index),
                GatherMode::BroadcastFirst | GatherMode::QuadSwap(_) => {}
            }
        }
        Statement::SubgroupCollectiveOperation { argument, .. } => visit(argument),
        Statement::CooperativeStore { target, ref data } => {
            [target, data.pointer, data.stride].into_iter().for_each(visit);
        }
    }
}
