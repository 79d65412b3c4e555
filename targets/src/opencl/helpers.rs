//! Functions of WGSL that OpenCL C lacks, written out beside the kernel. Only those in use are.

use naga::{BinaryOperator, MathFunction, Scalar, ScalarKind, VectorSize};

use super::{Error, ModuleWriter};

/// A mathematical function for one type of argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Helper {
    pub(super) fun: MathFunction,
    pub(super) size: Option<VectorSize>,
    pub(super) scalar: Scalar,
}

impl ModuleWriter<'_> {
    fn add_helper(&mut self, name: &str, text: String) -> String {
        self.helpers.entry(name.to_owned()).or_insert(text);
        name.to_owned()
    }

    /// Integer division or remainder. WGSL answers `x / 0 = x`, `x % 0 = 0` and wraps `MIN / -1`; C may trap.
    pub(super) fn division_helper(
        &mut self,
        op: BinaryOperator,
        size: Option<VectorSize>,
        scalar: Scalar,
    ) -> Result<String, Error> {
        let ty = self.types.vector(size, scalar)?;
        let signed = scalar.kind == ScalarKind::Sint;
        let one = format!("({ty})(1)");
        let min = if scalar.width == 8 { "LONG_MIN" } else { "INT_MIN" };
        // `bad` holds where the divisor gives way to 1, for which both answers are WGSL's.
        let bad = match (signed, size.is_some()) {
            (false, _) => "b == 0".to_owned(),
            (true, true) => format!("(b == 0) | ((a == {min}) & (b == -1))"),
            (true, false) => format!("b == 0 || (a == {min} && b == -1)"),
        };
        let divisor = match size {
            Some(_) => format!("select(b, {one}, {bad})"),
            None => format!("({bad} ? {one} : b)"),
        };
        let (word, sign) = if op == BinaryOperator::Divide { ("div", "/") } else { ("mod", "%") };
        let name = format!("wgsl_{word}_{ty}");
        let text = format!("static {ty} {name}({ty} a, {ty} b) {{\n    return a {sign} {divisor};\n}}\n");
        Ok(self.add_helper(&name, text))
    }

    /// The function that stands for `helper`.
    pub(super) fn math_helper(&mut self, helper: Helper) -> Result<String, Error> {
        let Helper { fun, size, scalar } = helper;
        let ty = self.types.vector(size, scalar)?;
        let (name, text) = match fun {
            MathFunction::Dot4I8Packed | MathFunction::Dot4U8Packed => packed_dot(fun),
            MathFunction::Pack2x16float
            | MathFunction::Unpack2x16float
            | MathFunction::Pack2x16unorm
            | MathFunction::Pack2x16snorm
            | MathFunction::Unpack2x16unorm
            | MathFunction::Unpack2x16snorm
            | MathFunction::Pack4x8unorm
            | MathFunction::Pack4x8snorm
            | MathFunction::Unpack4x8unorm
            | MathFunction::Unpack4x8snorm => packing(fun),
            MathFunction::QuantizeToF16 => quantize(&ty, size),
            MathFunction::Fract => one_line("fract", &ty, &format!("{ty} x"), "x - floor(x)"),
            MathFunction::Dot => {
                let terms: Vec<_> = ["x", "y", "z", "w"][..lanes(size)]
                    .iter()
                    .map(|lane| format!("a.{lane} * b.{lane}"))
                    .collect();
                one_line_as(
                    "dot",
                    self.types.scalar(scalar)?,
                    &ty,
                    &format!("{ty} a, {ty} b"),
                    &terms.join(" + "),
                )
            }
            MathFunction::CountTrailingZeros
            | MathFunction::FirstTrailingBit
            | MathFunction::FirstLeadingBit
            | MathFunction::ReverseBits
            | MathFunction::ExtractBits
            | MathFunction::InsertBits
                if scalar.width == 4 =>
            {
                self.bits(helper, &ty)?
            }
            MathFunction::Reflect => {
                one_line("reflect", &ty, &format!("{ty} e, {ty} n"), "e - 2.0f * dot(n, e) * n")
            }
            _ => return Err(Error::Unsupported { construct: unsupported(fun) }),
        };
        Ok(self.add_helper(&name, text))
    }

    fn bits(&self, helper: Helper, ty: &str) -> Result<(String, String), Error> {
        let Helper { fun, size, scalar } = helper;
        let signed = scalar.kind == ScalarKind::Sint;
        let uint = self.types.vector(size, Scalar::U32)?;
        let x = format!("{ty} x");
        Ok(match fun {
            MathFunction::CountTrailingZeros => one_line("ctz", ty, &x, "popcount(~x & (x - 1))"),
            MathFunction::FirstTrailingBit => {
                // Zero has 32 of them, and the answer for zero is -1.
                let count = "popcount(~x & (x - 1))";
                one_line("first_trailing_bit", ty, &x, &choose(size, ty, "x == 0", "-1", count))
            }
            MathFunction::FirstLeadingBit if signed => {
                one_line("first_leading_bit", ty, &x, "31 - clz(x ^ (x >> 31))")
            }
            MathFunction::FirstLeadingBit => one_line("first_leading_bit", ty, &x, "31 - clz(x)"),
            MathFunction::ReverseBits => {
                let name = format!("wgsl_reverse_bits_{ty}");
                let swap = |by: u32, mask: &str| {
                    format!("    bits = ((bits >> {by}) & {mask}) | ((bits & {mask}) << {by});\n")
                };
                let text = format!(
                    "static {ty} {name}({ty} x) {{\n    {uint} bits = as_{uint}(x);\n{}{}{}{}    bits = (bits >> 16) | (bits \
                     << 16);\n    return as_{ty}(bits);\n}}\n",
                    swap(1, "0x55555555u"),
                    swap(2, "0x33333333u"),
                    swap(4, "0x0f0f0f0fu"),
                    swap(8, "0x00ff00ffu"),
                );
                (name, text)
            }
            MathFunction::ExtractBits => {
                let name = format!("wgsl_extract_bits_{ty}");
                // Shifted to the top and back, so that a signed field extends its sign. Shift counts wrap at 32,
                // hence the test for an empty field.
                let shifted = "(x << (32u - width - start)) >> (32u - width)";
                let text = format!(
                    "static {ty} {name}({ty} x, uint offset, uint count) {{\n    const uint start = min(offset, 32u);\n    \
                     const uint width = min(count, 32u - start);\n    return width == 0u ? ({ty})(0) : {shifted};\n}}\n"
                );
                (name, text)
            }
            _ => {
                let name = format!("wgsl_insert_bits_{ty}");
                let text = format!(
                    "static {ty} {name}({ty} x, {ty} inserted, uint offset, uint count) {{\n    const uint start = \
                     min(offset, 32u);\n    const uint width = min(count, 32u - start);\n    const uint mask = width == 0u ? \
                     0u : (UINT_MAX >> (32u - width)) << start;\n    return as_{ty}((as_{uint}(x) & ~mask) | \
                     ((as_{uint}(inserted) << start) & mask));\n}}\n"
                );
                (name, text)
            }
        })
    }
}

fn lanes(size: Option<VectorSize>) -> usize {
    size.map_or(1, |size| size as usize)
}

fn one_line(word: &str, ty: &str, parameters: &str, value: &str) -> (String, String) {
    one_line_as(word, ty, ty, parameters, value)
}

/// A function of one `return`, named after `word` and the type `ty` that it is for.
fn one_line_as(word: &str, result: &str, ty: &str, parameters: &str, value: &str) -> (String, String) {
    let name = format!("wgsl_{word}_{ty}");
    let text = format!("static {result} {name}({parameters}) {{\n    return {value};\n}}\n");
    (name, text)
}

/// `condition ? accept : reject`, by lanes for vectors.
fn choose(size: Option<VectorSize>, ty: &str, condition: &str, accept: &str, reject: &str) -> String {
    match size {
        Some(_) => format!("select({reject}, ({ty})({accept}), {condition})"),
        None => format!("{condition} ? {accept} : {reject}"),
    }
}

fn packed_dot(fun: MathFunction) -> (String, String) {
    let (name, result, lanes) = match fun {
        MathFunction::Dot4I8Packed => ("wgsl_dot4_i8_packed", "int", "char4"),
        _ => ("wgsl_dot4_u8_packed", "uint", "uchar4"),
    };
    let text = format!(
        "static {result} {name}(uint a, uint b) {{\n    const {result}4 products = convert_{result}4(as_{lanes}(a)) * \
         convert_{result}4(as_{lanes}(b));\n    return products.x + products.y + products.z + products.w;\n}}\n"
    );
    (name.to_owned(), text)
}

/// Packing by the definitions of the WGSL specification. `vload_half` and `vstore_half` need no extension.
fn packing(fun: MathFunction) -> (String, String) {
    let (name, signature, body) = match fun {
        MathFunction::Pack2x16float => (
            "pack2x16float",
            "uint NAME(float2 v)",
            "    uint packed;\n    vstore_half2_rte(v, 0, (half *)&packed);\n    return packed;\n",
        ),
        MathFunction::Unpack2x16float => (
            "unpack2x16float",
            "float2 NAME(uint packed)",
            "    return vload_half2(0, (const half *)&packed);\n",
        ),
        MathFunction::Pack2x16unorm => (
            "pack2x16unorm",
            "uint NAME(float2 v)",
            "    return as_uint(convert_ushort2(floor(0.5f + 65535.0f * clamp(v, 0.0f, 1.0f))));\n",
        ),
        MathFunction::Pack2x16snorm => (
            "pack2x16snorm",
            "uint NAME(float2 v)",
            "    return as_uint(convert_short2(floor(0.5f + 32767.0f * clamp(v, -1.0f, 1.0f))));\n",
        ),
        MathFunction::Unpack2x16unorm => (
            "unpack2x16unorm",
            "float2 NAME(uint packed)",
            "    return convert_float2(as_ushort2(packed)) / 65535.0f;\n",
        ),
        MathFunction::Unpack2x16snorm => (
            "unpack2x16snorm",
            "float2 NAME(uint packed)",
            "    return fmax(convert_float2(as_short2(packed)) / 32767.0f, -1.0f);\n",
        ),
        MathFunction::Pack4x8unorm => (
            "pack4x8unorm",
            "uint NAME(float4 v)",
            "    return as_uint(convert_uchar4(floor(0.5f + 255.0f * clamp(v, 0.0f, 1.0f))));\n",
        ),
        MathFunction::Pack4x8snorm => (
            "pack4x8snorm",
            "uint NAME(float4 v)",
            "    return as_uint(convert_char4(floor(0.5f + 127.0f * clamp(v, -1.0f, 1.0f))));\n",
        ),
        MathFunction::Unpack4x8unorm => (
            "unpack4x8unorm",
            "float4 NAME(uint packed)",
            "    return convert_float4(as_uchar4(packed)) / 255.0f;\n",
        ),
        _ => (
            "unpack4x8snorm",
            "float4 NAME(uint packed)",
            "    return fmax(convert_float4(as_char4(packed)) / 127.0f, -1.0f);\n",
        ),
    };
    let name = format!("wgsl_{name}");
    let text = format!("static {} {{\n{body}}}\n", signature.replace("NAME", &name));
    (name, text)
}

fn quantize(ty: &str, size: Option<VectorSize>) -> (String, String) {
    let name = format!("wgsl_quantize_to_f16_{ty}");
    let count = lanes(size);
    let suffix = size.map_or(String::new(), |size| (size as u8).to_string());
    let text = format!(
        "static {ty} {name}({ty} x) {{\n    ushort halves[{count}];\n    vstore_half{suffix}_rte(x, 0, (half *)halves);\n    \
         return vload_half{suffix}(0, (const half *)halves);\n}}\n"
    );
    (name, text)
}

fn unsupported(fun: MathFunction) -> &'static str {
    match fun {
        MathFunction::Modf | MathFunction::Frexp => "modf or frexp",
        MathFunction::Outer | MathFunction::Inverse | MathFunction::Transpose | MathFunction::Determinant => {
            "a function of matrices"
        }
        MathFunction::FaceForward | MathFunction::Refract => "faceForward or refract",
        _ => "a bit function of this width",
    }
}
