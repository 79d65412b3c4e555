//! Attributes of each op, in both directions: the one place that knows their names in text.

mod image;

use super::ParseErrorKind;
use super::lexer::Position;
use super::literal::{parse_f64, parse_unsigned, show_f64};
use super::{ParseError, dims};
use crate::dim::{Dim, IntExpr, Symbols};
use crate::op::attention::{Band, HEADS_FIRST, HeadAxes};
use crate::op::data::SliceAxis;
use crate::op::{
    ArgReduce, Attention, BinaryOp, Concat, Conv, CumSum, Expand, Gather, GatherElements, GatherNd,
    LayerNorm, MatMul, Op, Range, Reduce, ReduceKind, Reshape, RmsNorm, Rotary, ScalarOp, ScatterElements,
    ScatterNd, ShapeOf, Slice, Softmax, Suppress, TopK, Transpose, UnaryOp, Update, WriteRows,
};
use crate::tensor::{ElementType, show_shape};
use crate::text::lexer::{Lexer, Token};

/// What stands after `=`.
enum Attribute {
    /// A number with its sign, or a word.
    Scalar(String),
    List(Vec<IntExpr>),
}

/// Attributes as written, taken out one by one as an op asks for them.
pub(super) struct Attributes {
    position: Position,
    entries: Vec<(String, Position, Attribute)>,
}

type Parsed<T> = Result<T, ParseError>;

impl Attributes {
    /// Reads `{name=value, ..}`, which may be absent.
    pub(super) fn parse(lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Parsed<Self> {
        let position = lexer.position()?;
        let mut attributes = Self { position, entries: Vec::new() };
        if *lexer.peek()? != Token::Mark('{') {
            return Ok(attributes);
        }
        lexer.next()?;
        while *lexer.peek()? != Token::Mark('}') {
            attributes.entry(lexer, symbols)?;
            if *lexer.peek()? != Token::Mark(',') {
                break;
            }
            lexer.next()?;
        }
        match lexer.next()? {
            (_, Token::Mark('}')) => Ok(attributes),
            (position, token) => Err(position.expected("`,` or `}`", &token)),
        }
    }

    fn entry(&mut self, lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Parsed<()> {
        let (position, token) = lexer.next()?;
        let Token::Word(name) = token else {
            return Err(position.expected("an attribute's name", &token));
        };
        if self.entries.iter().any(|(known, _, _)| *known == name) {
            return Err(attribute_error(position, &name, "is given twice"));
        }
        match lexer.next()? {
            (_, Token::Mark('=')) => {}
            (position, token) => return Err(position.expected("`=`", &token)),
        }
        let value = match lexer.next()? {
            (_, Token::Mark('[')) => Attribute::List(list(lexer, symbols)?),
            (_, Token::Word(text) | Token::Number(text)) => Attribute::Scalar(text),
            (_, Token::Mark('-')) => match lexer.next()? {
                (_, Token::Word(text) | Token::Number(text)) => Attribute::Scalar(format!("-{text}")),
                (position, token) => return Err(position.expected("a number", &token)),
            },
            (position, token) => return Err(position.expected("a number, a word or `[`", &token)),
        };
        self.entries.push((name, position, value));
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<(Position, Attribute)> {
        let index = self.entries.iter().position(|(known, _, _)| known == name)?;
        let (_, position, value) = self.entries.remove(index);
        Some((position, value))
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Parsed<T> {
        value.ok_or_else(|| attribute_error(self.position, name, "is missing"))
    }

    fn scalar(&mut self, name: &str) -> Parsed<Option<(Position, String)>> {
        match self.take(name) {
            None => Ok(None),
            Some((position, Attribute::Scalar(text))) => Ok(Some((position, text))),
            Some((position, Attribute::List(_))) => Err(attribute_error(position, name, "is not a list")),
        }
    }

    fn unsigned(&mut self, name: &str) -> Parsed<Option<u64>> {
        let scalar = self.scalar(name)?;
        let parse =
            |(position, text): (Position, String)| parse_unsigned(&text).map_err(|kind| position.error(kind));
        scalar.map(parse).transpose()
    }

    fn index(&mut self, name: &str) -> Parsed<Option<usize>> {
        let position = self.position;
        let value = self.unsigned(name)?;
        let fit = |value| usize::try_from(value).map_err(|_| attribute_error(position, name, "is too large"));
        value.map(fit).transpose()
    }

    fn signed(&mut self, name: &str) -> Parsed<Option<i64>> {
        let wrong = |position| attribute_error(position, name, "is not an integer");
        let scalar = self.scalar(name)?;
        scalar.map(|(position, text)| text.parse().map_err(|_| wrong(position))).transpose()
    }

    fn float(&mut self, name: &str) -> Parsed<Option<f64>> {
        let scalar = self.scalar(name)?;
        let parse =
            |(position, text): (Position, String)| parse_f64(&text).map_err(|kind| position.error(kind));
        scalar.map(parse).transpose()
    }

    fn flag(&mut self, name: &str) -> Parsed<bool> {
        match self.scalar(name)? {
            None => Ok(false),
            Some((position, text)) => match text.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(attribute_error(position, name, "is neither true nor false")),
            },
        }
    }

    fn list(&mut self, name: &str) -> Parsed<Option<(Position, Vec<IntExpr>)>> {
        match self.take(name) {
            None => Ok(None),
            Some((position, Attribute::List(values))) => Ok(Some((position, values))),
            Some((position, Attribute::Scalar(_))) => Err(attribute_error(position, name, "is not a list")),
        }
    }

    fn dims(&mut self, name: &str) -> Parsed<Option<Vec<Dim>>> {
        let Some((position, values)) = self.list(name)? else {
            return Ok(None);
        };
        let dims =
            values.into_iter().map(|value| Dim::try_from(value).map_err(|error| position.error(error)));
        dims.collect::<Parsed<_>>().map(Some)
    }

    fn integers<T: TryFrom<i64>>(&mut self, name: &str) -> Parsed<Option<Vec<T>>> {
        let Some((position, values)) = self.list(name)? else {
            return Ok(None);
        };
        let known = values.iter().map(|value| value.as_const().and_then(|value| T::try_from(value).ok()));
        let integers: Option<Vec<T>> = known.collect();
        let wrong = || attribute_error(position, name, "has an element that is out of range or not known");
        integers.ok_or_else(wrong).map(Some)
    }

    /// Fails if the op did not ask for every attribute.
    pub(super) fn finish(&self) -> Parsed<()> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, position, _)) => Err(attribute_error(*position, name, "is not one of this op's")),
        }
    }

    /// The scalar function of that name; `None` if there is none.
    pub(super) fn scalar_op(&mut self, name: &str) -> Parsed<Option<ScalarOp>> {
        if let Some(op) = UnaryOp::ALL.into_iter().find(|op| op.name() == name) {
            return Ok(Some(ScalarOp::Unary(op)));
        }
        if let Some(op) = BinaryOp::ALL.into_iter().find(|op| op.name() == name) {
            return Ok(Some(ScalarOp::Binary(op)));
        }
        Ok(Some(match name {
            "select" => ScalarOp::Select,
            "clip" => {
                let (min, max) = (self.float("min")?, self.float("max")?);
                ScalarOp::Clip { min: min.unwrap_or(f64::NEG_INFINITY), max: max.unwrap_or(f64::INFINITY) }
            }
            "cast" => {
                let to = self.scalar("to")?;
                let (position, text) = self.required("to", to)?;
                let element = ElementType::from_name(&text);
                ScalarOp::Cast(
                    element.ok_or_else(|| attribute_error(position, "to", "is not an element type"))?,
                )
            }
            _ => return Ok(None),
        }))
    }

    /// The op of that name. `rank` is that of the first operand, 0 when there is none.
    pub(super) fn op(&mut self, name: &str, rank: usize) -> Parsed<Option<Op>> {
        if let Some(op) = self.scalar_op(name)? {
            return Ok(Some(Op::Elementwise(op)));
        }
        if let Some(kind) = ReduceKind::ALL.into_iter().find(|kind| kind.name() == name) {
            let axes = self.integers_of("axes")?;
            let keep_dims = self.flag("keep_dims")?;
            return Ok(Some(Op::Reduce(Reduce { kind, axes, keep_dims })));
        }
        if let Some(op) = self.image_op(name, rank)? {
            return Ok(Some(op));
        }
        Ok(Some(match name {
            "matmul" => Op::MatMul(MatMul { transpose_b: self.flag("transpose_b")? }),
            "attention" => Op::Attention(self.attention()?),
            "conv" => Op::Conv(self.conv(rank.saturating_sub(2))?),
            "softmax" => Op::Softmax(Softmax { axis: self.index_of("axis")? }),
            "layer_norm" => {
                let epsilon = self.float("epsilon")?;
                Op::LayerNorm(LayerNorm {
                    axis: self.index_of("axis")?,
                    epsilon: self.required("epsilon", epsilon)?,
                })
            }
            "rms_norm" => {
                let epsilon = self.float("epsilon")?;
                Op::RmsNorm(RmsNorm {
                    axis: self.index_of("axis")?,
                    epsilon: self.required("epsilon", epsilon)?,
                })
            }
            "rotary" => {
                let turned = self.unsigned("turned")?;
                Op::Rotary(Rotary {
                    turned: self.required("turned", turned)?,
                    interleaved: self.flag("interleaved")?,
                })
            }
            "reshape" => Op::Reshape(Reshape { shape: self.dims_of("shape")? }),
            "expand" => Op::Expand(Expand { shape: self.dims_of("shape")? }),
            "transpose" => Op::Transpose(Transpose { perm: self.integers_of("perm")? }),
            "concat" => Op::Concat(Concat { axis: self.index_of("axis")? }),
            "slice" => Op::Slice(self.slice()?),
            "gather" => Op::Gather(Gather { axis: self.index_of("axis")? }),
            "gather_nd" => Op::GatherNd(GatherNd { batch_dims: self.index("batch_dims")?.unwrap_or(0) }),
            "gather_elements" => Op::GatherElements(GatherElements { axis: self.index_of("axis")? }),
            "scatter_elements" => {
                Op::ScatterElements(ScatterElements { axis: self.index_of("axis")?, update: self.update()? })
            }
            "scatter_nd" => Op::ScatterNd(ScatterNd { update: self.update()? }),
            "write_rows" => {
                Op::WriteRows(WriteRows { axis: self.index_of("axis")?, circular: self.flag("circular")? })
            }
            "arg_max" | "arg_min" => Op::ArgReduce(ArgReduce {
                largest: name == "arg_max",
                axis: self.index_of("axis")?,
                last: self.flag("last")?,
                keep_dims: self.flag("keep_dims")?,
            }),
            "top_k" => {
                let k = self.unsigned("k")?;
                Op::TopK(TopK { k: self.required("k", k)?, largest: self.flag("largest")? })
            }
            "suppress" => {
                let k = self.unsigned("k")?;
                Op::Suppress(Suppress { k: self.required("k", k)? })
            }
            "cumsum" => Op::CumSum(CumSum {
                axis: self.index_of("axis")?,
                exclusive: self.flag("exclusive")?,
                reverse: self.flag("reverse")?,
            }),
            "shape_of" => Op::ShapeOf(ShapeOf {
                start: self.index("start")?.unwrap_or(0),
                end: self.index("end")?.unwrap_or(rank),
            }),
            "range" => Op::Range(Range),
            _ => return Ok(None),
        }))
    }

    /// What a scatter's updates do; they replace where nothing is said.
    fn update(&mut self) -> Parsed<Update> {
        let Some((position, text)) = self.scalar("update")? else { return Ok(Update::Replace) };
        let known = Update::ALL.into_iter().find(|update| update.name() == text);
        known.ok_or_else(|| attribute_error(position, "update", "is not replace, add, mul, max or min"))
    }

    fn index_of(&mut self, name: &str) -> Parsed<usize> {
        let value = self.index(name)?;
        self.required(name, value)
    }

    fn dims_of(&mut self, name: &str) -> Parsed<Vec<Dim>> {
        let value = self.dims(name)?;
        self.required(name, value)
    }

    fn integers_of<T: TryFrom<i64>>(&mut self, name: &str) -> Parsed<Vec<T>> {
        let value = self.integers(name)?;
        self.required(name, value)
    }

    /// All but the steps on the scores, which stand behind the attributes.
    fn attention(&mut self) -> Parsed<Attention> {
        Ok(Attention {
            q: self.head_axes("q")?,
            k: self.head_axes("k")?,
            v: self.head_axes("v")?,
            y: self.head_axes("y")?,
            scores: Vec::new(),
            unseen_is_zero: self.flag("unseen_is_zero")?,
            band: Band { min_offset: self.signed("band_first")?, max_offset: self.signed("band_last")? },
            has_first: self.flag("has_first")?,
        })
    }

    fn head_axes(&mut self, name: &str) -> Parsed<HeadAxes> {
        let position = self.position;
        let Some(axes) = self.integers::<usize>(name)? else { return Ok(HEADS_FIRST) };
        HeadAxes::try_from(axes).map_err(|_| attribute_error(position, name, "does not name four axes"))
    }

    fn conv(&mut self, spatial: usize) -> Parsed<Conv> {
        let plain = Conv::plain(spatial);
        Ok(Conv {
            strides: self.integers("strides")?.unwrap_or(plain.strides),
            pads: self.integers("pads")?.unwrap_or(plain.pads),
            dilations: self.integers("dilations")?.unwrap_or(plain.dilations),
            groups: self.unsigned("groups")?.unwrap_or(plain.groups),
        })
    }

    fn slice(&mut self) -> Parsed<Slice> {
        let axes: Vec<usize> = self.integers_of("axes")?;
        let starts: Vec<u64> = self.integers_of("starts")?;
        let steps: Vec<i64> = self.integers("steps")?.unwrap_or_else(|| vec![1; axes.len()]);
        let counts = self.dims_of("counts")?;
        if [starts.len(), steps.len(), counts.len()] != [axes.len(); 3] {
            return Err(attribute_error(
                self.position,
                "axes",
                "has another length than starts, steps or counts",
            ));
        }
        let cuts = axes.into_iter().zip(starts).zip(steps).zip(counts);
        let axes = cuts.map(|(((axis, start), step), count)| SliceAxis { axis, start, step, count });
        Ok(Slice { axes: axes.collect() })
    }
}

fn list(lexer: &mut Lexer<'_>, symbols: &mut Symbols) -> Parsed<Vec<IntExpr>> {
    let mut values = Vec::new();
    if *lexer.peek()? == Token::Mark(']') {
        lexer.next()?;
        return Ok(values);
    }
    loop {
        values.push(dims::parse_int_expr(lexer, symbols)?);
        match lexer.next()? {
            (_, Token::Mark(',')) => {}
            (_, Token::Mark(']')) => return Ok(values),
            (position, token) => return Err(position.expected("`,` or `]`", &token)),
        }
    }
}

fn attribute_error(position: Position, name: &str, problem: &'static str) -> ParseError {
    position.error(ParseErrorKind::Attribute { name: name.to_owned(), problem })
}

/// A scalar function's attributes as text, with a space before, or nothing.
pub(super) fn show_scalar(op: &ScalarOp) -> String {
    match op {
        ScalarOp::Unary(_) | ScalarOp::Binary(_) | ScalarOp::Select => String::new(),
        ScalarOp::Clip { min, max } => format!(" {{min={}, max={}}}", show_f64(*min), show_f64(*max)),
        ScalarOp::Cast(to) => format!(" {{to={to}}}"),
    }
}

/// An op's attributes as text, with a space before, or nothing.
pub(super) fn show(op: &Op, symbols: &Symbols) -> String {
    match op {
        Op::Elementwise(op) => show_scalar(op),
        Op::MatMul(MatMul { transpose_b: false }) | Op::Range(Range) => String::new(),
        Op::MatMul(MatMul { transpose_b: true }) => " {transpose_b=true}".to_owned(),
        Op::Attention(op) => show_attention(op),
        Op::Conv(op) => format!(
            " {{strides={}, pads={}, dilations={}, groups={}}}",
            show_list(&op.strides),
            show_list(&op.pads),
            show_list(&op.dilations),
            op.groups
        ),
        Op::ConvTranspose(op) => image::show_conv_transpose(op),
        Op::Pool(op) => image::show_pool(op),
        Op::Resize(op) => image::show_resize(op, symbols),
        Op::Pad(op) => image::show_pad(op),
        Op::GroupNorm(op) => format!(" {{groups={}, epsilon={}}}", op.groups, show_f64(op.epsilon)),
        Op::Reduce(op) => format!(" {{axes={}, keep_dims={}}}", show_list(&op.axes), op.keep_dims),
        Op::Softmax(op) => format!(" {{axis={}}}", op.axis),
        Op::LayerNorm(LayerNorm { axis, epsilon }) | Op::RmsNorm(RmsNorm { axis, epsilon }) => {
            format!(" {{axis={axis}, epsilon={}}}", show_f64(*epsilon))
        }
        Op::Rotary(op) => format!(" {{turned={}, interleaved={}}}", op.turned, op.interleaved),
        Op::Reshape(op) => format!(" {{shape={}}}", show_shape(&op.shape, symbols)),
        Op::Expand(op) => format!(" {{shape={}}}", show_shape(&op.shape, symbols)),
        Op::Transpose(op) => format!(" {{perm={}}}", show_list(&op.perm)),
        Op::Concat(op) => format!(" {{axis={}}}", op.axis),
        Op::Slice(op) => show_slice(op, symbols),
        Op::Gather(op) => format!(" {{axis={}}}", op.axis),
        Op::GatherNd(op) => format!(" {{batch_dims={}}}", op.batch_dims),
        Op::GatherElements(op) => format!(" {{axis={}}}", op.axis),
        Op::ScatterElements(op) => format!(" {{axis={}, update={}}}", op.axis, op.update.name()),
        Op::ScatterNd(op) => format!(" {{update={}}}", op.update.name()),
        Op::WriteRows(op) => format!(" {{axis={}, circular={}}}", op.axis, op.circular),
        Op::ArgReduce(op) => {
            format!(" {{axis={}, last={}, keep_dims={}}}", op.axis, op.last, op.keep_dims)
        }
        Op::TopK(op) => format!(" {{k={}, largest={}}}", op.k, op.largest),
        Op::Suppress(op) => format!(" {{k={}}}", op.k),
        Op::CumSum(op) => {
            format!(" {{axis={}, exclusive={}, reverse={}}}", op.axis, op.exclusive, op.reverse)
        }
        Op::ShapeOf(op) => format!(" {{start={}, end={}}}", op.start, op.end),
    }
}

fn show_list<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    format!("[{}]", values.join(","))
}

fn show_attention(op: &Attention) -> String {
    let axes = [("q", op.q), ("k", op.k), ("v", op.v), ("y", op.y)];
    let moved = axes.iter().filter(|(_, axes)| *axes != HEADS_FIRST);
    let mut entries: Vec<String> = moved.map(|(name, axes)| format!("{name}={}", show_list(axes))).collect();
    if op.unseen_is_zero {
        entries.push("unseen_is_zero=true".to_owned());
    }
    let bounds = [("band_first", op.band.min_offset), ("band_last", op.band.max_offset)];
    entries.extend(bounds.iter().filter_map(|(name, bound)| Some(format!("{name}={}", (*bound)?))));
    entries.extend(op.has_first.then(|| "has_first=true".to_owned()));
    if entries.is_empty() { String::new() } else { format!(" {{{}}}", entries.join(", ")) }
}

fn show_slice(op: &Slice, symbols: &Symbols) -> String {
    let column = |value: fn(&SliceAxis) -> String| {
        let values: Vec<String> = op.axes.iter().map(value).collect();
        values.join(",")
    };
    let axes = column(|cut| cut.axis.to_string());
    let starts = column(|cut| cut.start.to_string());
    let steps = column(|cut| cut.step.to_string());
    let counts: Vec<Dim> = op.axes.iter().map(|cut| cut.count.clone()).collect();
    let counts = show_shape(&counts, symbols);
    format!(" {{axes=[{axes}], starts=[{starts}], steps=[{steps}], counts={counts}}}")
}
