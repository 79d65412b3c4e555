//! Expressions with a value.

use naga::proc::TypeResolution;
use naga::{
    BinaryOperator, Expression, Handle, Literal, Scalar, ScalarKind, SwizzleComponent, TypeInner,
    UnaryOperator, VectorSize,
};

use super::Error;
use super::constants::literal;
use super::conversions::comparison;
use super::function::FunctionWriter;
use super::places::lane;
use super::shortcuts::Shortcut;
use super::text::{Precedence, Text, is_comparison, precedence};

impl FunctionWriter<'_, '_> {
    /// The text of `handle`: the variable that holds it, or the expression itself.
    pub(super) fn value(&mut self, handle: Handle<Expression>) -> Result<Text, Error> {
        if let Some(name) = &self.written[handle.index()] {
            return Ok(Text::primary(name.clone()));
        }
        let function = self.function;
        match function.expressions[handle] {
            Expression::Literal(value) => literal(value, self.out.options.fp16),
            Expression::Constant(constant) => self.out.constant(constant),
            Expression::Override(_) => Err(Error::Override),
            Expression::ZeroValue(ty) => self.out.zero(ty),
            Expression::Compose { ty, ref components } => {
                let values = components
                    .iter()
                    .map(|&component| {
                        let is_scalar = matches!(self.type_of(component), TypeInner::Scalar(_));
                        Ok((self.value(component)?, is_scalar))
                    })
                    .collect::<Result<Vec<_>, Error>>()?;
                self.out.compose(ty, &values)
            }
            Expression::Splat { size, value } => {
                let scalar = self.scalar_of(value);
                let value = self.value(value)?;
                self.out.splat(size, scalar, &value)
            }
            Expression::Swizzle { size, vector, pattern } => self.swizzle(size, vector, pattern),
            Expression::FunctionArgument(index) => match self.type_of(handle).pointer_space() {
                Some(_) => Ok(self.place(handle)?.address()),
                None => Ok(Text::primary(self.arguments[index as usize].clone())),
            },
            Expression::GlobalVariable(variable) => match &self.globals[variable.index()] {
                Some(global) if self.type_of(handle).is_handle() => Ok(Text::primary(global.name.clone())),
                _ => self.pointer(handle),
            },
            Expression::LocalVariable(_) => self.pointer(handle),
            Expression::Access { .. } | Expression::AccessIndex { .. }
                if self.type_of(handle).pointer_space().is_some() =>
            {
                self.pointer(handle)
            }
            Expression::Access { base, index } => self.element_of_value(base, index),
            Expression::AccessIndex { base, index } => self.part_of_value(base, index),
            Expression::Load { pointer } => match self.usage.shortcuts.get(handle).copied() {
                Some(shortcut) => self.shortcut(&shortcut),
                None => self.load(pointer),
            },
            Expression::ImageLoad { image, coordinate, array_index, level, .. } => {
                self.image_load(image, coordinate, array_index, level)
            }
            Expression::ImageQuery { image, query } => self.image_query(image, query),
            Expression::Unary { op, expr } => self.unary(op, expr),
            Expression::Binary { op, left, right } => self.binary(op, left, right),
            Expression::Select { condition, accept, reject } => self.select(condition, accept, reject),
            Expression::Relational { fun, argument } => self.relational(fun, argument),
            Expression::Math { fun, arg, arg1, arg2, arg3 } => {
                let more: Vec<_> = [arg1, arg2, arg3].into_iter().flatten().collect();
                self.math(fun, arg, &more)
            }
            Expression::As { expr, kind, convert } => self.convert(expr, kind, convert),
            Expression::ArrayLength(array) => self.array_length(array),
            Expression::CallResult(_)
            | Expression::AtomicResult { .. }
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::SubgroupBallotResult
            | Expression::SubgroupOperationResult { .. } => {
                unreachable!("the statement that makes a result gives it a variable")
            }
            Expression::ImageSample { .. } => {
                Err(Error::Unsupported { construct: "filtered sampling (use textureLoad)" })
            }
            Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. } => {
                Err(Error::CooperativeMatrix)
            }
            Expression::Derivative { .. }
            | Expression::RayQueryVertexPositions { .. }
            | Expression::RayQueryProceedResult
            | Expression::RayQueryGetIntersection { .. } => {
                Err(Error::Unsupported { construct: "a derivative or ray query" })
            }
        }
    }

    /// What follows the `=` of a declaration, which takes lists where an expression cannot.
    pub(super) fn initializer(&mut self, handle: Handle<Expression>) -> Result<String, Error> {
        let function = self.function;
        match function.expressions[handle] {
            Expression::ZeroValue(ty) => self.out.zero_initializer(ty),
            Expression::Compose { ref components, .. } if self.is_array(handle) => {
                let values =
                    components.iter().map(|&value| self.initializer(value)).collect::<Result<Vec<_>, _>>()?;
                Ok(format!("{{{}}}", values.join(", ")))
            }
            Expression::Constant(constant) if self.is_array(handle) => {
                self.out.constant_initializer(self.out.module.constants[constant].init)
            }
            _ if self.is_array(handle) => {
                Err(Error::Unsupported { construct: "an array made of other arrays" })
            }
            _ => Ok(self.value(handle)?.code),
        }
    }

    pub(super) fn is_array(&self, handle: Handle<Expression>) -> bool {
        matches!(self.type_of(handle), TypeInner::Array { .. })
    }

    fn pointer(&mut self, handle: Handle<Expression>) -> Result<Text, Error> {
        let pointee = self.pointee(handle);
        let is_array = matches!(pointee.inner_with(&self.out.module.types), TypeInner::Array { .. });
        if self.is_packed(handle) {
            return Err(Error::Unsupported { construct: "a pointer to a vec3 that shares its fourth lane" });
        }
        let place = self.place(handle)?;
        // An array's name is a pointer to its first element, which is how functions take arrays.
        Ok(if is_array { place.lvalue() } else { place.address() })
    }

    fn swizzle(
        &mut self,
        size: VectorSize,
        vector: Handle<Expression>,
        pattern: [SwizzleComponent; 4],
    ) -> Result<Text, Error> {
        let lanes: String =
            pattern[..size as usize].iter().map(|component| lane(component.index())).collect();
        Ok(self.value(vector)?.postfix(&format!(".{lanes}")))
    }

    fn element_of_value(
        &mut self,
        base: Handle<Expression>,
        index: Handle<Expression>,
    ) -> Result<Text, Error> {
        let index = self.value(index)?;
        let value = self.value(base)?;
        match *self.type_of(base) {
            TypeInner::Array { .. } => Ok(value.postfix(&format!("[{}]", index.code))),
            TypeInner::Vector { scalar, .. } => {
                if matches!(
                    self.function.expressions[base],
                    Expression::Constant(_) | Expression::ZeroValue(_)
                ) {
                    return Err(Error::Unsupported { construct: "a variable index into a constant vector" });
                }
                let address = Text::unary(format!("&{}", value.code));
                let element = self.vector_element(&address, scalar, "const ", &index)?;
                Ok(from_lane(element, scalar))
            }
            _ => Err(Error::Unsupported { construct: "a variable index into a value of this type" }),
        }
    }

    fn part_of_value(&mut self, base: Handle<Expression>, index: u32) -> Result<Text, Error> {
        let value = self.value(base)?;
        match *self.type_of(base) {
            TypeInner::Vector { scalar, .. } => {
                Ok(from_lane(value.postfix(&format!(".{}", lane(index))), scalar))
            }
            TypeInner::Array { .. } => Ok(value.postfix(&format!("[{index}]"))),
            TypeInner::Struct { .. } => match self.info[base].ty.handle() {
                Some(ty) => {
                    let member = value.postfix(&format!(".{}", self.out.types.member(ty, index)));
                    let packed = self.out.types.is_packed(ty, index);
                    Ok(if packed { Text::call("vload3", &[Text::primary("0"), member]) } else { member })
                }
                None => unreachable!("structs are types of the module"),
            },
            _ => {
                self.out.types.value(&self.info[base].ty)?;
                Err(Error::Unsupported { construct: "a part of a value of this type" })
            }
        }
    }

    fn shortcut(&mut self, shortcut: &Shortcut<'_>) -> Result<Text, Error> {
        let (left, right) = (self.value(shortcut.left)?, self.value(shortcut.right)?);
        let (operator, precedence) =
            if shortcut.is_and { ("&&", Precedence::LogicalAnd) } else { ("||", Precedence::LogicalOr) };
        Ok(Text::binary(&left, operator, &right, precedence))
    }

    /// `!condition`, as the opposite comparison where there is one. Floats have none: NaN compares as false. What is not
    /// zero and has no sign is larger.
    pub(super) fn negation(&mut self, condition: Handle<Expression>) -> Result<Text, Error> {
        if self.written[condition.index()].is_none() {
            match self.function.expressions[condition] {
                Expression::Unary { op: UnaryOperator::LogicalNot, expr } => return self.value(expr),
                Expression::Binary { op, left, right } if self.scalar_of(left).kind != ScalarKind::Float => {
                    let zero = self.function.expressions[right] == Expression::Literal(Literal::U32(0));
                    let greater = (zero && op == BinaryOperator::Equal).then_some(BinaryOperator::Greater);
                    if let Some(opposite) = greater.or_else(|| opposite(op)) {
                        return self.binary(opposite, left, right);
                    }
                }
                _ => {}
            }
        }
        Ok(Text::unary(format!("!{}", self.value(condition)?.operand())))
    }

    fn unary(&mut self, op: UnaryOperator, operand: Handle<Expression>) -> Result<Text, Error> {
        let value = self.value(operand)?;
        let sign = match op {
            UnaryOperator::Negate => "-",
            UnaryOperator::LogicalNot => "!",
            UnaryOperator::BitwiseNot => "~",
        };
        Ok(Text::unary(format!("{sign}{}", value.operand())))
    }

    fn binary(
        &mut self,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
    ) -> Result<Text, Error> {
        let scalar = self.scalar_of(left);
        let size = self.size_of(left).or(self.size_of(right));
        match op {
            BinaryOperator::Divide | BinaryOperator::Modulo
                if scalar.kind != ScalarKind::Float && !self.is_safe_divisor(right, scalar) =>
            {
                let arguments = [self.widened(left, size)?, self.widened(right, size)?];
                let helper = self.out.division_helper(op, size, scalar)?;
                return Ok(Text::call(&helper, &arguments));
            }
            BinaryOperator::Modulo if scalar.kind == ScalarKind::Float => {
                return Ok(Text::call("fmod", &[self.widened(left, size)?, self.widened(right, size)?]));
            }
            BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply
                if scalar.kind == ScalarKind::Sint && self.out.options.wrap_signed =>
            {
                return self.wrapping(op, left, right, size, scalar);
            }
            _ => {}
        }
        let (left, right) = self.operands(op, left, right)?;
        let text = Text::binary(&left, naga::back::binary_operation_str(op), &right, precedence(op));
        Ok(if is_comparison(op) { comparison(text, size, scalar) } else { text })
    }

    /// Both operands; C widens a scalar beside a vector, so that a splat need not be spelled out.
    pub(super) fn operands(
        &mut self,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
    ) -> Result<(Text, Text), Error> {
        let shifts = matches!(op, BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight);
        let widens = !shifts && self.scalar_of(left).kind != ScalarKind::Bool;
        Ok(match (self.is_splat(left), self.is_splat(right)) {
            (false, true) if widens => (self.value(left)?, self.unsplat(right)?),
            (true, false) if widens => (self.unsplat(left)?, self.value(right)?),
            _ => (self.value(left)?, self.value(right)?),
        })
    }

    /// Whether `handle` is a vector with one scalar in every lane, whose text is still to be written.
    pub(super) fn is_splat(&self, handle: Handle<Expression>) -> bool {
        let expressions = &self.function.expressions;
        self.written[handle.index()].is_none()
            && match expressions[handle] {
                Expression::Splat { .. } => true,
                Expression::ZeroValue(_) => self.size_of(handle).is_some(),
                Expression::Compose { ref components, .. } => self
                    .size_of(handle)
                    .is_some_and(|size| components.len() == size as usize)
                    && components.iter().all(|&component| match (&expressions[components[0]], component) {
                        (Expression::Literal(first), _) => {
                            matches!(&expressions[component], Expression::Literal(other) if other == first)
                        }
                        (_, component) => component == components[0],
                    }),
                _ => false,
            }
    }

    /// The scalar in every lane of `handle`, or `handle` itself where it is no splat.
    pub(super) fn unsplat(&mut self, handle: Handle<Expression>) -> Result<Text, Error> {
        if !self.is_splat(handle) {
            return self.value(handle);
        }
        let function = self.function;
        match function.expressions[handle] {
            Expression::Splat { value, .. } => self.value(value),
            Expression::Compose { ref components, .. } => self.value(components[0]),
            _ => self.out.zero_scalar(self.scalar_of(handle)),
        }
    }

    /// `handle` as a value of `size` lanes.
    pub(super) fn widened(
        &mut self,
        handle: Handle<Expression>,
        size: Option<VectorSize>,
    ) -> Result<Text, Error> {
        let value = self.value(handle)?;
        match (self.size_of(handle), size) {
            (None, Some(size)) => self.out.splat(size, self.scalar_of(handle), &value),
            _ => Ok(value),
        }
    }

    /// Arithmetic on the bits, where overflow wraps.
    fn wrapping(
        &mut self,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
        size: Option<VectorSize>,
        scalar: Scalar,
    ) -> Result<Text, Error> {
        let unsigned = self.out.types.vector(size, Scalar { kind: ScalarKind::Uint, width: scalar.width })?;
        let signed = self.out.types.vector(size, scalar)?;
        let cast = format!("as_{unsigned}");
        let left = Text::call(&cast, &[self.widened(left, size)?]);
        let right = Text::call(&cast, &[self.widened(right, size)?]);
        let text = Text::binary(&left, naga::back::binary_operation_str(op), &right, precedence(op));
        Ok(Text::call(&format!("as_{signed}"), &[text]))
    }

    /// Whether C's division by `divisor` always answers as WGSL's does: it is a constant other than 0 and -1.
    fn is_safe_divisor(&self, divisor: Handle<Expression>, scalar: Scalar) -> bool {
        let module = self.out.module;
        let is_safe = |value: &Literal| match *value {
            Literal::U32(value) => value != 0,
            Literal::I32(value) => value != 0 && value != -1,
            Literal::U64(value) => value != 0,
            Literal::I64(value) => value != 0 && value != -1,
            _ => unreachable!("integer division by a literal of {scalar:?}"),
        };
        match self.function.expressions[divisor] {
            Expression::Literal(ref value) => is_safe(value),
            Expression::Constant(constant) => {
                match module.global_expressions[module.constants[constant].init] {
                    Expression::Literal(ref value) => is_safe(value),
                    _ => false,
                }
            }
            Expression::Splat { value, .. } => self.is_safe_divisor(value, scalar),
            Expression::Compose { ref components, .. } => {
                components.iter().all(|&component| self.is_safe_divisor(component, scalar))
            }
            _ => false,
        }
    }

    fn array_length(&mut self, array: Handle<Expression>) -> Result<Text, Error> {
        let pointee = self.pointee(array);
        let TypeInner::Array { size, .. } = *pointee.inner_with(&self.out.module.types) else {
            unreachable!("validated: only arrays have a length")
        };
        let place = self.place(array)?.lvalue().code;
        Ok(Text::primary(format!("{}u", super::types::array_len(size, &place)?)))
    }

    /// The vector size of a value; none for scalars.
    pub(super) fn size_of(&self, handle: Handle<Expression>) -> Option<VectorSize> {
        match *self.type_of(handle) {
            TypeInner::Vector { size, .. } => Some(size),
            _ => None,
        }
    }

    /// The C type of a value.
    pub(super) fn c_type(&self, size: Option<VectorSize>, scalar: Scalar) -> Result<String, Error> {
        self.out.types.value(&TypeResolution::Value(match size {
            Some(size) => TypeInner::Vector { size, scalar },
            None => TypeInner::Scalar(scalar),
        }))
    }
}

/// A lane of a vector as a scalar of its own.
fn from_lane(lane: Text, scalar: Scalar) -> Text {
    match scalar.kind {
        ScalarKind::Bool => Text::binary(&lane, "!=", &Text::primary("0"), Precedence::Equality),
        _ => lane,
    }
}

fn opposite(op: BinaryOperator) -> Option<BinaryOperator> {
    match op {
        BinaryOperator::Equal => Some(BinaryOperator::NotEqual),
        BinaryOperator::NotEqual => Some(BinaryOperator::Equal),
        BinaryOperator::Less => Some(BinaryOperator::GreaterEqual),
        BinaryOperator::LessEqual => Some(BinaryOperator::Greater),
        BinaryOperator::Greater => Some(BinaryOperator::LessEqual),
        BinaryOperator::GreaterEqual => Some(BinaryOperator::Less),
        _ => None,
    }
}
