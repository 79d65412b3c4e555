//! Images: texels by integer coordinates, never filtered.

use naga::{
    Expression, Handle, ImageClass, ImageDimension, ImageQuery, Literal, Scalar, ScalarKind, TypeInner,
    VectorSize,
};

use super::Error;
use super::function::FunctionWriter;
use super::text::Text;

#[derive(Clone, Copy, Debug)]
struct Image {
    dim: ImageDimension,
    arrayed: bool,
    /// `f`, `i` or `ui`: the ending of the access functions.
    suffix: &'static str,
}

impl FunctionWriter<'_, '_> {
    fn image(&self, handle: Handle<Expression>) -> Result<Image, Error> {
        let TypeInner::Image { dim, arrayed, class } = *self.type_of(handle) else {
            unreachable!("validated: texture functions take textures")
        };
        let kind = match class {
            ImageClass::Sampled { kind, .. } => kind,
            ImageClass::Storage { format, .. } => Scalar::from(format).kind,
            ImageClass::Depth { .. } | ImageClass::External => {
                return Err(Error::Unsupported { construct: "a depth or external texture" });
            }
        };
        let suffix = match kind {
            ScalarKind::Sint => "i",
            ScalarKind::Uint => "ui",
            ScalarKind::Float | ScalarKind::Bool | ScalarKind::AbstractInt | ScalarKind::AbstractFloat => "f",
        };
        Ok(Image { dim, arrayed, suffix })
    }

    /// `textureLoad`. Reads outside the image give zeros, and only image buffers have no sampler that says so.
    pub(super) fn image_load(
        &mut self,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        array_index: Option<Handle<Expression>>,
        level: Option<Handle<Expression>>,
    ) -> Result<Text, Error> {
        if let Some(level) = level {
            let base = matches!(
                self.function.expressions[level],
                Expression::Literal(Literal::I32(0) | Literal::U32(0)) | Expression::ZeroValue(_)
            );
            if !base {
                return Err(Error::Unsupported { construct: "a mip level other than the literal 0" });
            }
        }
        let shape = self.image(image)?;
        let name = self.value(image)?;
        let function = format!("read_image{}", shape.suffix);
        if shape.dim == ImageDimension::D1 {
            let at = self.texel(image, coordinate)?;
            return Ok(Text::call(&function, &[name, at]));
        }
        let at = self.coordinates(shape, coordinate, array_index)?;
        let out = &mut self.out;
        let sampler = out.sampler.get_or_insert_with(|| "texel_sampler".to_owned()).clone();
        Ok(Text::call(&function, &[name, Text::primary(sampler), at]))
    }

    pub(super) fn image_store(
        &mut self,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        array_index: Option<Handle<Expression>>,
        value: Handle<Expression>,
    ) -> Result<(), Error> {
        let shape = self.image(image)?;
        if shape.dim == ImageDimension::D3 {
            self.out.extensions.insert("cl_khr_3d_image_writes");
        }
        let name = self.value(image)?;
        let at = match shape.dim {
            ImageDimension::D1 => self.texel(image, coordinate)?,
            _ => self.coordinates(shape, coordinate, array_index)?,
        };
        let value = self.value(value)?;
        self.line(&format!(
            "{};",
            Text::call(&format!("write_image{}", shape.suffix), &[name, at, value]).code
        ));
        Ok(())
    }

    /// `(int)(first + x)`: the texel of an image buffer whose range begins at `first`.
    fn texel(&mut self, image: Handle<Expression>, coordinate: Handle<Expression>) -> Result<Text, Error> {
        let at = self.value(coordinate)?;
        let first = match self.function.expressions[image] {
            Expression::GlobalVariable(global) => self.globals[global.index()].as_ref(),
            _ => None,
        };
        let Some(first) = first.and_then(|global| global.first_texel.clone()) else {
            return Err(Error::Unsupported { construct: "an image buffer that is no bound variable" });
        };
        Ok(Text::unary(format!("(int)({first} + {})", at.operand())))
    }

    /// `(int2)(x, y)`; layers and unused lanes follow the coordinates.
    fn coordinates(
        &mut self,
        image: Image,
        coordinate: Handle<Expression>,
        array_index: Option<Handle<Expression>>,
    ) -> Result<Text, Error> {
        let mut parts = Vec::new();
        match self.function.expressions[coordinate] {
            // The lanes of a vector that is made for this access need no vector of their own.
            Expression::Compose { ref components, .. } if self.written[coordinate.index()].is_none() => {
                for &component in components {
                    parts.push(self.signed(component)?);
                }
            }
            _ => parts.push(self.signed(coordinate)?),
        }
        if let Some(layer) = array_index {
            parts.push(self.signed(layer)?);
        }
        let lanes = match (image.dim, image.arrayed) {
            (ImageDimension::D1, _) => return Ok(parts.swap_remove(0)),
            (ImageDimension::D2, false) => 2,
            (ImageDimension::D2, true) | (ImageDimension::D3 | ImageDimension::Cube, _) => {
                parts.push(Text::primary("0"));
                4
            }
        };
        if let [whole] = parts.as_slice() {
            return Ok(whole.clone());
        }
        let parts: Vec<_> = parts.into_iter().map(|part| part.code).collect();
        Ok(Text::unary(format!("(int{lanes})({})", parts.join(", "))))
    }

    /// Coordinates are `int` in OpenCL C. A scalar converts by itself, a vector does not.
    fn signed(&mut self, handle: Handle<Expression>) -> Result<Text, Error> {
        let value = self.value(handle)?;
        Ok(match self.size_of(handle) {
            Some(size) if self.scalar_of(handle).kind == ScalarKind::Uint => {
                Text::call(&format!("as_int{}", size as u8), &[value])
            }
            _ => value,
        })
    }

    pub(super) fn image_query(
        &mut self,
        image: Handle<Expression>,
        query: ImageQuery,
    ) -> Result<Text, Error> {
        let shape = self.image(image)?;
        let name = self.value(image)?;
        let unsigned = |value: Text| Text::unary(format!("(uint){}", value.operand()));
        match query {
            ImageQuery::Size { .. } => Ok(match shape.dim {
                ImageDimension::D1 => unsigned(Text::call("get_image_width", &[name])),
                ImageDimension::D2 => {
                    let ty = self.c_type(Some(VectorSize::Bi), Scalar::U32)?;
                    Text::call(&format!("as_{ty}"), &[Text::call("get_image_dim", &[name])])
                }
                ImageDimension::D3 | ImageDimension::Cube => {
                    let size = Text::call("get_image_dim", &[name]).postfix(".xyz");
                    Text::call("as_uint3", &[size])
                }
            }),
            ImageQuery::NumLayers => Ok(unsigned(Text::call("get_image_array_size", &[name]))),
            ImageQuery::NumLevels => Ok(Text::primary("1u")),
            ImageQuery::NumSamples => Err(Error::Unsupported { construct: "a multisampled texture" }),
        }
    }
}
