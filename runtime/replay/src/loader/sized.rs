//! What of a program follows from sizes that the app sets: words of parameters, and grids.

use std::ops::Range;
use std::sync::Arc;

use drift_bundle::manifest::{Dispatch, Region, RegionKind, Variant, Word};

use super::regions::Regions;
use super::staged::Staged;
use crate::api::{Api, Purpose, Record, Step, Work};
use crate::error::RuntimeError;
use crate::program::IoRange;
use crate::sizes::Sizes;

/// The dispatches of a list, as they are recorded.
pub(crate) struct Steps(Vec<FreeStep>);

struct FreeStep {
    now: Step,
    barrier: bool,
    /// For each axis the size that is its workgroups.
    free: [Option<u32>; 3],
}

impl Steps {
    pub(crate) fn new(dispatches: &[Dispatch], sizes: &Sizes) -> Self {
        let one = |dispatch: &Dispatch| {
            let Dispatch { shader, workgroups, free_workgroups, barrier, .. } = *dispatch;
            let mut step =
                FreeStep { now: Step { shader, grid: workgroups }, barrier, free: free_workgroups };
            step.follow(sizes);
            step
        };
        Self(dispatches.iter().map(one).collect())
    }

    /// Whether a dispatch waits for those before it.
    pub(crate) fn has_barrier(&self, index: usize) -> bool {
        self.0[index].barrier
    }

    /// What a dispatch runs; nothing where it has no workgroups.
    pub(crate) fn step(&self, index: usize) -> Option<Step> {
        let FreeStep { now, .. } = self.0[index];
        (!now.grid.contains(&0)).then_some(now)
    }

    /// For each dispatch whether it runs.
    pub(crate) fn run(&self) -> Vec<bool> {
        (0..self.0.len()).map(|index| self.step(index).is_some()).collect()
    }

    /// Gives the dispatches of a range the grids of these sizes, and says whether one has another than before.
    pub(crate) fn follow(&mut self, range: Range<usize>, sizes: &Sizes) -> bool {
        // All of them, and not up to the first that has changed.
        self.0[range].iter_mut().fold(false, |changed, step| step.follow(sizes) || changed)
    }
}

impl FreeStep {
    fn follow(&mut self, sizes: &Sizes) -> bool {
        let before = self.now.grid;
        for (count, size) in self.now.grid.iter_mut().zip(self.free) {
            if let Some(size) = size {
                *count = sizes.value(size);
            }
        }
        self.now.grid != before
    }
}

/// The words of all parameters of a variant, and how they come to the device.
pub(crate) struct Params<A: Api> {
    staged: Staged<A>,
    /// Those of each region.
    words: Vec<Vec<Word>>,
    /// Number of the list that uploads them, once it is recorded.
    upload: Option<usize>,
}

impl<A: Api> Params<A> {
    /// None where a variant has no parameters.
    pub(crate) fn new(api: &Arc<A>, variant: &Variant, sizes: &Sizes) -> Result<Option<Self>, RuntimeError> {
        let params =
            (0..).zip(&variant.regions).filter_map(|(region, Region { kind, size, .. })| match kind {
                RegionKind::Params(words) => {
                    Some((IoRange { region, offset: 0, size: *size }, words.clone()))
                }
                _ => None,
            });
        let (ranges, words): (Vec<IoRange>, Vec<Vec<Word>>) = params.unzip();
        if ranges.is_empty() {
            return Ok(None);
        }
        let mut params = Self { staged: Staged::new(api, ranges, Purpose::Upload)?, words, upload: None };
        params.write(sizes);
        Ok(Some(params))
    }

    /// Bytes of the host's copy.
    pub(crate) fn size(&self) -> u64 {
        self.staged.size()
    }

    /// Writes the words of these sizes to the host's copy, which the device is not reading.
    pub(crate) fn write(&mut self, sizes: &Sizes) {
        for (index, words) in self.words.iter().enumerate() {
            let places = self.staged.bytes_mut(index).chunks_exact_mut(size_of::<u32>());
            places
                .zip(words)
                .for_each(|(place, word)| place.copy_from_slice(&sizes.word(*word).to_le_bytes()));
        }
    }

    /// Records the upload of all words, as a list that [`Params::upload`] then has the number of.
    pub(crate) fn record_upload(
        &mut self,
        api: &A,
        recordings: &mut A::Recordings,
        regions: &Regions<A>,
    ) -> Result<(), RuntimeError> {
        let number = api.record(recordings, |commands| {
            commands.barrier(Work::Any, Work::Transfer);
            self.record_copies(commands, regions);
        })?;
        self.upload = Some(number);
        Ok(())
    }

    /// Number of the list that uploads them.
    pub(crate) fn upload(&self) -> Option<usize> {
        self.upload
    }

    /// Records the copies alone.
    pub(crate) fn record_copies(&self, commands: &mut A::Recorder<'_>, regions: &Regions<A>) {
        self.staged.record_joined(commands, regions);
    }
}

#[cfg(test)]
mod tests {
    use drift_bundle::manifest::{Entry, FreeDim, SizeExpression, SizeTerm, Target};

    use super::*;

    /// Sizes of two dims, `a` of 0 to 8 and `b` of 1 to 3, which are also what follows from them.
    fn sizes() -> Sizes {
        let dim = |name: &str, low, high| FreeDim { name: name.to_owned(), low, high, step: 1 };
        Sizes::of(&Entry {
            name: "main".to_owned(),
            target: Target::Vulkan,
            dims: vec![dim("a", 0, 8), dim("b", 1, 3)],
            sizes: [0, 1].map(|dim| SizeExpression(vec![SizeTerm::Dim(dim)])).to_vec(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            variants: Vec::new(),
        })
    }

    fn dispatch(workgroups: [u32; 3], free_workgroups: [Option<u32>; 3]) -> Dispatch {
        Dispatch {
            name: String::new(),
            shader: 7,
            bindings: Vec::new(),
            workgroups,
            free_workgroups,
            barrier: true,
            origins: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
            flops: 0,
        }
    }

    #[test]
    fn parts_are_recorded_again_where_a_grid_has_changed() {
        let mut sizes = sizes();
        let dispatches = [
            dispatch([8, 2, 1], [Some(0), None, None]),
            dispatch([5, 1, 1], [None; 3]),
            dispatch([3, 8, 1], [Some(1), Some(0), None]),
            dispatch([1, 1, 3], [None, None, Some(1)]),
        ];
        let mut steps = Steps::new(&dispatches, &sizes);
        let parts = [0..2, 2..3, 3..4];
        let mut changed = |set: (usize, u64)| {
            sizes.set(set.0, set.1);
            let parts = parts.clone().map(|part| steps.follow(part, &sizes));
            let grids = [0, 2, 3].map(|index| steps.step(index).map(|step| step.grid));
            (parts, grids)
        };
        let all = [Some([8, 2, 1]), Some([3, 8, 1]), Some([1, 1, 3])];
        assert_eq!(changed((0, 8)), ([false; 3], all), "the largest at first");
        assert_eq!(changed((1, 2)), ([false, true, true], [all[0], Some([2, 8, 1]), Some([1, 1, 2])]));
        assert_eq!(changed((1, 2)).0, [false; 3], "nothing is another than before");
        assert_eq!(changed((0, 0)), ([true, true, false], [None, None, Some([1, 1, 2])]));
        assert_eq!(steps.run(), [false, true, false, true]);
        assert_eq!(steps.step(1), Some(Step { shader: 7, grid: [5, 1, 1] }));
        assert!(steps.has_barrier(0), "what is left out has been waited for all the same");
    }

    #[test]
    fn words_are_those_of_the_sizes_that_are_set() {
        let mut sizes = sizes();
        assert_eq!([Word::Size(0), Word::Const(9), Word::Size(1)].map(|word| sizes.word(word)), [8, 9, 3]);
        assert!(sizes.set(0, 5) && !sizes.set(0, 5));
        assert_eq!([Word::Size(0), Word::Const(9), Word::Size(1)].map(|word| sizes.word(word)), [5, 9, 3]);
    }
}
