//! The one packer of weights: from a model's tensor into any layout.

use super::{Factor, Lanes, WeightsLayout};
use crate::physical::{LANES, Packing, Transfer};

/// What a constant holds: how many weights, and where each of them is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Groups of the op.
    groups: u64,
    /// Outputs of all groups.
    outputs: u64,
    /// Inputs of one group.
    group_inputs: u64,
    taps: u64,
    /// Groups are one dense bank of filters, with zeros for what a group does not read.
    merged: bool,
    /// From one group, output, tap and input to the next in the constant.
    steps: [u64; 4],
    /// One filter a channel.
    depthwise: bool,
    /// A buffer ends with the last weight rather than with the padding after it.
    ends_with_the_last: bool,
}

impl Filters {
    /// `[o, i / groups, taps]`. Groups whose channels are not whole slices become one bank.
    pub fn convolution(groups: u64, [src, dst]: [u64; 2], taps: u64) -> Self {
        let group_inputs = src / groups;
        let steps = [dst / groups * group_inputs * taps, group_inputs * taps, 1, taps];
        Self::grouped(groups, [src, dst], taps, steps)
    }

    /// `[i, o / groups, taps]`, as transposed convolutions have them.
    pub fn transposed_convolution(groups: u64, [src, dst]: [u64; 2], taps: u64) -> Self {
        let group_outputs = dst / groups;
        let steps = [src / groups * group_outputs * taps, taps, 1, group_outputs * taps];
        Self::grouped(groups, [src, dst], taps, steps)
    }

    fn grouped(groups: u64, [src, dst]: [u64; 2], taps: u64, steps: [u64; 4]) -> Self {
        let whole = |channels: u64| (channels / groups).is_multiple_of(LANES);
        Self {
            groups,
            outputs: dst,
            group_inputs: src / groups,
            taps,
            merged: !(whole(src) && whole(dst)),
            steps,
            depthwise: false,
            ends_with_the_last: false,
        }
    }

    /// `[channels, 1, taps]`, one filter a channel.
    pub fn depthwise(channels: u64, taps: u64) -> Self {
        Self { depthwise: true, ..Self::grouped(1, [1, channels], taps, [0, taps, 1, 1]) }
    }

    /// A matrix of `k` rows and `n` columns, or of `n` rows and `k` columns where it is `transposed`.
    pub fn matrix([k, n]: [u64; 2], transposed: bool) -> Self {
        let steps = if transposed { [0, k, 0, 1] } else { [0, 1, 0, n] };
        Self { ends_with_the_last: true, ..Self::grouped(1, [k, n], 1, steps) }
    }

    /// Output channels.
    pub fn outputs(&self) -> u64 {
        self.outputs
    }

    /// Taps of the window.
    pub fn taps(&self) -> u64 {
        self.taps
    }

    /// Whether slices hold channels of several groups: the weights between groups are zero then.
    pub fn shares_slices(&self) -> bool {
        self.merged && self.groups > 1
    }

    /// Input and output channels of a group.
    pub fn group_channels(&self) -> [u64; 2] {
        [self.group_inputs, self.outputs / self.groups]
    }

    /// Inputs that the layout has for each output.
    pub fn inputs(&self) -> u64 {
        if self.merged { self.group_inputs * self.groups } else { self.group_inputs }
    }

    /// Input slices that an output slice reads.
    pub fn src_slices(&self) -> u64 {
        self.inputs().div_ceil(LANES)
    }

    /// Output slices that read the same.
    pub fn dst_slices(&self) -> u64 {
        let banks = if self.merged { 1 } else { self.groups };
        (self.outputs / banks).div_ceil(LANES)
    }

    /// Rows of the rhs of a product: taps of inputs in whole slices; those of a matrix as they are.
    pub fn rows(&self) -> u64 {
        match self.ends_with_the_last {
            true => self.inputs(),
            false => self.taps * self.src_slices() * LANES,
        }
    }

    /// Whether each channel has a filter of its own.
    pub fn is_depthwise(&self) -> bool {
        self.depthwise
    }

    pub(super) fn ends_with_the_last(&self) -> bool {
        self.ends_with_the_last
    }
}

/// Where each output, tap and input begins in the packing, in elements: the place of a weight is the sum of three.
#[derive(Debug)]
struct Places {
    outputs: Vec<usize>,
    taps: Vec<usize>,
    inputs: Vec<usize>,
}

/// Filters, and all that their places in a packing follow from. Resources that lay them out alike share the bytes.
#[derive(Debug)]
struct Arrangement {
    filters: Filters,
    lanes: Lanes,
    /// Output slices of a group.
    group: u64,
    /// Vectors from one value of each factor to the next.
    strides: [u64; 5],
    /// Vectors.
    len: u64,
}

impl WeightsLayout {
    fn arrangement(&self, len: u64) -> Arrangement {
        use Factor::{Group, InputSlice, OutputSlice, Tap, Vector};
        // What has one value is nowhere else.
        let stride = |factor| if self.size(factor) > 1 { self.stride(factor) } else { 0 };
        Arrangement {
            filters: self.filters.clone(),
            lanes: self.lanes(),
            group: self.size(OutputSlice),
            strides: [Group, OutputSlice, Tap, InputSlice, Vector].map(stride),
            len,
        }
    }

    /// The vector that holds the last weight.
    pub(super) fn last_live(&self) -> u64 {
        let Places { outputs, taps, inputs } = self.arrangement(0).places();
        let most = |places: &[usize]| places.iter().copied().max().unwrap_or(0);
        ((most(&outputs) + most(&taps) + most(&inputs)) / LANES as usize) as u64
    }

    /// How a model's tensor is brought into this layout, as vectors of four.
    pub fn packing(&self) -> Packing {
        let arrangement = self.arrangement(self.vectors());
        match arrangement.plain_rows() {
            Some(shape) => Packing::plain(&shape),
            None => {
                let label = format!("{} ", self.form.order);
                Packing::moved(&label, [arrangement.len, LANES], arrangement, Arrangement::arrange)
            }
        }
    }
}

impl Arrangement {
    fn places(&self) -> Places {
        let [group, slice, tap, input, vector] = self.strides.map(|stride| (stride * LANES) as usize);
        let (lanes, slices) = (LANES as usize, self.group as usize);
        let (output_lane, input_lane) = match self.lanes {
            Lanes::Outputs => (1, vector),
            Lanes::Inputs => (vector, 1),
        };
        let output = |o: usize| {
            let s = o / lanes;
            s / slices * group + s % slices * slice + o % lanes * output_lane
        };
        Places {
            outputs: (0..self.filters.outputs as usize).map(output).collect(),
            taps: (0..self.filters.taps as usize).map(|t| t * tap).collect(),
            inputs: (0..self.filters.inputs() as usize)
                .map(|i| i / lanes * input + i % lanes * input_lane)
                .collect(),
        }
    }

    /// Rows and columns, if the packing is the constant as it is.
    fn plain_rows(&self) -> Option<[u64; 2]> {
        let Filters { groups, outputs, taps, steps: [_, output, tap, input], .. } = self.filters;
        let inputs = self.filters.inputs();
        let places = self.places();
        let even = |places: &[usize], step: u64| {
            places.iter().enumerate().all(|(n, &place)| place == n * step as usize)
        };
        let plain = groups == 1
            && self.len * LANES == outputs * taps * inputs
            && even(&places.outputs, output)
            && even(&places.taps, tap)
            && even(&places.inputs, input);
        let columns = if output == 1 { outputs } else { inputs };
        plain.then(|| [outputs * taps * inputs / columns, columns])
    }

    fn arrange(&self, transfer: &mut Transfer<'_>) {
        /// Outputs moved together: their weights are far apart, and as many cache lines stay in use.
        const BLOCK: usize = 64;
        let Places { outputs, taps, inputs } = self.places();
        let [group_step, output_step, tap_step, input_step] = self.filters.steps.map(|step| step as usize);
        let own_inputs = self.filters.group_inputs as usize;
        let own_outputs = outputs.len() / self.filters.groups as usize;
        let block = if output_step == 1 { own_outputs.max(1) } else { BLOCK };
        for (group, outputs) in outputs.chunks(own_outputs.max(1)).enumerate() {
            // Where the group's inputs begin in the bank that its outputs read.
            let first = if self.filters.merged { group * own_inputs } else { 0 };
            let inputs = &inputs[first..first + own_inputs];
            for (at, outputs) in outputs.chunks(block).enumerate() {
                let from = group * group_step + at * block * output_step;
                let side_by_side = outputs.windows(2).all(|pair| pair[1] == pair[0] + 1);
                for (i, input) in inputs.iter().enumerate() {
                    for (t, tap) in taps.iter().enumerate() {
                        let (to, from) = (input + tap, from + i * input_step + t * tap_step);
                        match side_by_side {
                            true => transfer.run(outputs.len(), (to + outputs[0], 1), (from, output_step)),
                            false => transfer.scatter(to, outputs, (from, output_step)),
                        }
                    }
                }
            }
        }
    }
}
