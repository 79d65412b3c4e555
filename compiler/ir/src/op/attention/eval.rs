//! Reference evaluation of attention: plain loops, sums and softmax in f64.

use super::{Attention, HeadAxes, HeadSizes};
use crate::op::buffer::{Buffer, Raw, Real};
use crate::op::eval_error::EvalErrorKind;
use crate::op::strided::strides;
use crate::tensor::Tensor;

/// Distances between neighbours along batch, heads, rows and channels.
type Steps = [usize; 4];

fn steps(shape: &[u64], axes: &HeadAxes) -> Steps {
    let strides = strides(shape);
    axes.map(|axis| strides[axis])
}

impl Attention {
    pub(crate) fn compute(&self, operands: &[&Tensor], shape: &[u64]) -> Result<Raw, EvalErrorKind> {
        let [q, k, v, extra @ ..] = operands else { unreachable!("inferred: attention has three operands") };
        let sizes = self.sizes(q.shape(), k.shape(), v.shape());
        let first = self.first_places(extra);
        Ok(Raw::Buffer(match (Buffer::from_tensor(q), Buffer::from_tensor(k), Buffer::from_tensor(v)) {
            (Buffer::F32(a), Buffer::F32(b), Buffer::F32(c)) => {
                let scores = self.scores_of(&sizes, (&a, q), (&b, k));
                let scores = match self.finish_scores(Buffer::F32(scores), q, extra, &sizes)? {
                    Buffer::F32(scores) => scores,
                    Buffer::F64(wide) => wide.into_iter().map(f32::narrow).collect(),
                    Buffer::Int(_) => unreachable!("inferred: scores are floats"),
                };
                Buffer::F32(self.weigh((&sizes, &first), &scores, (&c, v), shape))
            }
            (Buffer::F64(a), Buffer::F64(b), Buffer::F64(c)) => {
                let scores = self.scores_of(&sizes, (&a, q), (&b, k));
                let scores = match self.finish_scores(Buffer::F64(scores), q, extra, &sizes)? {
                    Buffer::F64(scores) => scores,
                    Buffer::F32(narrow) => narrow.into_iter().map(f64::from).collect(),
                    Buffer::Int(_) => unreachable!("inferred: scores are floats"),
                };
                Buffer::F64(self.weigh((&sizes, &first), &scores, (&c, v), shape))
            }
            _ => unreachable!("inferred: q, k and v are floats of one type"),
        }))
    }

    /// `q k^T`, heads first.
    fn scores_of<T: Real>(
        &self,
        sizes: &HeadSizes<u64>,
        (q, q_tensor): (&[T], &Tensor),
        (k, k_tensor): (&[T], &Tensor),
    ) -> Vec<T> {
        let (q_steps, k_steps) = (steps(q_tensor.shape(), &self.q), steps(k_tensor.shape(), &self.k));
        let mut scores = Vec::new();
        each_head(sizes, |[b, h], [shared_b, shared_h]| {
            for row in 0..sizes.queries as usize {
                let from = b * q_steps[0] + h * q_steps[1] + row * q_steps[2];
                for key in 0..sizes.keys as usize {
                    let to = shared_b * k_steps[0] + shared_h * k_steps[1] + key * k_steps[2];
                    let sum: f64 = (0..sizes.channels as usize)
                        .map(|c| q[from + c * q_steps[3]].wide() * k[to + c * k_steps[3]].wide())
                        .sum();
                    scores.push(T::narrow(sum));
                }
            }
        });
        scores
    }

    /// The place of the first query of each batch; none where all begin at 0.
    fn first_places(&self, extra: &[&Tensor]) -> Vec<i64> {
        match extra.last().filter(|_| self.has_first).map(|places| Buffer::from_tensor(places)) {
            Some(Buffer::Int(places)) => places,
            None | Some(Buffer::F32(_) | Buffer::F64(_)) => Vec::new(),
        }
    }

    fn finish_scores(
        &self,
        scores: Buffer,
        q: &Tensor,
        extra: &[&Tensor],
        sizes: &HeadSizes<u64>,
    ) -> Result<Buffer, EvalErrorKind> {
        let shape = [sizes.batch, sizes.heads, sizes.queries, sizes.keys];
        self.score_steps().run(scores, q.element(), self.read_by_scores(extra), &shape)
    }

    /// Softmax of each row of scores, times the values.
    fn weigh<T: Real>(
        &self,
        (sizes, first_places): (&HeadSizes<u64>, &[i64]),
        scores: &[T],
        (v, v_tensor): (&[T], &Tensor),
        shape: &[u64],
    ) -> Vec<T> {
        let (v_steps, y_steps) = (steps(v_tensor.shape(), &self.v), steps(shape, &self.y));
        let (queries, keys) = (sizes.queries as usize, sizes.keys as usize);
        let mut result = vec![T::default(); shape.iter().product::<u64>() as usize];
        let mut first = 0;
        each_head(sizes, |[b, h], [shared_b, shared_h]| {
            for row in 0..queries {
                let place = first_places.get(b).map_or(0, |&first| first);
                let seen = self.band.seen_from(place.saturating_add(row as i64), sizes.keys);
                let sees = |key: usize| seen.contains(&(key as u64));
                let scores: Vec<f64> = scores[first..first + keys]
                    .iter()
                    .enumerate()
                    .map(|(key, score)| if sees(key) { score.wide() } else { f64::NEG_INFINITY })
                    .collect();
                first += keys;
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let whole: f64 = weights.iter().sum();
                let unseen = self.unseen_is_zero && scores.iter().all(|&score| score == f64::NEG_INFINITY);
                let to = b * y_steps[0] + h * y_steps[1] + row * y_steps[2];
                let from = shared_b * v_steps[0] + shared_h * v_steps[1];
                for c in 0..sizes.value_channels as usize {
                    let value = |key: usize| v[from + key * v_steps[2] + c * v_steps[3]].wide();
                    let sum: f64 = weights.iter().enumerate().map(|(key, weight)| weight * value(key)).sum();
                    result[to + c * y_steps[3]] = T::narrow(if unseen { 0.0 } else { sum / whole });
                }
            }
        });
        result
    }
}

/// Batch and head of the queries, and of the keys that they see.
fn each_head(sizes: &HeadSizes<u64>, mut head: impl FnMut([usize; 2], [usize; 2])) {
    let together = (sizes.heads / sizes.kv_heads) as usize;
    for b in 0..sizes.batch as usize {
        let shared_b = if sizes.shared_batch == 1 { 0 } else { b };
        for h in 0..sizes.heads as usize {
            head([b, h], [shared_b, h / together]);
        }
    }
}
