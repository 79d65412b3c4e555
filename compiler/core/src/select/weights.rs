//! Slots of weights, in the form that the profile prefers for the role that they play.

use super::{Context, Declined};
use crate::kernel::Slot;
use crate::physical::size::sizes;
use crate::physical::weights::{Filters, Lanes, PackedRows, WeightsForm, WeightsLayout, WeightsStorage};
use crate::physical::{AxisMap, Element, LANES, Layout, StorageType};
use crate::profile::Profile;
use drift_ir::ValueId;

/// Weights for a kernel that goes over blocks of four outputs and four inputs, or over the filters of single channels.
pub(super) fn blocks(
    context: &mut Context<'_>,
    value: ValueId,
    filters: Filters,
    form: WeightsForm,
) -> Result<Slot, Declined> {
    let layout = fitting(context, value, filters, form)?;
    let shape = match layout.filters().is_depthwise() {
        true => vec![layout.filters().taps(), layout.filters().outputs()],
        false => vec![layout.parts() * layout.part_bytes() / layout.vector_bytes(), LANES],
    };
    slot(context, "weights", value, layout, shape)
}

/// Weights as the rhs of a product: rows of outputs, or of inputs where those are the lanes of a vector.
pub(super) fn right_side(
    context: &mut Context<'_>,
    value: ValueId,
    filters: Filters,
    form: WeightsForm,
) -> Result<Slot, Declined> {
    let layout = fitting(context, value, filters, form)?;
    let (rows, outputs) = (layout.filters().rows(), layout.filters().outputs());
    let shape = match layout.lanes() {
        Lanes::Outputs => vec![rows, outputs.next_multiple_of(LANES)],
        Lanes::Inputs => vec![outputs, rows.next_multiple_of(LANES)],
    };
    slot(context, "b", value, layout, shape)
}

/// Whether the rows of weights as a rhs are outputs.
pub(super) fn is_transposed(slot: &Slot) -> bool {
    slot.rows.is_some() || slot.weights.as_ref().is_some_and(|weights| weights.lanes() == Lanes::Inputs)
}

/// A quantized matrix as it is, if kernels can read it so and its rows are the outputs of a product with it, which
/// `transposed` says of the rows of the tensor.
pub(super) fn quantized(
    context: &mut Context<'_>,
    name: &str,
    value: ValueId,
    transposed: bool,
) -> Result<Option<Slot>, Declined> {
    let Some(tensor) = context.constant_tensor(value).filter(|tensor| tensor.rank() == 2) else {
        return Ok(None);
    };
    let Some(blocks) = tensor.blocks().filter(|_| tensor.is_turned() != transposed) else { return Ok(None) };
    let [rows, columns] = blocks.shape();
    let element = context.element(value)?;
    let Ok(packed) = PackedRows::blocks(blocks, element) else { return Ok(None) };
    let stored = Layout::row_major(Element::U32, 2);
    let slot = context.packed_slot(name, value, || packed.packing(), stored)?;
    let layout = Layout { element, ..slot.layout.clone() };
    let shape = sizes(&[rows, columns.next_multiple_of(LANES)]);
    Ok(Some(Slot { shape, layout, rows: Some(packed), ..slot }))
}

fn slot(
    context: &mut Context<'_>,
    name: &str,
    value: ValueId,
    weights: WeightsLayout,
    shape: Vec<u64>,
) -> Result<Slot, Declined> {
    let dense = Layout::row_major(context.element(value)?, 2);
    let packed = context.packed_slot(name, value, || weights.packing(), dense)?;
    let storage_type = weights.storage_type();
    let layout = Layout { storage_type, axes: AxisMap::channels_last(2), ..packed.layout.clone() };
    let part_bytes = packed.part_bytes.filter(|_| storage_type == StorageType::Buffer);
    Ok(Slot { shape: sizes(&shape), layout, part_bytes, weights: Some(weights), ..packed })
}

/// `filters` in `form`, or in a buffer where they do not fit its storage type.
fn fitting(
    context: &Context<'_>,
    value: ValueId,
    filters: Filters,
    form: WeightsForm,
) -> Result<WeightsLayout, Declined> {
    let element = context.element(value)?;
    let layout = WeightsLayout::new(filters.clone(), form, element);
    Ok(match too_large(&layout, context.profile) {
        None => match widened(context, value, element) {
            None => layout,
            Some(reason) => layout.instead(reason),
        },
        Some(reason) => {
            let form = WeightsForm { storage: WeightsStorage::Buffer, ..form };
            WeightsLayout::new(filters, form, element).instead(reason)
        }
    })
}

/// Why quantized weights are floats here, if they are quantized.
fn widened(context: &Context<'_>, value: ValueId, element: Element) -> Option<String> {
    let blocks = context.constant_tensor(value)?.blocks()?;
    let reason = PackedRows::blocks(blocks, element).err();
    let reason =
        reason.unwrap_or_else(|| "the kernel reads no rows of inputs, or blocks are no such rows".to_owned());
    Some(format!("quantized weights widened: {reason}"))
}

/// Why the profile's devices have no resource that is large enough.
fn too_large(layout: &WeightsLayout, profile: &Profile) -> Option<String> {
    let [width, height] = layout.extent_px();
    let limit = match layout.form().storage {
        WeightsStorage::Buffer => return None,
        WeightsStorage::ImageBuffer => profile.image_buffer_texels,
        WeightsStorage::Texture2d | WeightsStorage::FourTextures => profile.texture_2d_px,
    };
    let what = match layout.form().storage {
        WeightsStorage::ImageBuffer => format!("{width} texels"),
        _ => format!("{width}x{height} px"),
    };
    (width.max(height) > limit).then(|| {
        let name = layout.storage_type().name();
        format!("weights in a buffer: {what} of a {name} are above {limit}")
    })
}
