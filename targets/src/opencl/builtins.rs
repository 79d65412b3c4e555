//! WGSL's mathematical functions by those of OpenCL C.
//!
//! `min`, `max` and `clamp` of floats are `fmin`, `fmax` and `clamp`, which prefer a number to a NaN.

use naga::{Expression, Handle, MathFunction, ScalarKind};

use super::Error;
use super::function::FunctionWriter;
use super::helpers::Helper;
use super::text::{Precedence, Text};

impl FunctionWriter<'_, '_> {
    pub(super) fn math(
        &mut self,
        fun: MathFunction,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
    ) -> Result<Text, Error> {
        if let Some(name) = same_in_both(fun) {
            return self.plain_call(name, arg, more);
        }
        let kind = self.scalar_of(arg).kind;
        let is_float = kind == ScalarKind::Float;
        match fun {
            MathFunction::Min => self.bounded(if is_float { "fmin" } else { "min" }, arg, more),
            MathFunction::Max => self.bounded(if is_float { "fmax" } else { "max" }, arg, more),
            MathFunction::Clamp => self.bounded("clamp", arg, more),
            MathFunction::Saturate => {
                let bounds = self.float_bounds(arg);
                let value = self.value(arg)?;
                Ok(Text::call("clamp", &[value, bounds.0, bounds.1]))
            }
            MathFunction::Abs => self.absolute(arg, kind),
            MathFunction::Sign if is_float => self.plain_call("sign", arg, more),
            MathFunction::Sign => {
                let value = self.value(arg)?;
                let ty = self.c_type(self.size_of(arg), self.scalar_of(arg))?;
                let bound = |bound: &str| match self.size_of(arg) {
                    Some(_) => Text::unary(format!("({ty})({bound})")),
                    None => Text::primary(bound),
                };
                Ok(Text::call("clamp", &[value, bound("-1"), bound("1")]))
            }
            MathFunction::Dot if is_float => self.plain_call("dot", arg, more),
            MathFunction::Dot4I8Packed | MathFunction::Dot4U8Packed => self.packed_dot(fun, arg, more),
            MathFunction::CountLeadingZeros => self.plain_call("clz", arg, more),
            MathFunction::CountOneBits => self.plain_call("popcount", arg, more),
            MathFunction::Unpack4xI8 => {
                let value = self.value(arg)?;
                Ok(Text::call("convert_int4", &[Text::call("as_char4", &[value])]))
            }
            MathFunction::Unpack4xU8 => {
                let value = self.value(arg)?;
                Ok(Text::call("convert_uint4", &[Text::call("as_uchar4", &[value])]))
            }
            MathFunction::Pack4xI8Clamp => {
                let value = self.value(arg)?;
                Ok(Text::call("as_uint", &[Text::call("convert_char4_sat", &[value])]))
            }
            MathFunction::Pack4xU8Clamp => {
                let value = self.value(arg)?;
                Ok(Text::call("as_uint", &[Text::call("convert_uchar4_sat", &[value])]))
            }
            MathFunction::Pack4xI8 | MathFunction::Pack4xU8 => {
                // The low byte of each lane: converting what does not fit is not defined.
                let low = Text::new(
                    format!("{} & 0xff", self.value(arg)?.at_least(Precedence::Unary)),
                    Precedence::BitAnd,
                );
                Ok(Text::call("as_uint", &[Text::call("convert_uchar4", &[low])]))
            }
            _ => self.helper_call(fun, arg, more),
        }
    }

    fn values(&mut self, arg: Handle<Expression>, more: &[Handle<Expression>]) -> Result<Vec<Text>, Error> {
        std::iter::once(arg).chain(more.iter().copied()).map(|handle| self.value(handle)).collect()
    }

    fn plain_call(
        &mut self,
        name: &str,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
    ) -> Result<Text, Error> {
        Ok(Text::call(name, &self.values(arg, more)?))
    }

    /// `min`, `max`, `clamp`: where all bounds are splats, OpenCL C takes the scalars.
    fn bounded(
        &mut self,
        name: &str,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
    ) -> Result<Text, Error> {
        if self.size_of(arg).is_none() || !more.iter().all(|&bound| self.is_splat(bound)) {
            return self.plain_call(name, arg, more);
        }
        let mut arguments = vec![self.value(arg)?];
        for &bound in more {
            arguments.push(self.unsplat(bound)?);
        }
        Ok(Text::call(name, &arguments))
    }

    fn float_bounds(&self, arg: Handle<Expression>) -> (Text, Text) {
        let suffix = if self.scalar_of(arg).width == 2 { "h" } else { "f" };
        (Text::primary(format!("0.0{suffix}")), Text::primary(format!("1.0{suffix}")))
    }

    fn absolute(&mut self, arg: Handle<Expression>, kind: ScalarKind) -> Result<Text, Error> {
        let value = self.value(arg)?;
        match kind {
            ScalarKind::Float => Ok(Text::call("fabs", &[value])),
            // `abs` answers in the unsigned type, so that it can hold the magnitude of the minimum.
            ScalarKind::Sint => {
                let ty = self.c_type(self.size_of(arg), self.scalar_of(arg))?;
                Ok(Text::call(&format!("as_{ty}"), &[Text::call("abs", &[value])]))
            }
            ScalarKind::Uint | ScalarKind::Bool | ScalarKind::AbstractInt | ScalarKind::AbstractFloat => {
                Ok(value)
            }
        }
    }

    fn packed_dot(
        &mut self,
        fun: MathFunction,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
    ) -> Result<Text, Error> {
        if !self.out.options.integer_dot {
            return self.helper_call(fun, arg, more);
        }
        self.out.extensions.insert("cl_khr_integer_dot_product");
        let signed = fun == MathFunction::Dot4I8Packed;
        self.plain_call(if signed { "dot_4x8packed_ss_int" } else { "dot_4x8packed_uu_uint" }, arg, more)
    }

    fn helper_call(
        &mut self,
        fun: MathFunction,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
    ) -> Result<Text, Error> {
        let helper = Helper { fun, size: self.size_of(arg), scalar: self.scalar_of(arg) };
        let name = self.out.math_helper(helper)?;
        Ok(Text::call(&name, &self.values(arg, more)?))
    }
}

/// Functions that mean the same in both languages, for every type that WGSL gives them.
fn same_in_both(fun: MathFunction) -> Option<&'static str> {
    Some(match fun {
        MathFunction::Cos => "cos",
        MathFunction::Cosh => "cosh",
        MathFunction::Sin => "sin",
        MathFunction::Sinh => "sinh",
        MathFunction::Tan => "tan",
        MathFunction::Tanh => "tanh",
        MathFunction::Acos => "acos",
        MathFunction::Asin => "asin",
        MathFunction::Atan => "atan",
        MathFunction::Atan2 => "atan2",
        MathFunction::Asinh => "asinh",
        MathFunction::Acosh => "acosh",
        MathFunction::Atanh => "atanh",
        MathFunction::Radians => "radians",
        MathFunction::Degrees => "degrees",
        MathFunction::Ceil => "ceil",
        MathFunction::Floor => "floor",
        // Both round halves to even.
        MathFunction::Round => "rint",
        MathFunction::Trunc => "trunc",
        MathFunction::Ldexp => "ldexp",
        MathFunction::Exp => "exp",
        MathFunction::Exp2 => "exp2",
        MathFunction::Log => "log",
        MathFunction::Log2 => "log2",
        MathFunction::Pow => "pow",
        MathFunction::Cross => "cross",
        MathFunction::Distance => "distance",
        MathFunction::Length => "length",
        MathFunction::Normalize => "normalize",
        MathFunction::Fma => "fma",
        MathFunction::Mix => "mix",
        MathFunction::Step => "step",
        MathFunction::SmoothStep => "smoothstep",
        MathFunction::Sqrt => "sqrt",
        MathFunction::InverseSqrt => "rsqrt",
        _ => return None,
    })
}
