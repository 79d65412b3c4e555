//! Operators that undo others: columns put back into images, maxima put back where they were found.

use super::window::{extents, positive_list};
use crate::budget::Resource;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::{Gather, Pad, PadMode, Reduce, ReduceKind, ScatterElements, Update};
use drift_ir::{Dim, Op, Tensor, ValueId};

/// Sizes that a constant operand gives.
fn sizes(cx: &NodeCx<'_, '_>, at: usize, name: &'static str) -> Result<Vec<u64>, NodeError> {
    let value = cx.operand(at)?;
    let given = cx.constant_ints(value, name)?;
    let sizes: Option<Vec<u64>> = given.iter().map(|&size| u64::try_from(size).ok()).collect();
    sizes.ok_or_else(|| NodeError::Value { name, value: format!("{given:?}"), expected: "sizes".to_owned() })
}

/// `pads`, begins, then ends; zeros where they are absent.
fn pads(cx: &mut NodeCx<'_, '_>, spatial: usize) -> Result<Vec<u64>, NodeError> {
    let Some(given) = cx.attributes.ints("pads")? else { return Ok(vec![0; 2 * spatial]) };
    let pads: Vec<u64> = given.iter().filter_map(|&pad| u64::try_from(pad).ok()).collect();
    if given.len() != 2 * spatial || pads.len() != 2 * spatial {
        let expected = format!("{} numbers that are not negative", 2 * spatial);
        return Err(NodeError::Value { name: "pads", value: format!("{given:?}"), expected });
    }
    Ok(pads)
}

/// Col2Im, since 18: columns `[n, c * block, blocks]` summed where they overlap in images of a constant size. Each pixel gathers the
/// elements that it sums, so that the order is fixed and an infinity stays with its pixel.
pub(super) fn col2im(cx: &mut NodeCx<'_, '_>) -> Results {
    let x = cx.operand(0)?;
    let (image, block) = (sizes(cx, 1, "image_shape")?, sizes(cx, 2, "block_shape")?);
    let spatial = image.len();
    let strides = positive_list(cx, "strides", spatial)?;
    let dilations = positive_list(cx, "dilations", spatial)?;
    let pads = pads(cx, spatial)?;
    if block.len() != spatial || block.contains(&0) {
        let expected = format!("{spatial} positive sizes, as `image_shape` has");
        return Err(NodeError::Value { name: "block_shape", value: format!("{block:?}"), expected });
    }
    let extents = extents(&block, &dilations)?;
    // How many blocks lie along each axis.
    let count = |axis: usize| {
        let padded = image[axis].checked_add(pads[axis])?.checked_add(pads[spatial + axis])?;
        Some(padded.checked_sub(extents[axis])? / strides[axis] + 1)
    };
    let counts: Option<Vec<u64>> = (0..spatial).map(count).collect();
    let counts = counts.ok_or_else(|| NodeError::Operands("a block is larger than the image".to_owned()))?;
    let total = |sizes: &[u64]| {
        let product = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        product
            .filter(|&product| product <= i32::MAX as u64)
            .ok_or_else(|| NodeError::Unsupported("more than 2^31 elements are not supported".to_owned()))
    };
    let (block_size, blocks, pixels) = (total(&block)?, total(&counts)?, total(&image)?);
    let shape = cx.shape(x);
    let channels = match shape.get(1) {
        Some(Dim::Const(rows)) if rows % block_size == 0 => rows / block_size,
        _ => 0,
    };
    if shape.len() != 3 || channels == 0 || shape[2] != Dim::Const(blocks) {
        let reason = format!("the columns are not [n, c * {block_size}, {blocks}], which the sizes ask for");
        return Err(NodeError::Operands(reason));
    }
    let form = Columns {
        image: &image,
        block: &block,
        counts: &counts,
        strides: &strides,
        dilations: &dilations,
        pads: &pads,
    };
    cx.take(Resource::ConstantBytes, block_size.saturating_mul(pixels).saturating_mul(8))?;
    let none = block_size * blocks;
    let places: Vec<i64> = (0..block_size)
        .flat_map(|element| (0..pixels).map(move |pixel| (element, pixel)))
        .map(|(element, pixel)| match form.block_of(element, pixel) {
            Some(of) => (element * blocks + of) as i64,
            None => none as i64,
        })
        .collect();
    let places = cx.constant_i64(&[block_size, pixels], &places)?;
    let element = cx.element(x);
    let x = cx.widened(x)?;
    let all = cx.product(&[shape[0].clone(), Dim::Const(channels)])?;
    let x = cx.reshape(x, vec![all, Dim::Const(none)])?;
    let x = cx.emit(Op::Pad(Pad { mode: PadMode::Constant(0.0), pads: vec![0, 0, 0, 1] }), &[x])?;
    let parts = cx.emit(Op::Gather(Gather { axis: 1 }), &[x, places])?;
    let sum = Reduce { kind: ReduceKind::Sum, axes: vec![1], keep_dims: false };
    let y = cx.emit(Op::Reduce(sum), &[parts])?;
    let y = cx.cast(y, element)?;
    let mut result = vec![shape[0].clone(), Dim::Const(channels)];
    result.extend(image.iter().map(|&size| Dim::Const(size)));
    Ok(vec![cx.reshape(y, result)?])
}

/// Where columns lie in an image.
struct Columns<'a> {
    image: &'a [u64],
    block: &'a [u64],
    counts: &'a [u64],
    strides: &'a [u64],
    dilations: &'a [u64],
    pads: &'a [u64],
}

impl Columns<'_> {
    /// The block whose element number `element` lies on a pixel.
    fn block_of(&self, mut element: u64, mut pixel: u64) -> Option<u64> {
        let (mut block, mut inner) = (0, 1);
        for axis in (0..self.image.len()).rev() {
            let (at, place) = (element % self.block[axis], pixel % self.image[axis]);
            (element, pixel) = (element / self.block[axis], pixel / self.image[axis]);
            let start = (place + self.pads[axis]).checked_sub(at * self.dilations[axis])?;
            let number = start / self.strides[axis];
            if start % self.strides[axis] != 0 || number >= self.counts[axis] {
                return None;
            }
            block += number * inner;
            inner *= self.counts[axis];
        }
        Some(block)
    }
}

/// MaxUnpool, since 9: each number at its place among zeros, of places that are equal the last. Places count over the whole image that the
/// window gives; a constant `output_shape` adds zeros behind it. Refused: free sizes.
pub(super) fn max_unpool(cx: &mut NodeCx<'_, '_>) -> Results {
    let (x, places) = (cx.operand(0)?, cx.operand(1)?);
    let shape: Option<Vec<u64>> = cx.shape(x).iter().map(Dim::as_const).collect();
    let shape = shape
        .ok_or_else(|| NodeError::Unsupported("the input has a free size; fix it with --dim".to_owned()))?;
    if shape.len() < 3 || cx.shape(places) != cx.shape(x) {
        let reason = "expected a rank of 3 at least, and a place for each number";
        return Err(NodeError::Operands(reason.to_owned()));
    }
    let spatial = shape.len() - 2;
    if cx.attributes.ints("kernel_shape")?.is_none() {
        return Err(NodeError::MissingAttribute("kernel_shape"));
    }
    let kernel = positive_list(cx, "kernel_shape", spatial)?;
    let strides = positive_list(cx, "strides", spatial)?;
    let pads = pads(cx, spatial)?;
    let mut unpooled = shape[..2].to_vec();
    for axis in 0..spatial {
        let reach =
            shape[axis + 2].saturating_sub(1).saturating_mul(strides[axis]).saturating_add(kernel[axis]);
        let size = reach.checked_sub(pads[axis]).and_then(|size| size.checked_sub(pads[spatial + axis]));
        unpooled.push(size.ok_or_else(|| NodeError::Value {
            name: "pads",
            value: format!("{pads:?}"),
            expected: "less than the image".to_owned(),
        })?);
    }
    let given = if cx.optional(2).is_some() { Some(sizes(cx, 2, "output_shape")?) } else { None };
    let zeros = zeros(cx, x, &unpooled)?;
    let count: u64 = shape.iter().product();
    let (flat, flat_places) =
        (cx.reshape(x, vec![Dim::Const(count)])?, cx.reshape(places, vec![Dim::Const(count)])?);
    let op = ScatterElements { axis: 0, update: Update::Replace };
    let y = cx.emit(Op::ScatterElements(op), &[zeros, flat_places, flat])?;
    let y = cx.reshape(y, unpooled.iter().map(|&size| Dim::Const(size)).collect())?;
    let Some(wanted) = given.filter(|wanted| *wanted != unpooled) else { return Ok(vec![y]) };
    let more: Option<Vec<u64>> =
        wanted.iter().zip(&unpooled).map(|(wanted, size)| wanted.checked_sub(*size)).collect();
    let Some(more) = more.filter(|more| more.len() == unpooled.len() && wanted.len() == unpooled.len())
    else {
        let expected = format!("at least {unpooled:?}, which the window gives");
        return Err(NodeError::Value { name: "output_shape", value: format!("{wanted:?}"), expected });
    };
    let pads = [vec![0; more.len()], more].concat();
    Ok(vec![cx.emit(Op::Pad(Pad { mode: PadMode::Constant(0.0), pads }), &[y])?])
}

/// As many zeros as a shape has elements, flat.
fn zeros(cx: &mut NodeCx<'_, '_>, like: ValueId, shape: &[u64]) -> Result<ValueId, NodeError> {
    let shape: Vec<Dim> = shape.iter().map(|&size| Dim::Const(size)).collect();
    let all = cx.product(&shape)?;
    let zero = cx.constant(Tensor::from_f64_as(cx.element(like), [], &[0.0])?)?;
    cx.expand(zero, vec![all])
}
