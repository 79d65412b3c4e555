//! Inputs of a model whose caches become states, and what follows from the position.

mod finish;
mod greedy;

use crate::cache::{CacheForm, Caches, Past, rows_axis};
use crate::error::ImportError;
use crate::import::refused_input;
use crate::importer::Importer;
use crate::interface::Port;
use crate::scope::{Scope, Slot};
use drift_ir::graph::EditError;
use drift_ir::op::data::SliceAxis;
use drift_ir::op::{BinaryOp, Reshape, ScalarOp, Slice};
use drift_ir::{Dim, ElementType, Op, SymbolId, Tensor, TensorType, ValueId};
use std::collections::HashMap;

impl<'m> Importer<'m> {
    /// Sizes of the dimensions that the range of past rows determines.
    pub(crate) fn cache_sizes(
        &mut self,
        form: &CacheForm,
        sizes: &mut HashMap<String, Dim>,
    ) -> Result<SymbolId, ImportError> {
        let symbol = self.graph.symbols.intern(&form.dim);
        let set = self.graph.symbols.set_bounds(symbol, 0, Some(form.capacity - form.new));
        set.unwrap_or_else(|_| unreachable!("checked: new rows fit"));
        let past = Dim::symbol(symbol);
        if let Some(total) = &form.total {
            let all = past.add(&Dim::Const(form.new)).map_err(EditError::from).map_err(Box::new)?;
            sizes.insert(total.clone(), all);
        }
        sizes.insert(form.dim.clone(), past);
        Ok(symbol)
    }

    /// Adds the inputs of a model with caches, and what stands for those that follow from the position.
    pub(crate) fn add_cached_inputs(
        &mut self,
        (form, symbol): (CacheForm, SymbolId),
        ports: Vec<(&Port, TensorType)>,
        scope: &mut Scope<'m, '_>,
    ) -> Result<(), ImportError> {
        let name = self.names.unique("position");
        let ty = TensorType { element: ElementType::I32, shape: vec![Dim::Const(1)] };
        let mut past = HashMap::new();
        let mut follow = Vec::new();
        for (port, mut ty) in ports {
            if let Some(axis) = rows_axis(port, &form.dim) {
                let count = std::mem::replace(&mut ty.shape[axis], Dim::Const(form.capacity));
                let state = self.graph.add_input(port.name.as_str(), ty).map_err(refused_input)?;
                let cut = Slice { axes: vec![SliceAxis { axis, start: 0, step: 1, count }] };
                let rows = self.cache_node("past", Op::Slice(cut), &[state])?;
                past.insert(rows, Past { state, axis });
                scope.insert(port.name.clone(), Slot::Value(rows));
                continue;
            }
            match (port.name.as_str(), ty.shape.as_slice()) {
                ("attention_mask", [_, _]) | ("position_ids", [_, _]) | ("cache_position", [_])
                    if !ty.element.is_float() =>
                {
                    follow.push((port, ty));
                }
                _ => {
                    let value = self.graph.add_input(port.name.as_str(), ty).map_err(refused_input)?;
                    scope.insert(port.name.clone(), Slot::Value(value));
                }
            }
        }
        let position = self.graph.add_input(name, ty).map_err(Box::new)?;
        for (port, ty) in follow {
            let value = match port.name.as_str() {
                "attention_mask" => self.mask(&form, position, &ty)?,
                _ => self.places(form.new, position, &ty)?,
            };
            scope.insert(port.name.clone(), Slot::Value(value));
        }
        let written = HashMap::new();
        self.caches = Some(Caches { form, symbol, position, past, written });
        Ok(())
    }

    /// A mask that shows the rows that are there and the new ones.
    fn mask(&mut self, form: &CacheForm, position: ValueId, ty: &TensorType) -> Result<ValueId, ImportError> {
        let rows = self.counted([1, form.capacity], ElementType::I32)?;
        let cut = SliceAxis { axis: 1, start: 0, step: 1, count: ty.shape[1].clone() };
        let rows = self.cache_node("mask", Op::Slice(Slice { axes: vec![cut] }), &[rows])?;
        let new = Tensor::from_i64_as(ElementType::I32, [1], &[form.new as i64]);
        let new = self.cache_constant(new)?;
        let add = Op::Elementwise(ScalarOp::Binary(BinaryOp::Add));
        let end = self.cache_node("mask", add, &[position, new])?;
        let less = Op::Elementwise(ScalarOp::Binary(BinaryOp::Less));
        let shown = self.cache_node("mask", less, &[rows, end])?;
        self.cache_node("mask", Op::Elementwise(ScalarOp::Cast(ty.element)), &[shown])
    }

    /// The places of the new rows.
    fn places(&mut self, new: u64, position: ValueId, ty: &TensorType) -> Result<ValueId, ImportError> {
        let places = self.counted([1, new], ElementType::I32)?;
        let add = Op::Elementwise(ScalarOp::Binary(BinaryOp::Add));
        let places = self.cache_node("places", add, &[places, position])?;
        let places = self.cache_node("places", Op::Elementwise(ScalarOp::Cast(ty.element)), &[places])?;
        self.cache_node("places", Op::Reshape(Reshape { shape: ty.shape.clone() }), &[places])
    }

    /// The numbers from 0 on.
    fn counted(&mut self, shape: [u64; 2], element: ElementType) -> Result<ValueId, ImportError> {
        let numbers: Vec<i64> = (0..(shape[0] * shape[1]) as i64).collect();
        self.cache_constant(Tensor::from_i64_as(element, shape, &numbers))
    }

    pub(super) fn cache_constant(
        &mut self,
        tensor: Result<Tensor, drift_ir::tensor::TensorError>,
    ) -> Result<ValueId, ImportError> {
        let tensor = tensor.unwrap_or_else(|error| unreachable!("numbers of the type asked for: {error}"));
        let name = self.names.unique("cache.constant");
        Ok(self.graph.add_constant(name, tensor).map_err(Box::new)?)
    }

    /// A node that no node of the file asks for.
    pub(super) fn cache_node(
        &mut self,
        what: &str,
        op: Op,
        operands: &[ValueId],
    ) -> Result<ValueId, ImportError> {
        let name = self.names.unique(&format!("cache.{what}"));
        let node = self.node_names.unique(&name);
        let added = self.graph.add_node(node, op, operands, [name]);
        let added = added.map_err(|error| Box::new(EditError::from(error)))?;
        Ok(self.graph.node(added).outputs[0])
    }
}
