//! Seeded operands and samples: the kernel calls that make them on a device, and the same numbers on the host.

use crate::kernel::{Access, Constant, KernelCall, Slot, Source};
use crate::physical::size::{Size, sizes};
use crate::physical::{Extents, LANES, Layout};
use crate::profile::Profile;
use crate::select::grid;
use drift_ir::tensor::TensorError;
use drift_ir::{ElementType, Tensor};

/// Slices that are sampled of a result: the corners of its coordinates, and as many places inside.
const SLICES: u64 = 32;

/// Numbers sampled of a result.
pub(super) const SAMPLES: u64 = SLICES * LANES;

/// Invocations of a workgroup.
const INVOCATIONS: u64 = 64;

/// The numbers `offset + scale * n` for n below `count`, all of which f16 holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) offset: f32,
    pub(super) scale: f32,
    pub(super) count: u32,
}

impl Range {
    /// Ranges of floats to try, one after the other, until a node's results are finite: around zero, then positive, then
    /// above one.
    const FLOATS: [Self; 3] = [
        Self { offset: -1.0, scale: 1.0 / 128.0, count: 256 },
        Self { offset: 0.25, scale: 1.0 / 512.0, count: 256 },
        Self { offset: 1.0, scale: 1.0 / 256.0, count: 256 },
    ];

    /// How often something else may be tried.
    pub(super) const ATTEMPTS: usize = Self::FLOATS.len();

    /// What an operand holds at an attempt; `indices` says how many places there are, where it holds indices.
    pub(super) fn of(element: ElementType, indices: Option<u64>, attempt: usize) -> Self {
        let whole =
            |offset: f32, count: u64| Self { offset, scale: 1.0, count: count.clamp(1, 1 << 16) as u32 };
        match (element, indices) {
            (ElementType::F32 | ElementType::F16 | ElementType::F64, _) => Self::FLOATS[attempt],
            // Three of four are true.
            (ElementType::Bool, _) => Self { offset: 0.75, scale: 0.25, count: 4 },
            (_, Some(places)) => whole(0.0, places),
            (ElementType::U8, None) if attempt == 0 => whole(0.0, 7),
            _ if attempt == 0 => whole(-3.0, 7),
            _ => whole(1.0, 7),
        }
    }

    fn number(&self, n: u32) -> f32 {
        self.offset + self.scale * n as f32
    }
}

/// The finaliser of MurmurHash3 over multiples of the golden ratio, as `scattered.wgsl` has it.
fn scattered(place: u32) -> u32 {
    let mut bits = place.wrapping_mul(2_654_435_761);
    bits = (bits ^ (bits >> 16)).wrapping_mul(2_246_822_507);
    bits = (bits ^ (bits >> 13)).wrapping_mul(3_266_489_909);
    bits ^ (bits >> 16)
}

/// Where the numbers of operand `ordinal` begin: far from those of the others.
fn seed(ordinal: u32) -> u32 {
    ordinal.wrapping_mul(0x0100_0193).wrapping_add(0x5eed)
}

/// The operand `ordinal` of a test on the host.
pub(super) fn tensor(
    element: ElementType,
    shape: &[u64],
    range: Range,
    ordinal: u32,
) -> Result<Tensor, TensorError> {
    let elements = shape.iter().product::<u64>() as u32;
    let number = |place: u32| range.number(scattered(place.wrapping_add(seed(ordinal))) % range.count);
    if element.is_float() {
        let values: Vec<f32> = (0..elements).map(number).collect();
        return Tensor::from_f32_as(element, shape, &values);
    }
    // Towards zero, as a kernel's conversion goes.
    let values: Vec<i64> = (0..elements).map(|place| number(place) as i64).collect();
    if element == ElementType::Bool {
        let values: Vec<bool> = values.iter().map(|value| *value != 0).collect();
        return Tensor::from_bool(shape, &values);
    }
    Tensor::from_i64_as(element, shape, &values)
}

/// The call that writes the operand `ordinal` to a storage.
pub(super) fn fill(
    storage: u32,
    (shape, layout): (&[u64], &Layout),
    (range, ordinal): (Range, u32),
    profile: &Profile,
) -> KernelCall {
    let dst = Slot::new("dst", Access::Write, Source::Activation(storage), sizes(shape), layout.clone());
    let e = layout.axes.extents(shape);
    let [b, y, x, c] = layout.axes.strides(shape);
    let constants = vec![
        ("SEED", Constant::U32(seed(ordinal).into())),
        ("COUNT", Constant::U32(range.count.into())),
        ("STRIDE_B", Constant::U32(b)),
        ("STRIDE_Y", Constant::U32(y)),
        ("STRIDE_X", Constant::U32(x)),
        ("STRIDE_C", Constant::U32(c)),
        ("OFFSET", Constant::F32(range.offset)),
        ("SCALE", Constant::F32(range.scale)),
    ];
    let groups = (e.pixels() * e.slices()).div_ceil(INVOCATIONS).max(1);
    let [columns, rows] = grid(&groups.into(), u64::from(profile.grid_axis));
    KernelCall::plain(
        "self_test_fill",
        constants,
        vec![dst],
        [INVOCATIONS as u32, 1, 1],
        [columns, rows, Size::ONE],
    )
}

/// The call that takes the samples of a result, and the layout of what it makes: a dense buffer of [`SAMPLES`] numbers.
pub(super) fn sample(from: u32, (shape, layout): (&[u64], &Layout), to: u32, made: &Layout) -> KernelCall {
    let src = Slot::new("src", Access::Read, Source::Activation(from), sizes(shape), layout.clone());
    let dst =
        Slot::new("dst", Access::Write, Source::Activation(to), sizes(&[1, 1, 1, SAMPLES]), made.clone());
    KernelCall::plain("self_test_sample", Vec::new(), vec![src, dst], [SLICES as u32, 1, 1], [1_u64; 3])
}

/// The place of each sample in the dense row-major tensor; none for lanes behind the last channel, which hold zero.
pub(super) fn places(shape: &[u64], layout: &Layout) -> Vec<Option<usize>> {
    let e = layout.axes.extents(shape);
    let Extents { batch, height, width, channels } = e;
    let sizes = [batch, height, width, e.slices()];
    let strides = layout.axes.strides(shape);
    let of_slice = |n: u64| {
        let at: [u64; 4] = std::array::from_fn(|axis| match n < 16 {
            true => (n >> axis & 1) * (sizes[axis] - 1),
            false => u64::from(scattered((4 * n) as u32 + axis as u32)) % sizes[axis],
        });
        (0..LANES).map(move |lane| {
            let channel = at[3] * LANES + lane;
            let coordinates = [at[0], at[1], at[2], channel];
            let place = coordinates.iter().zip(strides).map(|(at, stride)| at * stride).sum::<u64>();
            (channel < channels).then_some(place as usize)
        })
    };
    (0..SLICES).flat_map(of_slice).collect()
}

#[cfg(test)]
mod tests {
    use super::{Range, SAMPLES, places, tensor};
    use crate::physical::{Element, Layout};
    use drift_ir::ElementType;
    use half::f16;

    #[test]
    fn numbers_are_exact_in_f16_and_spread() {
        for range in Range::FLOATS {
            for n in 0..range.count {
                let number = range.number(n);
                assert_eq!(f16::from_f32(number).to_f32(), number);
            }
        }
        let made = tensor(ElementType::F32, &[4096], Range::FLOATS[0], 0).expect("a tensor").to_f32_vec();
        let mean = made.iter().sum::<f32>() / 4096.0;
        assert!(mean.abs() < 0.05, "{mean}");
        let other = tensor(ElementType::F32, &[4096], Range::FLOATS[0], 1).expect("a tensor").to_f32_vec();
        assert!(made.iter().zip(&other).filter(|(a, b)| a == b).count() < 64);
    }

    #[test]
    fn samples_begin_with_the_corners() {
        let (shape, layout) = ([2, 3, 5, 6], Layout::row_major(Element::F32, 4));
        let places = places(&shape, &layout);
        assert_eq!(places.len() as u64, SAMPLES);
        let corner = 2 * 3 * 5 * 6 - 6;
        assert_eq!(places[..4], [Some(0), Some(1), Some(2), Some(3)]);
        // The last slice has two channels.
        assert_eq!(places[60..64], [Some(corner + 4), Some(corner + 5), None, None]);
        assert!(places.iter().flatten().all(|place| *place < 180));
    }
}
