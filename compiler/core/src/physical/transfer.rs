//! Moves elements of a constant to their places in a packing, converting them on the way.

use super::Element;
use drift_ir::ElementType;
use half::f16;

/// From the stored type of a model's tensor to that of a packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    /// Two bytes as they are.
    Half,
    /// Four bytes as they are.
    Word,
    /// f32 to the nearest f16.
    FloatToHalf,
    /// f16 to f32.
    HalfToFloat,
    /// The low half of 64 bits, which was checked to hold all of them.
    LongToInt,
    /// One byte to 0 or 1.
    BoolToWord,
    /// One byte to a number from 0 on.
    ByteToInt,
    /// One byte with its sign.
    SignedByteToInt,
    /// Two bytes to a number from 0 on.
    ShortToInt,
    /// Two bytes with their sign.
    SignedShortToInt,
}

impl Conversion {
    /// The conversion, where it works element by element without a detour.
    pub(super) const fn between(from: ElementType, to: Element) -> Option<Self> {
        match (from, to) {
            (ElementType::F16, Element::F16) => Some(Self::Half),
            (ElementType::F32, Element::F32) | (ElementType::I32 | ElementType::U32, Element::I32) => {
                Some(Self::Word)
            }
            (ElementType::F32, Element::F16) => Some(Self::FloatToHalf),
            (ElementType::F16, Element::F32) => Some(Self::HalfToFloat),
            (ElementType::I64 | ElementType::U64, Element::I32) => Some(Self::LongToInt),
            (ElementType::Bool, Element::U32) => Some(Self::BoolToWord),
            (ElementType::U8, Element::I32) => Some(Self::ByteToInt),
            (ElementType::I8, Element::I32) => Some(Self::SignedByteToInt),
            (ElementType::U16, Element::I32) => Some(Self::ShortToInt),
            (ElementType::I16, Element::I32) => Some(Self::SignedShortToInt),
            _ => None,
        }
    }

    /// Whether bytes stay as they are.
    pub(super) const fn is_copy(self) -> bool {
        matches!(self, Self::Half | Self::Word)
    }
}

/// A constant's elements on one side, its packing on the other; both are numbered as they are stored. What is never
/// moved to is zero.
pub struct Transfer<'a> {
    pub(super) conversion: Conversion,
    pub(super) from: &'a [u8],
    pub(super) to: &'a mut [u8],
}

impl Transfer<'_> {
    /// Element `from` of the constant becomes element `to` of the packing.
    pub fn put(&mut self, to: usize, from: usize) {
        self.run(1, (to, 1), (from, 1));
    }

    /// As [`Transfer::put`] for `count` elements; both sides are given as their first element and the distance to the next.
    pub fn run(&mut self, count: usize, to: (usize, usize), from: (usize, usize)) {
        self.convert(&Even { first: to.0, step: to.1, count }, from);
    }

    /// As [`Transfer::put`] for neighbours of the constant, given as their first element and the distance to the next, that
    /// become the elements of the packing at these `places` after `to`.
    pub fn scatter(&mut self, to: usize, places: &[usize], from: (usize, usize)) {
        self.convert(&Anywhere { first: to, places }, from);
    }

    fn convert(&mut self, to: &impl Targets, from: (usize, usize)) {
        match self.conversion {
            Conversion::Half => self.each::<2, 2>(to, from, |half| half),
            Conversion::Word => self.each::<4, 4>(to, from, |word| word),
            Conversion::FloatToHalf => {
                self.each::<4, 2>(to, from, |float| f16::from_f32(f32::from_le_bytes(float)).to_le_bytes());
            }
            Conversion::HalfToFloat => {
                self.each::<2, 4>(to, from, |half| f16::from_le_bytes(half).to_f32().to_le_bytes());
            }
            Conversion::LongToInt => {
                self.each::<8, 4>(to, from, |long| [long[0], long[1], long[2], long[3]]);
            }
            Conversion::BoolToWord => {
                self.each::<1, 4>(to, from, |[byte]| u32::from(byte != 0).to_le_bytes());
            }
            Conversion::ByteToInt => {
                self.each::<1, 4>(to, from, |[byte]| i32::from(byte).to_le_bytes());
            }
            Conversion::ShortToInt => {
                self.each::<2, 4>(to, from, |short| i32::from(u16::from_le_bytes(short)).to_le_bytes());
            }
            Conversion::SignedShortToInt => {
                self.each::<2, 4>(to, from, |short| i32::from(i16::from_le_bytes(short)).to_le_bytes());
            }
            Conversion::SignedByteToInt => {
                self.each::<1, 4>(to, from, |[byte]| i32::from(byte.cast_signed()).to_le_bytes());
            }
        }
    }

    fn each<const FROM: usize, const TO: usize>(
        &mut self,
        to: &impl Targets,
        (from, from_step): (usize, usize),
        convert: impl Fn([u8; FROM]) -> [u8; TO],
    ) {
        let (source, _) = self.from.as_chunks::<FROM>();
        let (target, _) = self.to.as_chunks_mut::<TO>();
        if let (Some(first), 1) = (to.adjacent(), from_step) {
            let pairs = target[first..][..to.count()].iter_mut().zip(&source[from..][..to.count()]);
            pairs.for_each(|(target, source)| *target = convert(*source));
            return;
        }
        for n in 0..to.count() {
            target[to.place(n)] = convert(source[from + n * from_step]);
        }
    }
}

/// Elements of a packing that neighbours of a constant become.
trait Targets {
    fn count(&self) -> usize;
    fn place(&self, n: usize) -> usize;
    /// The first, if they are neighbours, too.
    fn adjacent(&self) -> Option<usize>;
}

/// A distance apart.
struct Even {
    first: usize,
    step: usize,
    count: usize,
}

impl Targets for Even {
    fn count(&self) -> usize {
        self.count
    }

    fn place(&self, n: usize) -> usize {
        self.first + n * self.step
    }

    fn adjacent(&self) -> Option<usize> {
        (self.step == 1).then_some(self.first)
    }
}

/// At places after the first.
struct Anywhere<'a> {
    first: usize,
    places: &'a [usize],
}

impl Targets for Anywhere<'_> {
    fn count(&self) -> usize {
        self.places.len()
    }

    fn place(&self, n: usize) -> usize {
        self.first + self.places[n]
    }

    fn adjacent(&self) -> Option<usize> {
        None
    }
}
