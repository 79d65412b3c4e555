//! Row-major index arithmetic shared by evaluation: strides, broadcasting and strided copies.
//!
//! Callers have checked that every shape is addressable and that offsets stay inside the source.

/// Distance in elements between neighbours along each axis.
pub(crate) fn strides(shape: &[u64]) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut step = 1usize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(size as usize);
    }
    strides
}

/// Strides with which `from` is read under the shape `to`: zero along axes that repeat. `None` if it does not broadcast.
pub(crate) fn broadcast_strides(from: &[u64], to: &[u64]) -> Option<Vec<isize>> {
    let lead = to.len().checked_sub(from.len())?;
    let own = strides(from);
    let mut result = vec![0isize; to.len()];
    for (axis, (&size, &stride)) in from.iter().zip(&own).enumerate() {
        let wanted = to[lead + axis];
        if size == wanted && size != 1 {
            result[lead + axis] = stride as isize;
        } else if size != 1 {
            return None;
        }
    }
    Some(result)
}

/// For each element of `to` in order, the element of `from` that it reads.
pub(crate) fn broadcast_positions(from: &[u64], to: &[u64]) -> Option<Vec<usize>> {
    let strides = broadcast_strides(from, to)?;
    let mut positions = Vec::new();
    for_each_row(to, &strides, 0, |offset, count, step| {
        positions.extend((0..count).map(|index| offset.wrapping_add_signed(index as isize * step)));
    });
    Some(positions)
}

/// Calls `row(offset, count, step)` for each innermost row of `shape`, in order.
pub(crate) fn for_each_row(
    shape: &[u64],
    strides: &[isize],
    start: usize,
    mut row: impl FnMut(usize, usize, isize),
) {
    if shape.contains(&0) {
        return;
    }
    let Some((&inner, outer)) = shape.split_last() else {
        row(start, 1, 1);
        return;
    };
    let inner_stride = strides[outer.len()];
    let mut index = vec![0u64; outer.len()];
    let mut offset = start;
    loop {
        row(offset, inner as usize, inner_stride);
        let mut axis = outer.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            offset = offset.wrapping_add_signed(strides[axis]);
            if index[axis] < outer[axis] {
                break;
            }
            offset = offset.wrapping_add_signed(-(strides[axis] * outer[axis] as isize));
            index[axis] = 0;
        }
    }
}

/// Copies `shape` elements of `size` bytes out of `source`, which is read from element `start` with `strides`.
pub(crate) fn strided_copy(
    source: &[u8],
    size: usize,
    shape: &[u64],
    strides: &[isize],
    start: usize,
) -> Vec<u8> {
    let count: usize = shape.iter().map(|&axis| axis as usize).product();
    let mut out = Vec::with_capacity(count * size);
    for_each_row(shape, strides, start, |offset, count, step| {
        if step == 1 {
            out.extend_from_slice(&source[offset * size..(offset + count) * size]);
            return;
        }
        match size {
            1 => copy_row::<1>(source, &mut out, offset, count, step),
            2 => copy_row::<2>(source, &mut out, offset, count, step),
            4 => copy_row::<4>(source, &mut out, offset, count, step),
            _ => copy_row::<8>(source, &mut out, offset, count, step),
        }
    });
    out
}

fn copy_row<const SIZE: usize>(source: &[u8], out: &mut Vec<u8>, offset: usize, count: usize, step: isize) {
    let (elements, _) = source.as_chunks::<SIZE>();
    let mut at = offset;
    for _ in 0..count {
        out.extend_from_slice(&elements[at]);
        at = at.wrapping_add_signed(step);
    }
}

/// Elements of `source` (shape `from`) repeated to the shape `to`.
pub(crate) fn broadcast_copy<T: Copy>(source: &[T], from: &[u64], to: &[u64]) -> Option<Vec<T>> {
    let strides = broadcast_strides(from, to)?;
    let mut out = Vec::new();
    for_each_row(to, &strides, 0, |offset, count, step| {
        if step == 1 {
            out.extend_from_slice(&source[offset..offset + count]);
        } else {
            out.extend(std::iter::repeat_n(source[offset], count));
        }
    });
    Some(out)
}
