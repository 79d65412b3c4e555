//! A step that chooses its own next token: token and position are states, which each run reads and moves on.

use crate::cache::Caches;
use crate::error::ImportError;
use crate::importer::Importer;
use drift_ir::op::{ArgReduce, BinaryOp, GatherElements, Reshape, ScalarOp, UnaryOp, WriteRows};
use drift_ir::{Dim, ElementType, Op, Tensor, TensorType, ValueId};

/// The token of a step whose logits say nothing.
const NONE: i64 = -1;

impl Importer<'_> {
    /// Puts the choice of the next token in place of `logits`. The inputs of the token and of the position become states; the
    /// state `chosen` holds at each position what was chosen behind the token there.
    pub(super) fn choose_next(&mut self, caches: &Caches) -> Result<(), ImportError> {
        let (new, dim) = (caches.form.new, &caches.form.dim);
        let error = |reason: &str| ImportError::Cache { dim: dim.clone(), reason: reason.to_owned() };
        if new != 1 {
            return Err(error("a step that chooses the next token takes one token"));
        }
        let Some(logits) = self.logits(new) else { return Err(ImportError::NoLogits) };
        let ids =
            self.graph.inputs().iter().copied().find(|&input| self.graph.value(input).name == "input_ids");
        let Some(ids) = ids else {
            return Err(error(
                "a step that chooses the next token needs the input `input_ids`, which becomes that token",
            ));
        };
        let (choice, position) = (self.choice(logits)?, caches.position);
        let token = self.as_type(choice, self.graph.value(ids).ty.clone())?;
        let of = |tokens: u64| TensorType {
            element: ElementType::I64,
            shape: vec![Dim::Const(1), Dim::Const(tokens)],
        };
        let row = self.as_type(choice, of(1))?;
        let name = self.names.unique("chosen");
        if name != "chosen" {
            return Err(error(
                "the model has a value `chosen`, as the state of chosen tokens is called; rename it",
            ));
        }
        let chosen = self.graph.add_input(name, of(caches.form.capacity)).map_err(Box::new)?;
        let write = Op::WriteRows(WriteRows { axis: 1, circular: false });
        let written = self.cache_node("chosen", write, &[chosen, row, position])?;
        let one = self.cache_constant(Tensor::from_i64_as(ElementType::I32, [1], &[1]))?;
        let add = Op::Elementwise(ScalarOp::Binary(BinaryOp::Add));
        let next = self.cache_node("position", add, &[position, one])?;
        let states = [(ids, token), (position, next), (chosen, written)];
        let kept = self.graph.outputs().iter().copied().filter(|&output| output != logits);
        let outputs: Vec<ValueId> = kept.chain(states.map(|(_, becomes)| becomes)).collect();
        self.graph.set_outputs(&outputs).map_err(Box::new)?;
        for (state, becomes) in states {
            self.graph.add_state(state, becomes).map_err(Box::new)?;
        }
        Ok(())
    }

    /// The largest of the logits, the first among equals, as i64 `[1, 1, 1]`; [`NONE`] where it is NaN or infinite.
    fn choice(&mut self, logits: ValueId) -> Result<ValueId, ImportError> {
        let largest = ArgReduce { largest: true, axis: 2, last: false, keep_dims: true };
        let id = self.cache_node("choice", Op::ArgReduce(largest), &[logits])?;
        let best =
            self.cache_node("choice", Op::GatherElements(GatherElements { axis: 2 }), &[logits, id])?;
        let element = self.graph.value(logits).ty.element;
        let infinity = self.cache_constant(Tensor::from_f64_as(element, [1], &[f64::INFINITY]))?;
        let none = self.cache_constant(Tensor::from_i64_as(ElementType::I64, [1], &[NONE]))?;
        let magnitude = self.cache_node("choice", Op::Elementwise(ScalarOp::Unary(UnaryOp::Abs)), &[best])?;
        let less = Op::Elementwise(ScalarOp::Binary(BinaryOp::Less));
        // Of NaN, which is found first, this is false.
        let is_finite = self.cache_node("choice", less, &[magnitude, infinity])?;
        self.cache_node("choice", Op::Elementwise(ScalarOp::Select), &[is_finite, id, none])
    }

    /// An integer as another type of one element.
    fn as_type(&mut self, value: ValueId, ty: TensorType) -> Result<ValueId, ImportError> {
        let cast = Op::Elementwise(ScalarOp::Cast(ty.element));
        let value = if self.graph.value(value).ty.element == ty.element {
            value
        } else {
            self.cache_node("choice", cast, &[value])?
        };
        self.cache_node("choice", Op::Reshape(Reshape { shape: ty.shape }), &[value])
    }
}
