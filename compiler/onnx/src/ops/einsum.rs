//! Einsum: sums of products over named axes, as transposes, matrix products and reductions.

use crate::budget::LIST;
use crate::error::NodeError;
use crate::node::{NodeCx, Results};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, MatMul, Reduce, ReduceKind, Slice};
use drift_ir::{Dim, Op, ValueId};

/// A name of an axis: a letter, or a place under the ellipsis counted from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// A factor and the names of its axes.
#[derive(Clone)]
struct Factor {
    value: ValueId,
    labels: Vec<Label>,
}

/// Einsum, since 12. Operands are multiplied from the left, axes that nothing else names summed as soon as they can be. A
/// letter that one operand names twice takes a diagonal.
pub(super) fn einsum(cx: &mut NodeCx<'_, '_>) -> Results {
    let equation = cx.attributes.text("equation")?.ok_or(NodeError::MissingAttribute("equation"))?;
    let equation: String = equation.split_whitespace().collect();
    let bad = |expected: &str| NodeError::Value {
        name: "equation",
        value: equation.clone(),
        expected: expected.to_owned(),
    };
    if equation.len() > LIST {
        return Err(bad("a text of at most 4096 letters"));
    }
    let (terms, result) = match equation.split_once("->") {
        Some((terms, result)) => (terms, Some(result)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    if terms.len() != cx.operand_count() {
        return Err(bad("one term per operand"));
    }
    let mut factors = Vec::with_capacity(terms.len());
    for (index, term) in terms.iter().enumerate() {
        let value = cx.operand(index)?;
        let labels = labels(term, Some(cx.rank(value)))
            .ok_or_else(|| bad("letters and at most one ellipsis, one letter per axis"))?;
        let factor = diagonal(cx, Factor { value, labels })?;
        factors.push(without_ones(cx, factor)?);
    }
    let named: Vec<Label> = factors.iter().flat_map(|factor| factor.labels.iter().copied()).collect();
    let under_ellipsis = under_ellipsis(cx, &terms)?;
    let wanted = match result {
        Some(text) => with_ellipsis(text, under_ellipsis).ok_or_else(|| bad("letters after the arrow"))?,
        None => implied(&terms, under_ellipsis),
    };
    if has_twice(&wanted) {
        return Err(bad("different letters after the arrow"));
    }
    let sizes = sizes(cx, &terms)?;
    let known = |label: &Label| sizes.iter().any(|(other, _)| other == label);
    if !wanted.iter().all(known) {
        return Err(bad("letters after the arrow that an operand names"));
    }
    let kept: Vec<Label> = wanted.iter().copied().filter(|label| named.contains(label)).collect();
    let product = contract_all(cx, factors, &kept)?;
    let product = ordered(cx, product, &kept)?;
    let shape = wanted.iter().map(|label| size_of(&sizes, *label)).collect();
    // Axes that have size one in every operand were dropped before.
    Ok(vec![cx.reshape(product, shape)?])
}

/// The names of a term's axes; the ellipsis stands for those that no letter names.
fn labels(term: &str, rank: Option<usize>) -> Option<Vec<Label>> {
    let letters = term.replace("...", "").chars().count();
    let hidden = rank.map_or(Some(0), |rank| rank.checked_sub(letters))?;
    if !term.contains("...") && hidden > 0 {
        return None;
    }
    with_ellipsis(term, hidden)
}

/// The names in a term whose ellipsis stands for `hidden` axes.
fn with_ellipsis(term: &str, hidden: usize) -> Option<Vec<Label>> {
    let (before, after) = term.split_once("...").unwrap_or((term, ""));
    let letters = |text: &str| -> Option<Vec<Label>> {
        text.chars().map(|letter| letter.is_ascii_alphabetic().then_some(Label::Letter(letter))).collect()
    };
    let mut labels = letters(before)?;
    if term.contains("...") {
        labels.extend((0..hidden).rev().map(Label::Ellipsis));
    }
    labels.extend(letters(after)?);
    Some(labels)
}

fn has_twice(labels: &[Label]) -> bool {
    labels.iter().enumerate().any(|(at, label)| labels[..at].contains(label))
}

/// The elements of a factor at equal places along axes of one name. Both axes come last and become one, along which such
/// elements stand `size + 1` apart.
fn diagonal(cx: &mut NodeCx<'_, '_>, mut factor: Factor) -> Result<Factor, NodeError> {
    let twice = |labels: &[Label]| {
        let second = (0..labels.len()).find(|&at| labels[..at].contains(&labels[at]))?;
        Some((labels.iter().position(|label| *label == labels[second])?, second))
    };
    while let Some((first, second)) = twice(&factor.labels) {
        let shape = cx.shape(factor.value);
        let size = match (&shape[first], &shape[second]) {
            (&Dim::Const(size), &Dim::Const(other)) if size == other => size,
            (Dim::Const(size), Dim::Const(other)) => {
                return Err(NodeError::Operands(format!(
                    "a diagonal of {size} x {other} elements does not exist"
                )));
            }
            _ => {
                let reason = "the diagonal of axes with free sizes is not supported; fix them with --dim";
                return Err(NodeError::Unsupported(reason.to_owned()));
            }
        };
        let others: Vec<usize> = (0..shape.len()).filter(|&axis| axis != first && axis != second).collect();
        let value = cx.transpose(factor.value, [&others[..], &[first, second]].concat())?;
        let mut flat: Vec<Dim> = others.iter().map(|&axis| shape[axis].clone()).collect();
        flat.push(cx.product(&[Dim::Const(size), Dim::Const(size)])?);
        let value = cx.reshape(value, flat)?;
        let step = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
        let cut = SliceAxis { axis: others.len(), start: 0, step, count: Dim::Const(size) };
        let value = cx.emit(Op::Slice(Slice { axes: vec![cut] }), &[value])?;
        let mut labels: Vec<Label> = others.iter().map(|&axis| factor.labels[axis]).collect();
        labels.push(factor.labels[first]);
        factor = Factor { value, labels };
    }
    Ok(factor)
}

/// The most axes that an operand has under its ellipsis.
fn under_ellipsis(cx: &NodeCx<'_, '_>, terms: &[&str]) -> Result<usize, NodeError> {
    let mut most = 0;
    for (index, term) in terms.iter().enumerate().filter(|(_, term)| term.contains("...")) {
        let letters = term.chars().filter(char::is_ascii_alphabetic).count();
        most = most.max(cx.rank(cx.operand(index)?).saturating_sub(letters));
    }
    Ok(most)
}

/// Without an arrow: the axes under the ellipsis, then the letters that stand once, sorted.
fn implied(terms: &[&str], hidden: usize) -> Vec<Label> {
    let all: Vec<char> =
        terms.iter().flat_map(|term| term.chars()).filter(char::is_ascii_alphabetic).collect();
    let mut once: Vec<char> = all
        .iter()
        .copied()
        .filter(|letter| all.iter().filter(|other| *other == letter).count() == 1)
        .collect();
    once.sort_unstable();
    (0..hidden).rev().map(Label::Ellipsis).chain(once.into_iter().map(Label::Letter)).collect()
}

/// The size of every axis, one only where all operands have one.
fn sizes(cx: &NodeCx<'_, '_>, terms: &[&str]) -> Result<Vec<(Label, Dim)>, NodeError> {
    let mut sizes: Vec<(Label, Dim)> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let value = cx.operand(index)?;
        let labels = labels(term, Some(cx.rank(value))).unwrap_or_default();
        for (label, size) in labels.into_iter().zip(cx.shape(value)) {
            match sizes.iter_mut().find(|(known, _)| *known == label) {
                None => sizes.push((label, size)),
                Some((_, known)) if *known == Dim::Const(1) => *known = size,
                Some((_, known)) if size == Dim::Const(1) || *known == size => {}
                Some((_, known)) => {
                    let reason = format!("an axis has different sizes in two operands ({known:?}, {size:?})");
                    return Err(NodeError::Operands(reason));
                }
            }
        }
    }
    Ok(sizes)
}

fn size_of(sizes: &[(Label, Dim)], label: Label) -> Dim {
    let found = sizes.iter().find(|(known, _)| *known == label);
    found.map_or(Dim::Const(1), |(_, size)| size.clone())
}

/// Axes of size one broadcast to what others have there, so they can go.
fn without_ones(cx: &mut NodeCx<'_, '_>, factor: Factor) -> Result<Factor, NodeError> {
    let shape = cx.shape(factor.value);
    let kept = |&(_, size): &(&Label, &Dim)| *size != Dim::Const(1);
    let (labels, sizes): (Vec<Label>, Vec<Dim>) =
        factor.labels.iter().zip(&shape).filter(kept).map(|(label, size)| (*label, size.clone())).unzip();
    Ok(Factor { value: cx.reshape(factor.value, sizes)?, labels })
}

/// Multiplies the factors from the left; what is left are the axes in `wanted`, in some order.
fn contract_all(
    cx: &mut NodeCx<'_, '_>,
    factors: Vec<Factor>,
    wanted: &[Label],
) -> Result<Factor, NodeError> {
    let mut rest = factors.into_iter();
    let first = rest.next().ok_or(NodeError::MissingOperand(0))?;
    let mut rest: Vec<Factor> = rest.collect();
    let is_needed = |label: &Label, later: &[Factor]| {
        wanted.contains(label) || later.iter().any(|factor| factor.labels.contains(label))
    };
    let mut product = summed(cx, first, |label| is_needed(label, &rest))?;
    while !rest.is_empty() {
        let next = rest.remove(0);
        let left = product.labels.clone();
        let next = summed(cx, next, |label| left.contains(label) || is_needed(label, &rest))?;
        product = contract(cx, product, next, |label| is_needed(label, &rest))?;
    }
    Ok(product)
}

/// Sums over the axes that are not needed.
fn summed(
    cx: &mut NodeCx<'_, '_>,
    factor: Factor,
    is_needed: impl Fn(&Label) -> bool,
) -> Result<Factor, NodeError> {
    let axes: Vec<usize> =
        (0..factor.labels.len()).filter(|&axis| !is_needed(&factor.labels[axis])).collect();
    if axes.is_empty() {
        return Ok(factor);
    }
    let labels = factor.labels.iter().copied().filter(|label| is_needed(label)).collect();
    let op = Reduce { kind: ReduceKind::Sum, axes, keep_dims: false };
    Ok(Factor { value: cx.emit(Op::Reduce(op), &[factor.value])?, labels })
}

/// The product of two factors, summed over the axes that both have and that are not needed.
fn contract(
    cx: &mut NodeCx<'_, '_>,
    a: Factor,
    b: Factor,
    is_needed: impl Fn(&Label) -> bool,
) -> Result<Factor, NodeError> {
    let of_both = |label: &&Label| b.labels.contains(label);
    let shared: Vec<Label> = a.labels.iter().filter(of_both).copied().collect();
    let (batch, inner): (Vec<Label>, Vec<Label>) = shared.iter().copied().partition(|label| is_needed(label));
    let own = |factor: &Factor| -> Vec<Label> {
        factor.labels.iter().copied().filter(|label| !shared.contains(label)).collect()
    };
    let (rows, columns) = (own(&a), own(&b));
    let sizes = |cx: &NodeCx<'_, '_>, factor: &Factor, labels: &[Label]| -> Vec<Dim> {
        let shape = cx.shape(factor.value);
        let size = |label| factor.labels.iter().position(|known| known == label).map(|at| shape[at].clone());
        labels.iter().filter_map(size).collect()
    };
    let (batch_sizes, row_sizes) = (sizes(cx, &a, &batch), sizes(cx, &a, &rows));
    let (inner_sizes, column_sizes) = (sizes(cx, &a, &inner), sizes(cx, &b, &columns));
    // A factor whose summed axes come last is read in place; so is the second one when they come before its own.
    let in_order = |labels: &[Label], order: &[&[Label]]| labels.iter().copied().eq(order.concat());
    let transpose_b = !in_order(&b.labels, &[&batch, &inner, &columns]);
    let second = if transpose_b { [&columns, &inner] } else { [&inner, &columns] };
    let [m, k, n] = [&row_sizes, &inner_sizes, &column_sizes].map(|sizes| cx.product(sizes));
    let (m, k, n) = (m?, k?, n?);
    let with = |last: [&Dim; 2]| [&batch_sizes[..], &[last[0].clone(), last[1].clone()]].concat();
    let a = ordered(cx, a, &[&batch[..], &rows, &inner].concat())?;
    let a = cx.reshape(a, with([&m, &k]))?;
    let b = ordered(cx, b, &[&batch[..], second[0], second[1]].concat())?;
    let b = cx.reshape(b, with(if transpose_b { [&n, &k] } else { [&k, &n] }))?;
    let value = if inner.is_empty() {
        // Nothing is summed: columns broadcast against rows.
        let b = cx.reshape(b, with([&Dim::Const(1), &n]))?;
        cx.binary(BinaryOp::Mul, a, b)?
    } else {
        cx.emit(Op::MatMul(MatMul { transpose_b }), &[a, b])?
    };
    let shape = [batch_sizes.clone(), row_sizes, column_sizes].concat();
    Ok(Factor { value: cx.reshape(value, shape)?, labels: [batch, rows, columns].concat() })
}

/// A factor's value with its axes in this order.
fn ordered(cx: &mut NodeCx<'_, '_>, factor: Factor, order: &[Label]) -> Result<ValueId, NodeError> {
    let place = |label: &Label| factor.labels.iter().position(|known| known == label);
    let perm: Vec<usize> = order.iter().filter_map(place).collect();
    cx.transpose(factor.value, perm)
}
