//! Rotary position embedding: pairs of channels turn by angles that depend on the position.

use crate::op::buffer::{Buffer, Raw, Real};
use crate::op::eval_error::EvalErrorKind;
use crate::op::infer::{Check, InferErrorKind, broadcast};
use crate::op::strided::broadcast_positions;
use crate::tensor::{ElementType, Tensor, TensorType};

/// RoFormer's rotary embedding (arXiv 2104.09864) of the last axis: operands x, cosines and sines. Of the first `turned` channels
/// those of a pair, `(a, b)`, become `(a cos - b sin, b cos + a sin)`; the others stay. Cosines and sines have the rank of x and
/// broadcast to its axes but for the last, along which they have one number for each pair or for each channel that turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rotary {
    /// Channels that turn: an even number.
    pub turned: u64,
    /// Pairs are neighbours; otherwise they are `turned / 2` channels apart.
    pub interleaved: bool,
}

impl Rotary {
    /// The channel that turns together with another one, and whether that is the second of the two.
    pub fn pair(&self, channel: u64) -> (u64, bool) {
        let half = self.turned / 2;
        match (self.interleaved, channel < half) {
            (true, _) => (channel ^ 1, channel % 2 == 1),
            (false, true) => (channel + half, false),
            (false, false) => (channel - half, true),
        }
    }

    /// Which of `angles` numbers along the last axis belongs to a channel.
    pub fn angle(&self, channel: u64, angles: u64) -> u64 {
        match (angles == self.turned, self.interleaved) {
            (true, _) => channel,
            (false, true) => channel / 2,
            (false, false) => channel % angles,
        }
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        let takes: fn(ElementType) -> bool = match check.ty(0).element {
            ElementType::F64 => |element| element == ElementType::F64,
            _ => |element| element.is_float() && element != ElementType::F64,
        };
        check.float(0)?;
        check.rank_at_least(0, 1)?;
        let shape = check.shape(0);
        let last = shape.len() - 1;
        let fits = shape[last].as_const().is_none_or(|channels| self.turned <= channels);
        if self.turned == 0 || !self.turned.is_multiple_of(2) || !fits {
            let expected = format!("an even number up to the channels of {}", check.show(shape));
            let actual = self.turned.to_string();
            return Err(InferErrorKind::Attribute { attribute: "turned", expected, actual });
        }
        for operand in [1, 2] {
            check.element(operand, takes, "a float type, f64 only beside f64")?;
            let angles = check.shape(operand);
            let of_pairs = |size: u64| size == self.turned || size == self.turned / 2;
            let is_last = angles.last().and_then(|size| size.as_const()).is_some_and(of_pairs);
            let same = angles.last() == check.shape(1).last();
            if angles.len() != shape.len()
                || !is_last
                || !same
                || broadcast(&shape[..last], &angles[..last], check.symbols)? != shape[..last]
            {
                let wanted = check.show(&shape[..last]);
                let expected = format!(
                    "rank {} with {} or {} angles for each place of {wanted}",
                    shape.len(),
                    self.turned / 2,
                    self.turned
                );
                return Err(check.shape_error(operand, expected));
            }
        }
        Ok(check.ty(0).clone())
    }

    pub(crate) fn compute(&self, operands: &[&Tensor]) -> Result<Raw, EvalErrorKind> {
        let [x, cosine, sine] = operands else { unreachable!("inferred: three operands") };
        let (&channels, outer) = x.shape().split_last().expect("inferred: at least one axis");
        let rows = |angles: &Tensor| {
            let own = angles.shape();
            broadcast_positions(&own[..own.len() - 1], outer).expect("inferred: angles broadcast")
        };
        let rows = [rows(cosine), rows(sine)];
        let angles = cosine.shape()[cosine.rank() - 1];
        let sizes = (channels, angles);
        let of = [x, cosine, sine].map(|operand| Buffer::from_tensor(operand));
        Ok(Raw::Buffer(match of {
            [Buffer::F32(x), Buffer::F32(cosine), Buffer::F32(sine)] => {
                Buffer::F32(self.turn(&x, [&cosine, &sine], &rows, sizes))
            }
            [Buffer::F64(x), Buffer::F64(cosine), Buffer::F64(sine)] => {
                Buffer::F64(self.turn(&x, [&cosine, &sine], &rows, sizes))
            }
            _ => unreachable!("inferred: floats of one kind"),
        }))
    }

    /// Products and their sum are rounded one by one, as where they are nodes of their own.
    fn turn<T: Real>(
        &self,
        x: &[T],
        [cosine, sine]: [&[T]; 2],
        [cosine_rows, sine_rows]: &[Vec<usize>; 2],
        (channels, angles): (u64, u64),
    ) -> Vec<T> {
        let mut out = x.to_vec();
        let rows = x.chunks_exact(channels as usize).zip(out.chunks_exact_mut(channels as usize));
        for ((row, out), (&cosine_row, &sine_row)) in rows.zip(cosine_rows.iter().zip(sine_rows)) {
            for channel in 0..self.turned {
                let (other, is_second) = self.pair(channel);
                let angle = self.angle(channel, angles) as usize;
                let product = |value: T, of: &[T], row: usize| {
                    T::narrow(value.wide() * of[row * angles as usize + angle].wide()).wide()
                };
                let own = product(row[channel as usize], cosine, cosine_row);
                let others = product(row[other as usize], sine, sine_row);
                out[channel as usize] = T::narrow(if is_second { own + others } else { own - others });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;

    fn turned(op: Rotary, x: &[f32], cosine: &[f32], sine: &[f32]) -> Vec<f32> {
        let tensor = |values: &[f32]| Tensor::from_f32([1, values.len() as u64], values).expect("a tensor");
        let operands = [tensor(x), tensor(cosine), tensor(sine)];
        let results = Op::Rotary(op).eval(&operands.iter().collect::<Vec<_>>()).expect("it turns");
        results[0].to_f32_vec()
    }

    #[test]
    fn a_quarter_turn_swaps_the_channels_of_a_pair() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0];
        let halves = Rotary { turned: 4, interleaved: false };
        assert_eq!(turned(halves, &x, &[0.0, 0.0], &[1.0, 1.0]), [-3.0, -4.0, 1.0, 2.0, 5.0]);
        let neighbours = Rotary { turned: 4, interleaved: true };
        assert_eq!(turned(neighbours, &x, &[0.0, 0.0], &[1.0, 1.0]), [-2.0, 1.0, -4.0, 3.0, 5.0]);
    }

    #[test]
    fn angles_are_those_of_pairs_or_of_channels() {
        let x = [1.0, 2.0, 3.0, 4.0];
        let halves = Rotary { turned: 4, interleaved: false };
        assert_eq!(turned(halves, &x, &[2.0, 3.0], &[0.0, 0.0]), [2.0, 6.0, 6.0, 12.0]);
        let of_channels = [2.0, 3.0, 4.0, 5.0];
        assert_eq!(turned(halves, &x, &of_channels, &[0.0; 4]), [2.0, 6.0, 12.0, 20.0]);
        let neighbours = Rotary { turned: 4, interleaved: true };
        assert_eq!(turned(neighbours, &x, &[2.0, 3.0], &[0.0, 0.0]), [2.0, 4.0, 9.0, 12.0]);
    }

    #[test]
    fn odd_numbers_of_channels_and_other_angles_are_refused() {
        let tensor = |shape: &[u64]| {
            Tensor::from_f32(shape, &vec![0.0; shape.iter().product::<u64>() as usize]).expect("a tensor")
        };
        let refused = |turned: u64, angles: &[u64]| {
            let (x, angles) = (tensor(&[2, 6]), tensor(angles));
            Op::Rotary(Rotary { turned, interleaved: false }).eval(&[&x, &angles, &angles]).is_err()
        };
        assert!(!refused(6, &[1, 3]) && !refused(4, &[2, 4]));
        assert!(refused(3, &[1, 3]) && refused(8, &[1, 4]) && refused(0, &[1, 0]));
        assert!(refused(6, &[1, 2]) && refused(6, &[3]) && refused(6, &[3, 3]));
    }
}
