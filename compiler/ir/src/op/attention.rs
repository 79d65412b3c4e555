//! Scaled dot-product attention.

pub(crate) mod eval;

use crate::dim::Dim;
use crate::op::elementwise::{BinaryOp, Epilogue, ScalarOp, Step, StepArg};
use crate::op::infer::{Check, InferErrorKind, attribute_error};
use crate::tensor::{ElementType, Tensor, TensorError, TensorType};

/// Where an operand or the result has its batch, heads, rows and channels, in this order.
pub type HeadAxes = [usize; 4];

/// Axes in the order batch, heads, rows, channels.
pub const HEADS_FIRST: HeadAxes = [0, 1, 2, 3];

/// `softmax(scores(q k^T)) v` for each head, the softmax over the keys. Operands are q, k, v and whatever the steps on the
/// scores read, such as a mask; those broadcast to `[batch, heads, queries, keys]`. Several heads of q may share one of k
/// and v, in order: head h of q reads head `h / (heads of q / heads of k)`. Scores, their softmax and both sums are f32
/// at least, and nothing is rounded to the operands' type in between.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Axes of the queries.
    pub q: HeadAxes,
    /// Axes of the keys.
    pub k: HeadAxes,
    /// Axes of the values.
    pub v: HeadAxes,
    /// Axes of the result.
    pub y: HeadAxes,
    /// What happens to a score before the softmax: scale, cap, bias, mask. `StepArg::Operand(n)` is operand `3 + n`.
    pub scores: Vec<Step>,
    /// A query whose scores are all minus infinity gives zeros; otherwise NaN.
    pub unseen_is_zero: bool,
    /// Keys that a query sees by its place; the scores of all others are minus infinity, whatever the steps make of them.
    pub band: Band,
    /// Whether the last operand holds the place of the first query among the keys, i32 or i64 `[batch, 1, 1, 1]`, from which
    /// the band counts; otherwise that is 0. No step on the scores reads it.
    pub has_first: bool,
}

/// Bounds of `j - i` for the keys `j` that query `i` sees, both included; without a bound it sees all on that side. Keys up
/// to the query's own place, as `is_causal` of ONNX's `Attention` (opset 23) has it, are `max_offset = 0`; with `n` keys of a past
/// before them, `max_offset = n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Band {
    /// The least offset from a query to a key.
    pub min_offset: Option<i64>,
    /// The largest.
    pub max_offset: Option<i64>,
}

impl Band {
    /// Whether it hides nothing by itself.
    pub const fn is_open(&self) -> bool {
        self.min_offset.is_none() && self.max_offset.is_none()
    }

    /// The keys that a query sees, of `keys`.
    pub fn seen(&self, query: u64, keys: u64) -> std::ops::Range<u64> {
        self.seen_from(query as i64, keys)
    }

    /// The keys that a query at any place sees, of `keys`.
    pub fn seen_from(&self, query: i64, keys: u64) -> std::ops::Range<u64> {
        let place = |distance: i64| query.saturating_add(distance).clamp(0, keys as i64) as u64;
        let end = self.max_offset.map_or(keys, |last| place(last.saturating_add(1)));
        self.min_offset.map_or(0, place).min(end)..end
    }

    /// The operands of [`Band::steps`]: places of keys `[1, keys]` and of queries `[queries, 1]`.
    pub fn operands(queries: u64, keys: u64) -> Result<[Tensor; 2], TensorError> {
        let places = |shape: [u64; 2]| {
            let count: Vec<i64> = (0..(shape[0] * shape[1]) as i64).collect();
            Tensor::from_i64_as(ElementType::I32, shape, &count)
        };
        Ok([places([1, keys])?, places([queries, 1])?])
    }

    /// What the band does where no kernel does it, behind the steps `before`: scores beyond it become `hidden`. The operands
    /// are the places of keys and queries.
    pub fn steps(&self, before: Epilogue, [keys, queries]: [u32; 2], hidden: StepArg) -> Vec<Step> {
        let score = before.current();
        let mut made = before;
        let mut push = |op, args: Vec<StepArg>| {
            made.steps.push(Step { op, args });
            made.current()
        };
        let places = vec![StepArg::Operand(keys), StepArg::Operand(queries)];
        let distance = push(ScalarOp::Binary(BinaryOp::Sub), places);
        let bounds = [(BinaryOp::GreaterOrEqual, self.min_offset), (BinaryOp::LessOrEqual, self.max_offset)];
        let mut seen = None;
        for (op, bound) in bounds {
            let Some(bound) = bound else { continue };
            let within = push(ScalarOp::Binary(op), vec![distance, StepArg::Const(bound as f64)]);
            seen = Some(match seen {
                Some(other) => push(ScalarOp::Binary(BinaryOp::And), vec![other, within]),
                None => within,
            });
        }
        if let Some(seen) = seen {
            push(ScalarOp::Select, vec![seen, score, hidden]);
        }
        made.steps
    }

    /// The keys that any of some queries sees, of `keys`.
    pub fn seen_by(&self, queries: std::ops::Range<u64>, keys: u64) -> std::ops::Range<u64> {
        if queries.is_empty() {
            return 0..0;
        }
        let start = self.seen(queries.start, keys).start;
        let end = self.seen(queries.end - 1, keys).end;
        start.min(end)..end
    }
}

/// Sizes of an attention, as inference or a caller knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadSizes<T> {
    /// Batch.
    pub batch: T,
    /// Heads of the queries.
    pub heads: T,
    /// Heads of keys and values.
    pub kv_heads: T,
    /// Batch of keys and values: `batch`, or one for all.
    pub shared_batch: T,
    /// Rows of q.
    pub queries: T,
    /// Rows of k and v.
    pub keys: T,
    /// Channels of q and k.
    pub channels: T,
    /// Channels of v and the result.
    pub value_channels: T,
}

impl Attention {
    /// Of the operands behind v those that steps on the scores may read.
    pub fn read_by_scores<'a, T>(&self, behind_v: &'a [T]) -> &'a [T] {
        match behind_v {
            [scores @ .., _] if self.has_first => scores,
            all => all,
        }
    }

    /// The steps on the scores as an epilogue without operands.
    pub fn score_steps(&self) -> Epilogue {
        Epilogue { steps: self.scores.clone(), operands: Vec::new() }
    }

    /// Sizes, given the shapes of q, k and v.
    pub fn sizes<T: Clone>(&self, q: &[T], k: &[T], v: &[T]) -> HeadSizes<T> {
        let size = |shape: &[T], axes: &HeadAxes, at: usize| shape[axes[at]].clone();
        HeadSizes {
            batch: size(q, &self.q, 0),
            heads: size(q, &self.q, 1),
            kv_heads: size(k, &self.k, 1),
            shared_batch: size(k, &self.k, 0),
            queries: size(q, &self.q, 2),
            keys: size(k, &self.k, 2),
            channels: size(q, &self.q, 3),
            value_channels: size(v, &self.v, 3),
        }
    }

    pub(crate) fn infer(&self, check: &Check<'_>) -> Result<TensorType, InferErrorKind> {
        for operand in 0..3 {
            check.float(operand)?;
            if check.shape(operand).len() != 4 {
                return Err(check.shape_error(operand, "rank 4: batch, heads, rows, channels".to_owned()));
            }
        }
        let element = check.ty(0).element;
        for operand in 1..3 {
            let actual = check.ty(operand).element;
            if actual != element {
                let expected = format!("{element} like operand 0");
                return Err(InferErrorKind::Element { operand, expected, actual });
            }
        }
        for (name, axes) in [("q", self.q), ("k", self.k), ("v", self.v), ("y", self.y)] {
            let mut sorted = axes;
            sorted.sort_unstable();
            if sorted != HEADS_FIRST {
                return Err(attribute_error(name, "each of 0 to 3 once".to_owned(), format!("{axes:?}")));
            }
        }
        let sizes = self.sizes(check.shape(0), check.shape(1), check.shape(2));
        self.check_sizes(check, &sizes)?;
        let HeadSizes { batch, heads, queries, keys, value_channels, .. } = sizes;
        let scores = TensorType { element, shape: vec![batch.clone(), heads.clone(), queries.clone(), keys] };
        self.check_first(check, &batch)?;
        let made = self.score_steps().infer_steps(
            &scores,
            self.read_by_scores(&check.operands[3..]),
            check.symbols,
        )?;
        if !made.is_float() {
            return Err(attribute_error("scores", "steps that end in a float".to_owned(), made.name()));
        }
        let mut shape = vec![Dim::Const(0); 4];
        for (at, size) in [batch, heads, queries, value_channels].into_iter().enumerate() {
            shape[self.y[at]] = size;
        }
        Ok(TensorType { element, shape })
    }

    /// Fails unless the place of the first query is one integer for each batch.
    fn check_first(&self, check: &Check<'_>, batch: &Dim) -> Result<(), InferErrorKind> {
        if !self.has_first {
            return Ok(());
        }
        let operand = check.operands.len() - 1;
        if operand < 3 {
            let expected = "an operand behind v".to_owned();
            return Err(attribute_error("has_first", expected, "none".to_owned()));
        }
        check.index(operand)?;
        let one = Dim::Const(1);
        let fits = match check.shape(operand) {
            [own, rest @ ..] => {
                rest.len() == 3 && check.unify(own, batch).is_some() && rest.iter().all(|size| *size == one)
            }
            [] => false,
        };
        match fits {
            true => Ok(()),
            false => Err(check.shape_error(operand, "one place for each batch, of rank 4".to_owned())),
        }
    }

    fn check_sizes(&self, check: &Check<'_>, sizes: &HeadSizes<Dim>) -> Result<(), InferErrorKind> {
        let same = |a: &Dim, b: &Dim| check.unify(a, b).is_some();
        let v_shape = check.shape(2);
        let v_size = |at: usize| &v_shape[self.v[at]];
        let wrong = |operand: usize, what: String| Err(check.shape_error(operand, what));
        let k_channels = &check.shape(1)[self.k[3]];
        if !same(&sizes.channels, k_channels) {
            let wanted = sizes.channels.display(check.symbols).to_string();
            return wrong(1, format!("{wanted} channels, as the queries have"));
        }
        let one = Dim::Const(1);
        if !same(&sizes.batch, &sizes.shared_batch) && sizes.shared_batch != one {
            return wrong(1, "the batch of the queries, or one for all".to_owned());
        }
        let divides = match (&sizes.heads, &sizes.kv_heads) {
            (Dim::Const(heads), Dim::Const(shared)) => *shared > 0 && heads % shared == 0,
            (heads, shared) => same(heads, shared),
        };
        if !divides {
            return wrong(1, "a number of heads that divides that of the queries".to_owned());
        }
        let agree = same(v_size(0), &sizes.shared_batch)
            && same(v_size(1), &sizes.kv_heads)
            && same(v_size(2), &sizes.keys);
        if !agree {
            return wrong(2, "batch, heads and rows as the keys have".to_owned());
        }
        Ok(())
    }
}
