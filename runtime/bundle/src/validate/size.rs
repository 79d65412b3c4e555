//! Rules of sizes that the host says: what follows from them fits in 32 bits and in what was planned for, whatever they are.

use super::{count, indexed, name, shown};
use crate::error::Flaw;
use crate::limits;
use crate::manifest::{Bounds, Dispatch, Entry, FreeDim, IoTensor, SizeExpression, SizeFlaw, Word};

/// What is known of the sizes of an entry.
pub(super) struct Sizes(Vec<Known>);

/// A size that follows from the dims.
struct Known {
    /// Its value where all dims have their largest sizes.
    largest: u64,
    /// Bound of its values.
    most: u64,
}

impl Sizes {
    /// Checks the dims and sizes of an entry.
    pub(super) fn of(entry: &Entry) -> Result<Self, Flaw> {
        count("dims", entry.dims.len(), limits::DIMS)?;
        count("sizes", entry.sizes.len(), limits::SIZES)?;
        entry.dims.iter().try_for_each(dim)?;
        if !entry.dims.is_sorted_by(|a, b| a.name < b.name) {
            return Err(Flaw::Order { what: "names of the dims" });
        }
        let bounds: Vec<Bounds> = entry.dims.iter().map(|dim| (dim.least(), dim.most())).collect();
        let largest: Vec<u64> = entry.dims.iter().map(FreeDim::most).collect();
        let known = |(index, size): (usize, &SizeExpression)| {
            count("terms of a size", size.0.len(), limits::TERMS)?;
            known(size, &bounds, &largest).map_err(|flaw| Flaw::Size { index, flaw })
        };
        entry.sizes.iter().enumerate().map(known).collect::<Result<_, _>>().map(Self)
    }

    /// Checks the free axes of an input or output.
    pub(super) fn axes(&self, tensor: &IoTensor) -> Result<(), Flaw> {
        if !tensor.free.is_sorted_by(|a, b| a.axis < b.axis) {
            return Err(Flaw::Order { what: "free axes" });
        }
        for free in &tensor.free {
            let stated = *indexed("axis", &tensor.shape, free.axis)?;
            let what = || format!("axis {} of `{}`", free.axis, shown(&tensor.name));
            self.is_at_most(free.size, stated, what)?;
        }
        Ok(())
    }

    /// Checks the grid of a dispatch.
    pub(super) fn grid(&self, dispatch: &Dispatch) -> Result<(), Flaw> {
        for (axis, size) in dispatch.free_workgroups.iter().enumerate() {
            if let Some(size) = *size {
                let what = || format!("workgroup count {axis}");
                self.is_at_most(size, dispatch.workgroups[axis].into(), what)?;
            }
        }
        Ok(())
    }

    /// Checks words of parameters.
    pub(super) fn words(&self, words: &[Word]) -> Result<(), Flaw> {
        words.iter().try_for_each(|word| match *word {
            Word::Const(_) => Ok(()),
            Word::Size(size) => indexed("size", &self.0, size).map(drop),
        })
    }

    /// A size is what is stated at the largest dims, and never more.
    fn is_at_most(&self, index: u32, stated: u64, what: impl Fn() -> String) -> Result<(), Flaw> {
        let Known { largest, most } = *indexed("size", &self.0, index)?;
        if (largest, most) == (stated, stated) {
            return Ok(());
        }
        Err(Flaw::Maximum { what: what(), stated, index, largest, most })
    }
}

fn dim(dim: &FreeDim) -> Result<(), Flaw> {
    name("name of a dim", &dim.name)?;
    let FreeDim { low, high, step, .. } = *dim;
    if step == 0 || dim.least() > dim.most() || high > u32::MAX.into() {
        return Err(Flaw::Dim { name: shown(&dim.name), low, high, step });
    }
    Ok(())
}

fn known(size: &SizeExpression, bounds: &[Bounds], largest: &[u64]) -> Result<Known, SizeFlaw> {
    let (_, most) = size.bounds(bounds)?;
    if most > u32::MAX.into() {
        return Err(SizeFlaw::Overflow);
    }
    Ok(Known { largest: size.at(largest)?, most })
}
