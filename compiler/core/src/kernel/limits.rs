//! What a kernel's arithmetic and a shader's declarations reach: calls beyond it are refused by name, never cut to 32 bits.

use super::{Constant, KernelCall, Slot, Source};
use crate::physical::{LANES, StorageType};

/// Bytes of the largest array that a shader can declare, in whole bindings: naga ends below 2^31.
pub const MOST_ARRAY_BYTES: u64 = (1 << 31) - 256;

/// Elements of a tensor that 32 bits number.
const MOST_ELEMENTS: u64 = u32::MAX as u64;

/// Places along one coordinate: kernels compare them as `i32`.
const MOST_PLACES: u64 = i32::MAX as u64;

/// A number of a call that 32 bits do not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// A constant of the prelude.
    #[error("its constant {name} is {value}, which {bits} does not hold")]
    Constant {
        /// The constant.
        name: &'static str,
        /// What it should be.
        value: i128,
        /// The type.
        bits: &'static str,
    },
    /// A tensor with more elements than an index reaches.
    #[error(
        "`{tensor}` has {elements} elements, padding included, with {places} along one coordinate; kernels index with 32 \
         bits, so split the tensor in the model"
    )]
    Elements {
        /// The tensor.
        tensor: String,
        /// How many.
        elements: u64,
        /// The most along a coordinate.
        places: u64,
    },
    /// A tensor that is larger than a shader's array.
    #[error(
        "`{tensor}` takes {bytes} bytes in one binding, and a shader's array ends at {MOST_ARRAY_BYTES}; make it smaller, \
         or use --precision f16"
    )]
    Bytes {
        /// The tensor.
        tensor: String,
        /// Bytes of the binding.
        bytes: u64,
    },
    /// More invocations than 32 bits number.
    #[error("{workgroups:?} workgroups of {size:?} invocations, more than 32 bits number")]
    Invocations {
        /// Workgroups.
        workgroups: [u64; 3],
        /// Invocations in each.
        size: [u32; 3],
    },
}

impl KernelCall {
    /// Fails where an index, a size or a count of this call does not fit the 32 bits that kernels compute with. `name` says
    /// what a source is called.
    pub fn check(&self, name: impl Fn(Source) -> String) -> Result<(), TooLarge> {
        self.constants.iter().try_for_each(|(name, value)| check_constant(name, value))?;
        self.slots.iter().try_for_each(|slot| check_slot(slot, &name))?;
        for binding in self.bindings() {
            if binding.storage_type == StorageType::Buffer && binding.size_bytes > MOST_ARRAY_BYTES {
                return Err(TooLarge::Bytes { tensor: name(binding.source), bytes: binding.size_bytes });
            }
        }
        let workgroups = self.grid();
        let counts = workgroups.into_iter().zip(self.workgroup_size);
        let fits = |(groups, size): (u64, u32)| {
            groups.checked_mul(size.into()).is_some_and(|all| all <= MOST_ELEMENTS)
        };
        match counts.into_iter().all(fits) && number_of(workgroups).is_some() {
            true => Ok(()),
            false => Err(TooLarge::Invocations { workgroups, size: self.workgroup_size }),
        }
    }
}

fn check_constant(name: &'static str, value: &Constant) -> Result<(), TooLarge> {
    match *value {
        Constant::Free(_, ref size) if i32::try_from(size.max()).is_err() => {
            Err(TooLarge::Constant { name, value: size.max().into(), bits: "i32" })
        }
        Constant::U32(value) if u32::try_from(value).is_err() => {
            Err(TooLarge::Constant { name, value: value.into(), bits: "u32" })
        }
        Constant::I32(value) if i32::try_from(value).is_err() => {
            Err(TooLarge::Constant { name, value: value.into(), bits: "i32" })
        }
        Constant::U32(_) | Constant::I32(_) | Constant::F32(_) | Constant::Bool(_) | Constant::Free(..) => {
            Ok(())
        }
    }
}

fn check_slot(slot: &Slot, name: &impl Fn(Source) -> String) -> Result<(), TooLarge> {
    let (e, whole) = (slot.extents().largest(), slot.place().0.largest());
    let padded = |e: &crate::physical::Extents| {
        let sizes = [e.batch, e.height, e.width, e.slices(), LANES];
        sizes.into_iter().try_fold(1_u64, u64::checked_mul).unwrap_or(u64::MAX)
    };
    let shown = padded(&e).max(padded(&whole));
    let stored = || slot.size_bytes() / slot.layout.element.size_bytes();
    let elements = if shown > MOST_ELEMENTS { shown } else { shown.max(stored()) };
    let places =
        [e.batch, e.height, e.width, e.channels, whole.batch, whole.height, whole.width, whole.channels];
    let places = places.into_iter().max().unwrap_or(0);
    match elements <= MOST_ELEMENTS && places <= MOST_PLACES {
        true => Ok(()),
        false => Err(TooLarge::Elements { tensor: name(slot.source), elements, places }),
    }
}

/// The shape in which a device that takes `limit` workgroups along each of two axes and `depth` along the third is given
/// `workgroups`: the same where they fit, otherwise rows and layers that may hang over at the end. `None` where no shape holds
/// them or 32 bits do not number them.
pub fn dispatched(workgroups: [u64; 3], limit: u32, depth: u32) -> Option<[u32; 3]> {
    let total = number_of(workgroups)?;
    let (limit, depth) = (u64::from(limit), u64::from(depth));
    let [x, y, z] = workgroups;
    if x <= limit && y <= limit && z <= depth {
        return narrow(workgroups);
    }
    let rows = total.div_ceil(limit);
    let layers = rows.div_ceil(limit);
    let rows = rows.div_ceil(layers);
    let shape = [total.div_ceil(rows * layers), rows, layers];
    number_of(shape).filter(|_| layers <= depth).and_then(|_| narrow(shape))
}

/// Workgroups in all, if 32 bits number them.
fn number_of(workgroups: [u64; 3]) -> Option<u64> {
    let all = workgroups.into_iter().try_fold(1_u64, u64::checked_mul);
    all.filter(|&all| all <= MOST_ELEMENTS)
}

fn narrow(workgroups: [u64; 3]) -> Option<[u32; 3]> {
    let mut narrow = [0; 3];
    for (to, from) in narrow.iter_mut().zip(workgroups) {
        *to = u32::try_from(from).ok()?;
    }
    Some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Access;
    use crate::physical::size::sizes;
    use crate::physical::{Element, Layout};

    /// A call that moves `shape`, with a constant.
    fn call(shape: Vec<u64>, constant: Constant, workgroups: [u64; 3]) -> KernelCall {
        let slot = |name: &str, access, storage| {
            let layout = Layout::row_major(Element::F32, shape.len());
            Slot::new(name, access, Source::Activation(storage), sizes(&shape), layout)
        };
        let slots = vec![slot("src", Access::Read, 0), slot("dst", Access::Write, 1)];
        KernelCall::plain("copy", vec![("STEP_B", constant)], slots, [64, 1, 1], workgroups)
    }

    fn checked(call: &KernelCall) -> Result<(), TooLarge> {
        call.check(|_| "x".to_owned())
    }

    #[test]
    fn numbers_that_32_bits_do_not_hold_are_refused() {
        let small = |constant| checked(&call(vec![8], constant, [1; 3]));
        assert_eq!(small(Constant::U32(u32::MAX.into())), Ok(()));
        assert_eq!(small(Constant::I32(i32::MIN.into())), Ok(()));
        for constant in [Constant::U32(1 << 32), Constant::I32(1 << 31), Constant::signed(u64::MAX)] {
            assert!(
                matches!(small(constant.clone()), Err(TooLarge::Constant { name: "STEP_B", .. })),
                "{constant:?}"
            );
        }
        let sized = |shape: &[u64]| checked(&call(shape.to_vec(), Constant::U32(0), [1; 3]));
        assert_eq!(sized(&[1 << 14, 1 << 14]), Ok(()));
        assert!(matches!(sized(&[1 << 15, 1 << 14]), Err(TooLarge::Bytes { .. })));
        assert!(matches!(sized(&[1 << 16, 1 << 16]), Err(TooLarge::Elements { .. })));
        assert!(matches!(sized(&[1 << 40, 1 << 40]), Err(TooLarge::Elements { .. })));
        for workgroups in [[1 << 32, 1, 1], [1 << 27, 1, 1], [1 << 16, 1 << 16, 1], [u64::MAX, 2, 1]] {
            let wide = checked(&call(vec![8], Constant::U32(0), workgroups));
            assert!(matches!(wide, Err(TooLarge::Invocations { .. })), "{workgroups:?}");
        }
    }

    #[test]
    fn what_fits_keeps_its_shape() {
        assert_eq!(dispatched([65_535, 3, 1], 65_535, 65_535), Some([65_535, 3, 1]));
        assert_eq!(dispatched([0, 3, 1], 65_535, 65_535), Some([0, 3, 1]));
    }

    #[test]
    fn what_does_not_fit_is_folded_and_covers_all() {
        for workgroups in
            [[65_536, 1, 1], [1, 1, 65_537], [100_000, 3, 7], [4_000_000_000, 1, 1], [1, 70_001, 2]]
        {
            let shape = dispatched(workgroups, 65_535, 65_535).expect("a shape");
            let [wanted, made] = [workgroups, shape.map(u64::from)].map(|all| all.iter().product::<u64>());
            assert!(made >= wanted && made <= u64::from(u32::MAX), "{workgroups:?} as {shape:?}");
            assert!(shape.iter().all(|&groups| groups <= 65_535), "{workgroups:?} as {shape:?}");
            // Less than a row and a layer hang over.
            assert!(made - wanted < u64::from(shape[1]) * u64::from(shape[2]), "{workgroups:?} as {shape:?}");
        }
    }

    #[test]
    fn what_no_shape_holds_is_refused() {
        assert_eq!(dispatched([28, 1, 1], 3, 3), None);
        assert_eq!(dispatched([27, 1, 1], 3, 3), Some([3, 3, 3]));
        assert_eq!(dispatched([1 << 20, 1 << 20, 1], 65_535, 65_535), None);
        assert_eq!(dispatched([u64::MAX, 2, 1], 65_535, 65_535), None);
    }
}
