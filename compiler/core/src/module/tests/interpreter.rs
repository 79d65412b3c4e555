//! Runs naga IR on the CPU, one invocation after the other, so that tests can compare a kernel before and after passes.
//!
//! Knows what the tests use: scalars, vectors, arrays, calls, loops; no barriers, since invocations do not interleave.

use naga::{
    BinaryOperator, Binding, Block, BuiltIn, Expression, Function, Handle, Literal, MathFunction, Module,
    Scalar, Statement, SwitchValue, Type, TypeInner,
};

use crate::module::literal;

/// A value, or a place in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Scalar(Literal),
    Composite(Vec<Value>),
    Pointer(Place),
}

/// A variable and the indices into it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    local: Option<usize>,
    global: usize,
    path: Vec<usize>,
}

/// How a block ended.
enum Flow {
    Next,
    Break,
    Continue,
    Return(Option<Value>),
}

struct Machine<'m> {
    module: &'m Module,
    globals: &'m mut Vec<Value>,
    builtins: [u32; 4],
}

struct Frame<'m> {
    function: &'m Function,
    arguments: Vec<Value>,
    locals: Vec<Value>,
    values: Vec<Option<Value>>,
}

/// A buffer of f32.
pub(super) fn floats(values: impl IntoIterator<Item = f32>) -> Value {
    Value::Composite(values.into_iter().map(|value| Value::Scalar(Literal::F32(value))).collect())
}

/// A buffer of vectors of four f32.
pub(super) fn vectors(values: &[f32]) -> Value {
    Value::Composite(values.chunks(4).map(|chunk| floats(chunk.iter().copied())).collect())
}

/// The numbers in a value, in order.
pub(super) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Scalar(Literal::F32(value)) => vec![f64::from(*value)],
        Value::Scalar(Literal::F16(value)) => vec![value.to_f64()],
        Value::Scalar(Literal::U32(value)) => vec![f64::from(*value)],
        Value::Scalar(Literal::I32(value)) => vec![f64::from(*value)],
        Value::Scalar(other) => panic!("no number: {other:?}"),
        Value::Composite(parts) => parts.iter().flat_map(numbers).collect(),
        Value::Pointer(_) => panic!("a pointer is no number"),
    }
}

/// Runs workgroup after workgroup of the only entry point; `buffers` are the bound variables by name.
pub(super) fn run(module: &Module, workgroups: [u32; 2], buffers: &mut [(&str, Value)]) {
    let mut globals: Vec<Value> = module
        .global_variables
        .iter()
        .map(|(_, variable)| {
            let name = variable.name.as_deref().unwrap_or_default();
            match buffers.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => value.clone(),
                None => zero(module, variable.ty),
            }
        })
        .collect();
    let entry = &module.entry_points[0];
    let size = entry.workgroup_size;
    for (group_y, group_x) in (0..workgroups[1]).flat_map(|y| (0..workgroups[0]).map(move |x| (y, x))) {
        for local in 0..size.iter().product() {
            let builtins = [group_x, group_y, local, size[0]];
            let mut machine = Machine { module, globals: &mut globals, builtins };
            let arguments = entry
                .function
                .arguments
                .iter()
                .map(|argument| machine.builtin(argument.binding.as_ref()))
                .collect();
            machine.call(&entry.function, arguments);
        }
    }
    for (name, value) in buffers {
        let position =
            module.global_variables.iter().position(|(_, variable)| variable.name.as_deref() == Some(name));
        if let Some(position) = position {
            *value = globals[position].clone();
        }
    }
}

fn u32_value(value: u32) -> Value {
    Value::Scalar(Literal::U32(value))
}

fn zero(module: &Module, ty: Handle<Type>) -> Value {
    let scalar_zero = |scalar: Scalar| {
        Value::Scalar(if scalar == Scalar::F16 {
            Literal::F16(half::f16::ZERO)
        } else {
            Literal::zero(scalar).expect("a zero")
        })
    };
    match &module.types[ty].inner {
        TypeInner::Scalar(scalar) => scalar_zero(*scalar),
        TypeInner::Vector { size, scalar } => Value::Composite(vec![scalar_zero(*scalar); *size as usize]),
        TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } => {
            Value::Composite(vec![zero(module, *base); count.get() as usize])
        }
        other => panic!("no zero of {other:?}"),
    }
}

impl<'m> Machine<'m> {
    fn builtin(&self, binding: Option<&Binding>) -> Value {
        let [group_x, group_y, local, width] = self.builtins;
        let (x, y) = (local % width, local / width);
        let height = self.module.entry_points[0].workgroup_size[1];
        let triple = |x, y| Value::Composite(vec![u32_value(x), u32_value(y), u32_value(0)]);
        match binding {
            Some(Binding::BuiltIn(BuiltIn::GlobalInvocationId)) => {
                triple(group_x * width + x, group_y * height + y)
            }
            Some(Binding::BuiltIn(BuiltIn::LocalInvocationId)) => triple(x, y),
            Some(Binding::BuiltIn(BuiltIn::WorkGroupId)) => triple(group_x, group_y),
            Some(Binding::BuiltIn(BuiltIn::LocalInvocationIndex)) => u32_value(local),
            other => panic!("builtin {other:?}"),
        }
    }

    fn call(&mut self, function: &'m Function, arguments: Vec<Value>) -> Option<Value> {
        let mut frame =
            Frame { function, arguments, locals: Vec::new(), values: vec![None; function.expressions.len()] };
        for (_, variable) in function.local_variables.iter() {
            let value = match variable.init {
                Some(init) => self.operand(&mut frame, init),
                None => zero(self.module, variable.ty),
            };
            frame.locals.push(value);
        }
        match self.block(&mut frame, &function.body) {
            Flow::Return(value) => value,
            Flow::Next | Flow::Break | Flow::Continue => None,
        }
    }

    fn block(&mut self, frame: &mut Frame<'m>, block: &'m Block) -> Flow {
        for statement in block {
            match self.statement(frame, statement) {
                Flow::Next => {}
                other => return other,
            }
        }
        Flow::Next
    }

    fn statement(&mut self, frame: &mut Frame<'m>, statement: &'m Statement) -> Flow {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    let value = self.evaluate(frame, handle);
                    frame.values[handle.index()] = Some(value);
                }
            }
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => {
                let taken = self.operand(frame, *condition) == Value::Scalar(Literal::Bool(true));
                return self.block(frame, if taken { accept } else { reject });
            }
            Statement::Switch { selector, cases } => {
                let selector = self.operand(frame, *selector);
                let matches = |value: SwitchValue| match value {
                    SwitchValue::U32(value) => selector == u32_value(value),
                    SwitchValue::I32(value) => selector == Value::Scalar(Literal::I32(value)),
                    SwitchValue::Default => true,
                };
                let exact =
                    cases.iter().position(|case| case.value != SwitchValue::Default && matches(case.value));
                let start =
                    exact.or_else(|| cases.iter().position(|case| matches(case.value))).expect("a case");
                for case in &cases[start..] {
                    match self.block(frame, &case.body) {
                        Flow::Next if case.fall_through => {}
                        Flow::Next | Flow::Break => return Flow::Next,
                        other => return other,
                    }
                }
            }
            Statement::Loop { body, continuing, break_if } => loop {
                match self.block(frame, body) {
                    Flow::Next | Flow::Continue => {}
                    Flow::Break => break,
                    Flow::Return(value) => return Flow::Return(value),
                }
                self.block(frame, continuing);
                let stops = break_if.is_some_and(|condition| {
                    self.operand(frame, condition) == Value::Scalar(Literal::Bool(true))
                });
                if stops {
                    break;
                }
            },
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Return { value } => {
                return Flow::Return(value.map(|value| self.operand(frame, value)));
            }
            Statement::Store { pointer, value } => {
                let value = self.operand(frame, *value);
                let Value::Pointer(place) = self.operand(frame, *pointer) else {
                    panic!("a store through no pointer")
                };
                *self.place(frame, &place) = value;
            }
            Statement::Call { function, arguments, result } => {
                let arguments = arguments.iter().map(|argument| self.operand(frame, *argument)).collect();
                let value = self.call(&self.module.functions[*function], arguments);
                if let Some(result) = result {
                    frame.values[result.index()] = value;
                }
            }
            other => panic!("statement {other:?}"),
        }
        Flow::Next
    }

    fn place<'a>(&'a mut self, frame: &'a mut Frame<'m>, place: &Place) -> &'a mut Value {
        let mut value = match place.local {
            Some(local) => &mut frame.locals[local],
            None => &mut self.globals[place.global],
        };
        for index in &place.path {
            value = match value {
                Value::Composite(parts) => &mut parts[*index],
                other => panic!("an index into {other:?}"),
            };
        }
        value
    }

    fn operand(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Value {
        let is_leaf = frame.function.expressions[handle].needs_pre_emit();
        match &frame.values[handle.index()] {
            Some(value) if !is_leaf => value.clone(),
            // Leaves, and initialisers of locals, which no statement evaluates.
            _ => self.evaluate(frame, handle),
        }
    }

    fn evaluate(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Value {
        match frame.function.expressions[handle] {
            Expression::FunctionArgument(index) => frame.arguments[index as usize].clone(),
            Expression::GlobalVariable(global) => {
                Value::Pointer(Place { local: None, global: global.index(), path: Vec::new() })
            }
            Expression::LocalVariable(local) => {
                Value::Pointer(Place { local: Some(local.index()), global: 0, path: Vec::new() })
            }
            Expression::Load { pointer } => match self.operand(frame, pointer) {
                Value::Pointer(place) => self.place(frame, &place).clone(),
                other => panic!("a load of {other:?}"),
            },
            ref expression => {
                let mut operands = Vec::new();
                crate::module::operands::each_operand(expression, |operand| operands.push(operand));
                let values: Vec<Value> =
                    operands.iter().map(|operand| self.operand(frame, *operand)).collect();
                self.pure(expression, &values)
            }
        }
    }

    fn global_value(&self, handle: Handle<Expression>) -> Value {
        let expression = &self.module.global_expressions[handle];
        let mut operands = Vec::new();
        crate::module::operands::each_operand(expression, |operand| operands.push(operand));
        let values: Vec<Value> = operands.iter().map(|operand| self.global_value(*operand)).collect();
        self.pure(expression, &values)
    }

    /// An expression that reads no memory.
    fn pure(&self, expression: &Expression, values: &[Value]) -> Value {
        match expression {
            Expression::Literal(literal) => Value::Scalar(*literal),
            Expression::Constant(constant) => self.global_value(self.module.constants[*constant].init),
            Expression::ZeroValue(ty) => zero(self.module, *ty),
            Expression::Compose { ty, .. } => match self.module.types[*ty].inner {
                TypeInner::Vector { .. } => Value::Composite(values.iter().flat_map(parts).collect()),
                _ => Value::Composite(values.to_vec()),
            },
            Expression::Access { .. } => match &values[1] {
                Value::Scalar(Literal::U32(index)) => indexed(&values[0], *index as usize),
                Value::Scalar(Literal::I32(index)) => indexed(&values[0], usize::try_from(*index).unwrap()),
                other => panic!("an index {other:?}"),
            },
            Expression::AccessIndex { index, .. } => indexed(&values[0], *index as usize),
            Expression::Splat { size, .. } => Value::Composite(vec![values[0].clone(); *size as usize]),
            Expression::Swizzle { size, pattern, .. } => {
                let lanes = &pattern[..*size as usize];
                Value::Composite(
                    lanes.iter().map(|lane| indexed(&values[0], lane.index() as usize)).collect(),
                )
            }
            Expression::Unary { op, .. } => each_lane(values, &|lanes| literal::unary(*op, lanes[0])),
            Expression::Binary { op, .. } => each_lane(values, &|lanes| binary(*op, lanes[0], lanes[1])),
            Expression::Select { .. } if !matches!(values[0], Value::Composite(_)) => {
                values[if values[0] == Value::Scalar(Literal::Bool(true)) { 1 } else { 2 }].clone()
            }
            Expression::Select { .. } => {
                each_lane(values, &|lanes| Some(lanes[if literal::is_true(lanes[0]) { 1 } else { 2 }]))
            }
            Expression::As { kind, convert: Some(width), .. } => {
                each_lane(values, &|lanes| literal::convert(lanes[0], *kind, *width))
            }
            Expression::Math { fun, .. } => math(*fun, values),
            other => panic!("expression {other:?}"),
        }
    }
}

fn parts(value: &Value) -> Vec<Value> {
    match value {
        Value::Composite(parts) => parts.clone(),
        other => vec![other.clone()],
    }
}

fn indexed(base: &Value, index: usize) -> Value {
    match base {
        Value::Composite(parts) => parts[index].clone(),
        Value::Pointer(place) => {
            let mut place = place.clone();
            place.path.push(index);
            Value::Pointer(place)
        }
        Value::Scalar(_) => panic!("an index into a scalar"),
    }
}

fn each_lane(values: &[Value], function: &dyn Fn(&[Literal]) -> Option<Literal>) -> Value {
    let lanes = values
        .iter()
        .filter_map(|value| if let Value::Composite(parts) = value { Some(parts.len()) } else { None })
        .max();
    let scalar = |value: &Value, lane: usize| match value {
        Value::Scalar(literal) => *literal,
        Value::Composite(parts) => match parts[lane] {
            Value::Scalar(literal) => literal,
            ref other => panic!("a lane {other:?}"),
        },
        Value::Pointer(_) => panic!("arithmetic on a pointer"),
    };
    let at = |lane| {
        let operands: Vec<Literal> = values.iter().map(|value| scalar(value, lane)).collect();
        Value::Scalar(function(&operands).unwrap_or_else(|| panic!("no result for {operands:?}")))
    };
    match lanes {
        Some(lanes) => Value::Composite((0..lanes).map(at).collect()),
        None => at(0),
    }
}

fn binary(op: BinaryOperator, left: Literal, right: Literal) -> Option<Literal> {
    match (op, left, right) {
        (BinaryOperator::LogicalAnd, Literal::Bool(left), Literal::Bool(right)) => {
            Some(Literal::Bool(left && right))
        }
        (BinaryOperator::LogicalOr, Literal::Bool(left), Literal::Bool(right)) => {
            Some(Literal::Bool(left || right))
        }
        _ => literal::binary(op, left, right),
    }
}

fn math(function: MathFunction, values: &[Value]) -> Value {
    let float = |value: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "an f32 result")]
        Value::Scalar(Literal::F32(value as f32))
    };
    match function {
        MathFunction::Dot => {
            float(numbers(&values[0]).iter().zip(numbers(&values[1])).map(|(left, right)| left * right).sum())
        }
        MathFunction::Pack2x16float => {
            let halves: Vec<u32> = numbers(&values[0])
                .iter()
                .map(|value| u32::from(half::f16::from_f64(*value).to_bits()))
                .collect();
            u32_value(halves[0] | halves[1] << 16)
        }
        MathFunction::Unpack2x16float => {
            let Value::Scalar(Literal::U32(word)) = values[0] else { panic!("no word") };
            let bits =
                |shift: u32| half::f16::from_bits(u16::try_from(word >> shift & 0xffff).unwrap()).to_f64();
            Value::Composite(vec![float(bits(0)), float(bits(16))])
        }
        _ => each_lane(values, &|lanes| literal::math(function, lanes)),
    }
}
