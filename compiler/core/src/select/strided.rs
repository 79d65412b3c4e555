//! Data movement between dense tensors of any rank: where each result axis walks in the source, brought to as few axes as
//! possible, and the kernel that walks them.

use super::{Chosen, Context, Declined, grid};
use crate::kernel::{Access, Constant, KernelCall, Slot};
use crate::physical::{AxisMap, LANES, Size};
use drift_ir::ValueId;

/// Axes that the kernel walks.
pub(super) const MOST_AXES: usize = 8;

/// Side of the tiled transposition's tile.
const TILE: u64 = 32;

/// How far apart neighbours along an axis are, and in which direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distance {
    pub size: Size,
    pub backwards: bool,
}

impl Distance {
    /// `step` times `size`.
    pub(super) fn of(step: i64, size: &Size) -> Self {
        let size = Size::Const(step.unsigned_abs()).times(size);
        Self { backwards: step < 0 && !size.is_always(0), size }
    }

    /// No distance: the axis repeats.
    pub(super) const NONE: Self = Self { size: Size::Const(0), backwards: false };

    fn is_one(&self) -> bool {
        self.size.is_always(1) && !self.backwards
    }

    fn times(&self, size: &Size) -> Self {
        Self { size: self.size.times(size), backwards: self.backwards }
    }

    fn in_vectors(&self) -> Self {
        Self { size: self.size.div_floor(LANES), backwards: self.backwards }
    }

    /// As `i32`; a free distance is walked forwards.
    fn constant(&self) -> Result<Constant, Declined> {
        match (self.backwards, self.size.as_known()) {
            (false, _) => Ok(Constant::signed_size(&self.size)),
            (true, Some(size)) => Ok(Constant::I32(0_i64.saturating_sub_unsigned(size))),
            (true, None) => {
                Err(self.size.to_known().map_or_else(Declined::from, |_| unreachable!("it is free")))
            }
        }
    }
}

/// How a result of some sizes walks through the elements of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// Source element of the first result.
    pub start: Size,
    /// Size and source distance of each result axis, outermost first.
    pub axes: Vec<(Size, Distance)>,
}

impl Walk {
    /// Drops axes of one place and joins neighbours that are contiguous.
    pub(super) fn merged(&self) -> Self {
        let mut axes: Vec<(Size, Distance)> = Vec::new();
        for (size, step) in self.axes.iter().filter(|(size, _)| !size.is_always(1)) {
            match axes.last_mut() {
                Some((outer, outer_step)) if *outer_step == step.times(size) => {
                    *outer = outer.times(size);
                    *outer_step = step.clone();
                }
                _ => axes.push((size.clone(), step.clone())),
            }
        }
        Self { start: self.start.clone(), axes }
    }

    /// The same walk in vectors of four, where every place of it is one.
    fn in_vectors(&self) -> Option<Self> {
        let ((size, step), outer) = self.axes.split_last()?;
        let aligned =
            self.start.is_multiple_of(LANES) && outer.iter().all(|(_, step)| step.size.is_multiple_of(LANES));
        if !step.is_one() || !size.is_multiple_of(LANES) || !aligned {
            return None;
        }
        let mut axes: Vec<(Size, Distance)> =
            outer.iter().map(|(size, step)| (size.clone(), step.in_vectors())).collect();
        axes.push((size.div_floor(LANES), step.clone()));
        Some(Self { start: self.start.div_floor(LANES), axes })
    }
}

/// Moves the elements of dense `x` to dense `y` along `walk`.
pub(super) fn select(
    context: &mut Context<'_>,
    x: ValueId,
    y: ValueId,
    walk: &Walk,
) -> Result<Chosen, Declined> {
    let (src, ..) = context.run("src", x)?;
    let elements: Size = context.sizes(y).iter().product();
    let axes = AxisMap { batch: 0..0, height: 0..0, width: 0..0, channels: 0..1 };
    let dst = context.dense("dst", Access::Write, y, vec![elements], axes)?;
    copy_along(context, src, dst, walk.clone())
}

/// Moves elements of the run `src` to the run `dst` along `walk`.
pub(super) fn copy_along(
    context: &Context<'_>,
    mut src: Slot,
    dst: Slot,
    walk: Walk,
) -> Result<Chosen, Declined> {
    let walk = walk.merged();
    if walk.axes.len() > MOST_AXES {
        let reason = format!("a move over {} axes that do not merge, above {MOST_AXES}", walk.axes.len());
        return Err(Declined::Unsupported(reason));
    }
    if let Some(tiled) = tiled(context, &walk, &src, &dst) {
        return Ok(tiled);
    }
    let (mode, counted) = match walk.in_vectors() {
        Some(vectors) if src.extents().channels.is_multiple_of(LANES) => (Mode::WholeVectors, vectors),
        _ if walk.axes.last().is_some_and(|(size, _)| size.is_multiple_of(LANES)) => (Mode::OneRow, walk),
        _ => (Mode::Elements, walk),
    };
    let why = match mode {
        Mode::WholeVectors => "whole vectors",
        Mode::OneRow => "four elements of a row at a time",
        Mode::Elements => "element by element: rows are no multiples of four",
    };
    if mode != Mode::WholeVectors {
        as_scalars(&mut src);
    }
    let (workgroup_size, workgroups) = context.linear(&dst.extents().slices());
    let call =
        KernelCall::plain("strided", constants(&counted, mode)?, vec![src, dst], workgroup_size, workgroups);
    Ok(Chosen { call, why: why.to_owned(), declined: Vec::new(), flops: 0 })
}

/// Shows a run of channels as pixels of one channel, so that it is bound as scalars.
fn as_scalars(src: &mut Slot) {
    src.shape.push(Size::ONE);
    src.layout.axes = AxisMap::channels_last(2);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    WholeVectors,
    OneRow,
    Elements,
}

fn constants(walk: &Walk, mode: Mode) -> Result<Vec<(&'static str, Constant)>, Declined> {
    const NAMES: [[&str; 3]; MOST_AXES] = [
        ["SIZE_0", "STEP_0", "INNER_0"],
        ["SIZE_1", "STEP_1", "INNER_1"],
        ["SIZE_2", "STEP_2", "INNER_2"],
        ["SIZE_3", "STEP_3", "INNER_3"],
        ["SIZE_4", "STEP_4", "INNER_4"],
        ["SIZE_5", "STEP_5", "INNER_5"],
        ["SIZE_6", "STEP_6", "INNER_6"],
        ["SIZE_7", "STEP_7", "INNER_7"],
    ];
    let last = walk.axes.last().map_or(Ok(Constant::I32(1)), |(_, step)| step.constant())?;
    let mut constants = vec![
        ("WHOLE_VECTORS", Constant::Bool(mode == Mode::WholeVectors)),
        ("ONE_ROW", Constant::Bool(mode == Mode::OneRow)),
        ("STEP_LAST", last),
        ("START", Constant::signed_size(&walk.start)),
    ];
    for (n, [size_name, step_name, inner_name]) in NAMES.into_iter().enumerate() {
        // An axis that is not there has one place; the outermost one is taken without a remainder.
        let (size, step) = walk.axes.get(n).cloned().unwrap_or((Size::ONE, Distance::NONE));
        let inner: Size = walk.axes.iter().skip(n + 1).map(|(size, _)| size).product();
        constants.push((size_name, Constant::count(size)));
        constants.push((step_name, step.constant()?));
        constants.push((inner_name, Constant::count(inner)));
    }
    Ok(constants)
}

/// The tiled transposition, where the source's rows are across the result's and both are long enough to fill tiles.
fn tiled(context: &Context<'_>, walk: &Walk, src: &Slot, dst: &Slot) -> Option<Chosen> {
    const OUTER: [[&str; 4]; 6] = [
        ["OUTER_SIZE_0", "OUTER_INNER_0", "SRC_OUTER_0", "DST_OUTER_0"],
        ["OUTER_SIZE_1", "OUTER_INNER_1", "SRC_OUTER_1", "DST_OUTER_1"],
        ["OUTER_SIZE_2", "OUTER_INNER_2", "SRC_OUTER_2", "DST_OUTER_2"],
        ["OUTER_SIZE_3", "OUTER_INNER_3", "SRC_OUTER_3", "DST_OUTER_3"],
        ["OUTER_SIZE_4", "OUTER_INNER_4", "SRC_OUTER_4", "DST_OUTER_4"],
        ["OUTER_SIZE_5", "OUTER_INNER_5", "SRC_OUTER_5", "DST_OUTER_5"],
    ];
    let column = walk.axes.len().checked_sub(1)?;
    let row = walk.axes.iter().position(|(_, step)| step.is_one()).filter(|&row| row != column)?;
    let ((rows, _), (columns, src_step)) = (&walk.axes[row], &walk.axes[column]);
    let forwards = walk.axes.iter().all(|(_, step)| !step.backwards);
    let fills = |size: &Size| size.max() >= TILE / 2;
    let aligned_columns = columns.is_multiple_of(LANES);
    if !forwards || src_step.size.is_always(0) || !aligned_columns || !fills(rows) || !fills(columns) {
        return None;
    }
    let dst_step = |axis: usize| walk.axes[axis + 1..].iter().map(|(size, _)| size).product::<Size>();
    let others: Vec<usize> = (0..column).filter(|&axis| axis != row).collect();
    if others.len() > OUTER.len() {
        return None;
    }
    let (tiles_row, tiles_column) = (rows.div_ceil(TILE), columns.div_ceil(TILE));
    let matrices: Size = others.iter().map(|&axis| &walk.axes[axis].0).product();
    let groups = tiles_row.times(&tiles_column).times(&matrices);
    let aligned =
        walk.axes.iter().enumerate().all(|(axis, (_, step))| axis == row || step.size.is_multiple_of(LANES));
    let vectors = rows.is_multiple_of(LANES)
        && aligned
        && walk.start.is_multiple_of(LANES)
        && src.extents().channels.is_multiple_of(LANES);
    let number = |size: &Size| Constant::count(size.clone());
    let why = format!("{rows} x {columns} through tiles of workgroup memory");
    let mut constants = vec![
        ("ROWS", number(rows)),
        ("COLUMNS", number(columns)),
        ("GROUPS", number(&groups)),
        ("TILES_ROW", number(&tiles_row)),
        ("TILES_COLUMN", number(&tiles_column)),
        ("START", number(&walk.start)),
        ("SRC_STEP_COLUMN", number(&src_step.size)),
        ("DST_STEP_ROW", number(&dst_step(row))),
        ("READ_VECTORS", Constant::Bool(vectors)),
    ];
    for (n, [size_name, inner_name, src_name, dst_name]) in OUTER.into_iter().enumerate() {
        let axis = others.get(n);
        let size = |&axis: &usize| &walk.axes[axis].0;
        let inner: Size = others.iter().skip(n + 1).map(size).product();
        let none = Size::Const(0);
        constants.push((size_name, number(axis.map_or(&Size::ONE, size))));
        constants.push((inner_name, number(&inner)));
        constants.push((src_name, number(axis.map_or(&none, |&axis| &walk.axes[axis].1.size))));
        constants.push((dst_name, number(&axis.map_or(none.clone(), |&axis| dst_step(axis)))));
    }
    let [x, y] = grid(&groups, u64::from(context.profile.grid_axis));
    let mut src = src.clone();
    if !vectors {
        as_scalars(&mut src);
    }
    let call = KernelCall::plain(
        "transpose_tiled",
        constants,
        vec![src, dst.clone()],
        [256, 1, 1],
        [x, y, Size::ONE],
    );
    Some(Chosen { call, why, declined: Vec::new(), flops: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: u64, axes: &[(u64, i64)]) -> Walk {
        let axes = axes.iter().map(|&(size, step)| (size.into(), Distance::of(step, &Size::ONE)));
        Walk { start: start.into(), axes: axes.collect() }
    }

    #[test]
    fn axes_that_walk_on_are_one() {
        // Heads split off a row: [2, 5, 3, 8] read as [2, 3, 5, 8].
        let split = walk(0, &[(2, 120), (3, 8), (5, 24), (8, 1)]);
        assert_eq!(split.merged(), split);
        // A pixel shuffle of [1, 2, 2, 4, 5] to [1, 4, 2, 5, 2] keeps all four axes.
        assert_eq!(walk(0, &[(1, 80), (4, 5), (2, 40), (5, 1), (2, 20)]).merged().axes.len(), 4);
        assert_eq!(walk(3, &[(2, 12), (3, 4), (1, 77), (4, 1)]).merged(), walk(3, &[(24, 1)]));
        // Repeated axes merge as well.
        assert_eq!(walk(0, &[(2, 0), (3, 0), (4, 1)]).merged(), walk(0, &[(6, 0), (4, 1)]));
    }

    #[test]
    fn vectors_need_every_place_to_be_one() {
        let rows = walk(8, &[(3, 16), (8, 1)]);
        assert_eq!(rows.in_vectors(), Some(walk(2, &[(3, 4), (2, 1)])));
        assert_eq!(walk(2, &[(3, 16), (8, 1)]).in_vectors(), None);
        assert_eq!(walk(0, &[(3, 6), (8, 1)]).in_vectors(), None);
        assert_eq!(walk(0, &[(3, 8), (6, 1)]).in_vectors(), None);
        assert_eq!(walk(0, &[(3, 1), (8, 4)]).in_vectors(), None);
    }
}
