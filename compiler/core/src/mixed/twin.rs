//! Two evaluations of a graph in step: one in f32, and one in which every value is rounded to f16 where it would be stored so.

use super::numbers::{Distance, MOST, Numbers, is_single, rounded};
use super::values::{Values, decides, ends};
use super::{HEADROOM, Mixed, MixedError, Why, failed};
use drift_ir::eval::{Limits, eval_node};
use drift_ir::{Graph, Node, NodeId, Op, Tensor, ValueId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A change of its result beyond which a node's rounded result says nothing of what follows: it goes on from the exact one.
const LOST: f64 = 0.25;

/// The part of a change that a node passes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// What changes.
    pub(super) from: ValueId,
    /// What changes with it.
    pub(super) to: ValueId,
    /// The node in between.
    pub(super) node: NodeId,
    /// Mean change of the result for a mean change of the operand; infinite where a number becomes none.
    pub(super) gain: f64,
}

/// What one calibration set shows.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Numbers of each value, constants among them.
    pub(super) numbers: BTreeMap<ValueId, Numbers>,
    /// In the order of the nodes.
    pub(super) edges: Vec<Edge>,
    /// Largest magnitudes of what is compared.
    pub(super) ends: BTreeMap<ValueId, f64>,
    /// What is left of each value's rounding where operands are rounded already.
    pub(super) fresh: BTreeMap<ValueId, f64>,
    /// The worst share by which something that is compared changes; none where a result was lost on the way.
    pub(super) error: Option<f64>,
    exact: Exact,
}

/// What a later evaluation compares with, or takes from this one.
#[derive(Debug, Default)]
struct Exact {
    ends: BTreeMap<ValueId, Tensor>,
    /// Results of nodes that decide, by node.
    decided: BTreeMap<NodeId, Vec<Tensor>>,
}

/// What an evaluation with some values in f32 shows.
#[derive(Debug)]
pub(super) struct Measured {
    /// The worst share by which something that is compared changes.
    pub(super) error: f64,
    /// What rounding changes of each value.
    pub(super) fresh: BTreeMap<ValueId, f64>,
    /// The first node that makes infinities or no numbers of finite ones.
    pub(super) broken: Option<NodeId>,
}

/// A graph and a set of inputs for it.
pub(super) struct Twin<'a> {
    graph: Cow<'a, Graph>,
    values: &'a Values,
    inputs: &'a [Tensor],
    options: &'a Mixed,
    ends: BTreeSet<ValueId>,
}

impl<'a> Twin<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        values: &'a Values,
        inputs: &'a [Tensor],
        options: &'a Mixed,
    ) -> Result<Self, MixedError> {
        let bound = drift_ir::eval::bound(graph, inputs).map_err(|error| failed(options, error))?;
        Ok(Self { graph: bound, values, inputs, options, ends: ends(graph).into_iter().collect() })
    }

    /// Both evaluations, and what each edge passes on. Values that f16 cannot hold join `kept` as they are met.
    pub(super) fn learn(
        &self,
        bounds: &dyn Fn(ValueId) -> f64,
        kept: &mut BTreeMap<ValueId, Why>,
    ) -> Result<Learned, MixedError> {
        let mut learned = Learned { error: Some(0.0), ..Learned::default() };
        let mut live = Live::new(&self.graph);
        for value in self.values.all().filter(|&value| self.graph.constant(value).is_some()) {
            let Some(tensor) = self.graph.constant(value) else { continue };
            let numbers = Numbers::of(&tensor.to_f32_vec());
            self.judge(value, numbers, 1.0, kept, &mut learned);
        }
        for (&value, tensor) in self.graph.inputs().iter().zip(self.inputs) {
            if is_single(tensor) {
                self.look_at(value, tensor, bounds, kept, &mut learned);
            }
            let half = self.stored(value, tensor, &|value| self.stays(value, kept));
            live.put(value, Pair { exact: tensor.clone(), half });
        }
        for id in self.graph.nodes() {
            let node = self.graph.node(id);
            let operands = live.operands(node);
            let exact: Vec<&Tensor> = operands.iter().map(|pair| &pair.exact).collect();
            let right = self.eval(node, &exact)?;
            let results = if decides(&self.graph, node) {
                learned.exact.decided.insert(id, right.clone());
                right.into_iter().map(Pair::same).collect()
            } else {
                self.learn_node(id, &operands, right, (bounds, kept), &mut learned)?
            };
            node.operands().for_each(|value| live.used(value));
            for (&value, pair) in node.outputs.iter().zip(results) {
                if self.ends.contains(&value) {
                    learned.exact.ends.insert(value, pair.exact.clone());
                }
                live.put(value, pair);
            }
        }
        self.compare_ends(&live, &mut learned)?;
        Ok(learned)
    }

    /// What a node makes of both, and what its operands' changes do to it.
    fn learn_node(
        &self,
        id: NodeId,
        operands: &[Pair],
        right: Vec<Tensor>,
        (bounds, kept): (&dyn Fn(ValueId) -> f64, &mut BTreeMap<ValueId, Why>),
        learned: &mut Learned,
    ) -> Result<Vec<Pair>, MixedError> {
        let node = self.graph.node(id);
        let stored: Vec<Tensor> = self.as_stored(node, operands, kept);
        let changed = operands.iter().zip(&stored).any(|(pair, half)| pair.exact != *half);
        let made = match changed {
            true => self.eval(node, &stored.iter().collect::<Vec<_>>())?,
            false => right.clone(),
        };
        let (value, exact) = (node.outputs[0], &right[0]);
        if !is_single(exact) {
            return Ok(right.into_iter().zip(made).map(|(exact, half)| Pair { exact, half }).collect());
        }
        self.look_at(value, exact, bounds, kept, learned);
        self.look_at_scores(node, operands, kept);
        let (exact_numbers, mut made_numbers) = (exact.to_f32_vec(), made[0].to_f32_vec());
        if changed {
            let change = Distance::between(&exact_numbers, &made_numbers);
            self.edges(id, operands, &stored, (&exact_numbers, &made_numbers, change), learned)?;
            let rms = learned.numbers.get(&value).map_or(0.0, |numbers| numbers.rms);
            if !change.is_finite() || change.rms > LOST * rms {
                made_numbers.clone_from(&exact_numbers);
                learned.error = None;
            }
        }
        let tensor = Tensor::from_f32(exact.shape().to_vec(), &made_numbers);
        let half = tensor.unwrap_or_else(|_| exact.clone());
        learned.fresh.insert(value, Numbers::of(&made_numbers).rounding);
        let half = self.stored(value, &half, &|value| self.stays(value, kept));
        Ok(vec![Pair { exact: right.into_iter().next().unwrap_or_else(|| half.clone()), half }])
    }

    /// Notes a value's numbers, and keeps it where f16 does not hold them.
    fn look_at(
        &self,
        value: ValueId,
        tensor: &Tensor,
        bounds: &dyn Fn(ValueId) -> f64,
        kept: &mut BTreeMap<ValueId, Why>,
        learned: &mut Learned,
    ) {
        // What is proved to fit needs no room.
        let headroom = if bounds(value) <= MOST { 1.0 } else { HEADROOM };
        self.judge(value, Numbers::of(&tensor.to_f32_vec()), headroom, kept, learned);
    }

    fn judge(
        &self,
        value: ValueId,
        numbers: Numbers,
        headroom: f64,
        kept: &mut BTreeMap<ValueId, Why>,
        learned: &mut Learned,
    ) {
        learned.numbers.insert(value, numbers);
        if !self.values.may_stay(value) {
            return;
        }
        let largest = numbers.largest;
        if largest * headroom > MOST {
            kept.insert(value, Why::Overflow { largest });
        } else if numbers.rms > 0.0 && numbers.relative_rounding() > super::rules::TINY {
            kept.entry(value).or_insert(Why::Underflow { rms: numbers.rms });
        }
    }

    /// Keeps the queries of attention whose scores may leave the range of f16, since scores are stored as queries are.
    fn look_at_scores(&self, node: &Node, operands: &[Pair], kept: &mut BTreeMap<ValueId, Why>) {
        let Op::Attention(op) = &node.op else { return };
        let query = node.inputs[0];
        let sources = self.values.sources(query);
        if sources.iter().all(|source| kept.contains_key(source)) {
            return;
        }
        let longest = |at: usize, channels: usize| {
            let (tensor, mut squares) = (&operands[at].exact, BTreeMap::new());
            let inner: usize = tensor.shape()[channels + 1..].iter().product::<u64>() as usize;
            let size = tensor.shape()[channels] as usize;
            for (index, value) in tensor.to_f32_vec().into_iter().enumerate() {
                let row = (index / (inner * size).max(1), index % inner.max(1));
                *squares.entry(row).or_insert(0.0) += f64::from(value) * f64::from(value);
            }
            squares.values().copied().fold(0.0, f64::max).sqrt()
        };
        let largest = longest(0, op.q[3]) * longest(1, op.k[3]);
        if largest * HEADROOM > MOST {
            for source in sources {
                kept.entry(source).or_insert_with(|| Why::Scores { largest, node: node.name.clone() });
            }
        }
    }

    /// What each operand's change does to the result. Of several changes the last one's share is what the others leave.
    fn edges(
        &self,
        id: NodeId,
        operands: &[Pair],
        stored: &[Tensor],
        (exact, made, change): (&[f32], &[f32], Distance),
        learned: &mut Learned,
    ) -> Result<(), MixedError> {
        let node = self.graph.node(id);
        let to = node.outputs[0];
        let read: Vec<ValueId> = node.operands().collect();
        let changes: Vec<Distance> =
            operands.iter().zip(stored).map(|(pair, half)| pair.change(half)).collect();
        let pooled = pooled(&self.graph, node);
        let mut alone: Vec<usize> = (0..read.len())
            .filter(|at| !pooled.contains(at) && changes[*at].rms > 0.0)
            .filter(|at| !read[..*at].contains(&read[*at]))
            .collect();
        let has_pool = pooled.iter().any(|&at| changes[at].rms > 0.0);
        let last = if has_pool { None } else { alone.pop() };
        let mut parts = Vec::new();
        for at in alone {
            let with = |(n, pair): (usize, &Pair)| match read[n] == read[at] {
                true => stored[n].clone(),
                false => pair.exact.clone(),
            };
            let tensors: Vec<Tensor> = operands.iter().enumerate().map(with).collect();
            let part = self.eval(node, &tensors.iter().collect::<Vec<_>>())?[0].to_f32_vec();
            let distance = Distance::between(exact, &part);
            learned.edges.push(Edge { from: read[at], to, node: id, gain: gain(distance, changes[at].rms) });
            parts.push(part);
        }
        let rest = if parts.is_empty() { change } else { Distance::rest(exact, made, &parts) };
        if let Some(at) = last {
            learned.edges.push(Edge { from: read[at], to, node: id, gain: gain(rest, changes[at].rms) });
        } else if has_pool {
            // A product passes on a share of one factor's as of the other's.
            let share = |at: usize| changes[at].rms / pair_rms(&operands[at]).max(f64::MIN_POSITIVE);
            let factors = &pooled[..pooled.len().min(2)];
            let all = factors.iter().map(|&at| share(at) * share(at)).sum::<f64>().sqrt();
            for &at in &pooled {
                let own = match factors.contains(&at) {
                    // What changes is what is added.
                    true if all == 0.0 => 0.0,
                    true => gain(rest, pair_rms(&operands[at]) * all),
                    // A bias is added.
                    false => 1.0,
                };
                if self.values.contains(read[at]) || self.graph.constant(read[at]).is_none() {
                    learned.edges.push(Edge { from: read[at], to, node: id, gain: own });
                }
            }
        }
        Ok(())
    }

    /// An evaluation with `kept` in f32, compared with the exact one.
    pub(super) fn measure(
        &self,
        learned: &Learned,
        kept: &BTreeSet<ValueId>,
    ) -> Result<Measured, MixedError> {
        let stays = |value: ValueId| kept.contains(&value);
        let mut live = Live::new(&self.graph);
        let mut measured = Measured { error: 0.0, fresh: BTreeMap::new(), broken: None };
        for (&value, tensor) in self.graph.inputs().iter().zip(self.inputs) {
            live.put(value, Pair::same(self.stored(value, tensor, &stays)));
        }
        for id in self.graph.nodes() {
            let node = self.graph.node(id);
            let results = match learned.exact.decided.get(&id) {
                Some(decided) => decided.clone(),
                None => {
                    let operands = live.operands(node);
                    let stored = self.as_stored_if(node, &operands, &stays);
                    self.eval(node, &stored.iter().collect::<Vec<_>>())?
                }
            };
            node.operands().for_each(|value| live.used(value));
            for (&value, tensor) in node.outputs.iter().zip(results) {
                let tensor = self.note(value, tensor, &stays, &mut measured, learned, id);
                live.put(value, Pair::same(tensor));
            }
        }
        for (value, exact) in &learned.exact.ends {
            let largest = learned.ends.get(value).copied().unwrap_or(0.0);
            let Some(half) = live.kept_end(*value) else { continue };
            let distance = Distance::between(&exact.to_f32_vec(), &half.to_f32_vec());
            measured.error = measured.error.max(share(distance.largest, largest));
        }
        Ok(measured)
    }

    /// Notes what rounding changes of a result, and gives what is stored.
    fn note(
        &self,
        value: ValueId,
        tensor: Tensor,
        stays: &dyn Fn(ValueId) -> bool,
        measured: &mut Measured,
        learned: &Learned,
        id: NodeId,
    ) -> Tensor {
        if !is_single(&tensor) {
            return tensor;
        }
        let numbers = tensor.to_f32_vec();
        let was_finite = learned.numbers.get(&value).is_some_and(|numbers| numbers.is_all_finite);
        if was_finite && measured.broken.is_none() && numbers.iter().any(|value| !value.is_finite()) {
            measured.broken = Some(id);
        }
        measured.fresh.insert(value, Numbers::of(&numbers).rounding);
        self.stored(value, &tensor, stays)
    }

    fn eval(&self, node: &Node, operands: &[&Tensor]) -> Result<Vec<Tensor>, MixedError> {
        eval_node(node, operands, Limits::STANDARD).map_err(|error| failed(self.options, error))
    }

    /// A value as it comes back from where it is stored.
    fn stored(&self, value: ValueId, tensor: &Tensor, stays: &dyn Fn(ValueId) -> bool) -> Tensor {
        let is_half = is_single(tensor) && self.values.contains(value) && !stays(value);
        if is_half { rounded(tensor) } else { tensor.clone() }
    }

    /// Whether a value is kept, or what it only moves.
    fn stays(&self, value: ValueId, kept: &BTreeMap<ValueId, Why>) -> bool {
        self.values.sources(value).iter().any(|source| kept.contains_key(source))
    }

    fn as_stored(&self, node: &Node, operands: &[Pair], kept: &BTreeMap<ValueId, Why>) -> Vec<Tensor> {
        self.as_stored_if(node, operands, &|value| self.stays(value, kept))
    }

    /// What a node reads: constants are rounded here, activations were when they were made.
    fn as_stored_if(&self, node: &Node, operands: &[Pair], stays: &dyn Fn(ValueId) -> bool) -> Vec<Tensor> {
        let one = |(value, pair): (ValueId, &Pair)| match self.graph.constant(value) {
            Some(tensor) => self.stored(value, tensor, stays),
            None => pair.half.clone(),
        };
        node.operands().zip(operands).map(one).collect()
    }

    fn compare_ends(&self, live: &Live<'_>, learned: &mut Learned) -> Result<(), MixedError> {
        for &value in &self.ends {
            let Some(tensor) = learned.exact.ends.get(&value) else { continue };
            let exact = tensor.to_f32_vec();
            let largest = Numbers::of(&exact).largest;
            learned.ends.insert(value, largest);
            if let (Some(half), Some(error)) = (live.kept_end(value), learned.error) {
                let distance = Distance::between(&exact, &half.to_f32_vec());
                learned.error = Some(error.max(share(distance.largest, largest)));
            }
        }
        let numbers = |tensor: &Tensor| tensor.to_f32_vec().iter().any(|value| value.is_finite());
        match learned.exact.ends.is_empty() || learned.exact.ends.values().any(numbers) {
            true => Ok(()),
            false => Err(MixedError::NotFinite { told: self.options.told.clone() }),
        }
    }
}

/// A difference as a share of the largest magnitude, or as it is beside nothing but zeros.
fn share(difference: f64, largest: f64) -> f64 {
    if largest > 0.0 { difference / largest } else { difference }
}

fn gain(change: Distance, of: f64) -> f64 {
    match change.is_finite() {
        true if change.rms == 0.0 => 0.0,
        true => change.rms / of.max(f64::MIN_POSITIVE),
        false => f64::INFINITY,
    }
}

fn pair_rms(pair: &Pair) -> f64 {
    Numbers::of(&pair.exact.to_f32_vec()).rms
}

/// Operands of a product by constant weights that are taken together, the factors first: none costs an evaluation of its own.
fn pooled(graph: &Graph, node: &Node) -> Vec<usize> {
    let is_product = matches!(node.op, Op::MatMul(_) | Op::Conv(_) | Op::ConvTranspose(_));
    if !is_product || graph.constant(node.inputs[1]).is_none() {
        return Vec::new();
    }
    let constants = node.operands().enumerate().skip(2).filter(|&(_, value)| graph.constant(value).is_some());
    [0, 1].into_iter().chain(constants.map(|(at, _)| at)).collect()
}

/// A value, exact and as it is stored.
#[derive(Clone, Debug)]
struct Pair {
    exact: Tensor,
    half: Tensor,
}

impl Pair {
    fn same(tensor: Tensor) -> Self {
        Self { half: tensor.clone(), exact: tensor }
    }

    /// How far `half` is from the exact one.
    fn change(&self, half: &Tensor) -> Distance {
        match is_single(half) && self.exact != *half {
            true => Distance::between(&self.exact.to_f32_vec(), &half.to_f32_vec()),
            false => Distance::default(),
        }
    }
}

/// Tensors that are still needed. Clones share their bytes.
struct Live<'a> {
    graph: &'a Graph,
    pairs: Vec<Option<Pair>>,
    uses: Vec<u32>,
}

impl<'a> Live<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut uses = vec![0_u32; graph.value_capacity()];
        let operands = graph.nodes().flat_map(|id| graph.node(id).operands());
        // What is compared lives to the end.
        for value in operands.chain(ends(graph)) {
            uses[value.0 as usize] += 1;
        }
        Self { graph, pairs: vec![None; uses.len()], uses }
    }

    fn put(&mut self, value: ValueId, pair: Pair) {
        if self.uses[value.0 as usize] > 0 {
            self.pairs[value.0 as usize] = Some(pair);
        }
    }

    fn operands(&self, node: &Node) -> Vec<Pair> {
        let one = |value: ValueId| match self.graph.constant(value) {
            Some(constant) => Pair::same(constant.clone()),
            None => {
                let pair = self.pairs[value.0 as usize].clone();
                pair.unwrap_or_else(|| {
                    unreachable!("nodes are in execution order and values live until their last use")
                })
            }
        };
        node.operands().map(one).collect()
    }

    /// A value that is compared, as it is stored.
    fn kept_end(&self, value: ValueId) -> Option<Tensor> {
        self.pairs[value.0 as usize].as_ref().map(|pair| pair.half.clone())
    }

    fn used(&mut self, value: ValueId) {
        let uses = &mut self.uses[value.0 as usize];
        *uses -= 1;
        if *uses == 0 {
            self.pairs[value.0 as usize] = None;
        }
    }
}
