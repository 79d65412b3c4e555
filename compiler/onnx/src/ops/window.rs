//! What operators with a sliding window have in common: sizes, strides, dilations and padding.

use crate::error::NodeError;
use crate::node::NodeCx;
use drift_ir::Dim;

/// The kernel's size, which the weight has and the attribute repeats.
pub(super) fn kernel_shape(cx: &mut NodeCx<'_, '_>, weight: &[Dim]) -> Result<Vec<u64>, NodeError> {
    let size = |dim: &Dim| match dim {
        Dim::Const(size) => Ok(*size),
        Dim::Expr(_) => {
            Err(NodeError::Unsupported("the kernel's size is not known at compile time".to_owned()))
        }
    };
    let kernel = weight.iter().map(size).collect::<Result<Vec<u64>, _>>()?;
    match cx.attributes.ints("kernel_shape")? {
        Some(given)
            if !given.iter().map(|&size| u64::try_from(size).ok()).eq(kernel.iter().copied().map(Some)) =>
        {
            let expected = format!("the weight's {kernel:?}");
            Err(NodeError::Value { name: "kernel_shape", value: format!("{given:?}"), expected })
        }
        _ => Ok(kernel),
    }
}

/// `group`, one where it is absent.
pub(super) fn groups(cx: &mut NodeCx<'_, '_>) -> Result<u64, NodeError> {
    let groups = cx.attributes.int("group")?.unwrap_or(1);
    u64::try_from(groups).ok().filter(|&groups| groups > 0).ok_or_else(|| NodeError::Value {
        name: "group",
        value: groups.to_string(),
        expected: "a positive number".to_owned(),
    })
}

/// A list with one positive number per spatial axis; ones where it is absent.
pub(super) fn positive_list(
    cx: &mut NodeCx<'_, '_>,
    name: &'static str,
    spatial: usize,
) -> Result<Vec<u64>, NodeError> {
    let Some(given) = cx.attributes.ints(name)? else { return Ok(vec![1; spatial]) };
    let positive = given.iter().filter_map(|&size| u64::try_from(size).ok().filter(|&size| size > 0));
    let list: Vec<u64> = positive.collect();
    if given.len() != spatial || list.len() != spatial {
        let expected = format!("{spatial} positive numbers");
        return Err(NodeError::Value { name, value: format!("{given:?}"), expected });
    }
    Ok(list)
}

/// Elements that a kernel spans on each axis.
pub(super) fn extents(kernel: &[u64], dilations: &[u64]) -> Result<Vec<u64>, NodeError> {
    let extent =
        |(&size, &dilation): (&u64, &u64)| size.saturating_sub(1).checked_mul(dilation)?.checked_add(1);
    let extents: Option<Vec<u64>> = kernel.iter().zip(dilations).map(extent).collect();
    extents.ok_or_else(|| NodeError::Value {
        name: "dilations",
        value: format!("{dilations:?}"),
        expected: "a kernel that spans less than 2^64 elements".to_owned(),
    })
}

/// What a node says about padding.
pub(super) enum Padding {
    /// Begins, then ends.
    Explicit {
        pads: Vec<u64>,
        /// By `auto_pad` VALID, so none.
        valid: bool,
    },
    /// As much as makes the result's size that of the operand by the stride.
    Same { more_at_end: bool },
}

/// `pads` or `auto_pad`.
pub(super) fn padding(cx: &mut NodeCx<'_, '_>, spatial: usize) -> Result<Padding, NodeError> {
    let given = cx.attributes.ints("pads")?;
    match cx.attributes.text("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" => Ok(Padding::Explicit { pads: explicit_pads(given, spatial)?, valid: false }),
        "VALID" => Ok(Padding::Explicit { pads: vec![0; 2 * spatial], valid: true }),
        "SAME_UPPER" => Ok(Padding::Same { more_at_end: true }),
        "SAME_LOWER" => Ok(Padding::Same { more_at_end: false }),
        other => {
            let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER".to_owned();
            Err(NodeError::Value { name: "auto_pad", value: other.to_owned(), expected })
        }
    }
}

impl Padding {
    /// Begins and ends for a window over axes of these sizes.
    pub(super) fn resolve(
        self,
        sizes: &[Dim],
        extents: &[u64],
        strides: &[u64],
    ) -> Result<Vec<u64>, NodeError> {
        let more_at_end = match self {
            Self::Explicit { pads, .. } => return Ok(pads),
            Self::Same { more_at_end } => more_at_end,
        };
        let totals = sizes.iter().zip(extents).zip(strides);
        let totals = totals.map(|((size, &extent), &stride)| same_padding(size, extent, stride));
        Ok(distribute(&totals.collect::<Result<Vec<u64>, _>>()?, more_at_end))
    }
}

/// Halves each total; the odd one goes to one side.
pub(super) fn distribute(totals: &[u64], more_at_end: bool) -> Vec<u64> {
    let begin = |&total: &u64| if more_at_end { total / 2 } else { total - total / 2 };
    let ends = totals.iter().map(|total| total - begin(total));
    totals.iter().map(begin).chain(ends).collect()
}

fn explicit_pads(given: Option<&[i64]>, spatial: usize) -> Result<Vec<u64>, NodeError> {
    let Some(given) = given else { return Ok(vec![0; 2 * spatial]) };
    if given.len() == 2 * spatial && given.iter().any(|&pad| pad < 0) {
        return Err(NodeError::Unsupported(format!(
            "negative `pads` {given:?} are not supported; slice the input"
        )));
    }
    let pads: Vec<u64> = given.iter().filter_map(|&pad| u64::try_from(pad).ok()).collect();
    if pads.len() != 2 * spatial {
        let expected = format!("{} numbers", 2 * spatial);
        return Err(NodeError::Value { name: "pads", value: format!("{given:?}"), expected });
    }
    Ok(pads)
}

/// Zeros that make the result's size `ceil(size / stride)`. With a stride of one they do not depend on the size.
fn same_padding(size: &Dim, extent: u64, stride: u64) -> Result<u64, NodeError> {
    let size = match size {
        Dim::Const(size) => *size,
        Dim::Expr(_) if stride == 1 => return Ok(extent - 1),
        Dim::Expr(_) => {
            let reason = "`auto_pad` with a stride needs known image sizes; fix them with --dim";
            return Err(NodeError::Unsupported(reason.to_owned()));
        }
    };
    let covered = size.div_ceil(stride).saturating_sub(1).saturating_mul(stride).saturating_add(extent);
    Ok(covered.saturating_sub(size))
}
