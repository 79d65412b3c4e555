//! What the importer of one operator works with: its operands, attributes and results, and the graph to add to.

use crate::attributes::Attributes;
use crate::bounds::Bounds;
use crate::budget::{LIST, Resource};
use crate::cache::Past;
use crate::data_type::DataType;
use crate::dims;
use crate::error::NodeError;
use crate::importer::Importer;
use crate::proto::{NodeProto, TensorProto};
use crate::scope::Scope;
use crate::tensor::{self, MAX_RANK};
use crate::warning::Warning;
use drift_ir::dim::{IntExpr, Symbols};
use drift_ir::eval::{Limits, eval_op, work_of};
use drift_ir::op::data::SliceAxis;
use drift_ir::op::infer::broadcast;
use drift_ir::op::{BinaryOp, Concat, Expand, Reshape, ScalarOp, Slice, Transpose, UnaryOp};
use drift_ir::{Dim, ElementType, Graph, Op, SymbolId, Tensor, ValueId};
use std::collections::HashSet;

/// Constants up to this size are computed with at once: scales per channel, shapes, flags.
const FOLDED: u64 = 4096;

/// Constants of type double up to this size: no device has what they stay exact for.
const FOLDED_DOUBLES: u64 = 1 << 20;

/// The values of an operator's results, in order; later ones may be missing when nothing names them.
pub(crate) type Results = Result<Vec<ValueId>, NodeError>;

/// One node on its way into the graph.
pub(crate) struct NodeCx<'x, 'm> {
    importer: &'x mut Importer<'m>,
    /// Its attributes.
    pub(crate) attributes: Attributes<'m>,
    node: &'m NodeProto,
    name: String,
    /// What its results are called, one per name in the file.
    results: Vec<String>,
    operands: Vec<Option<ValueId>>,
    opset: i64,
    /// Values added on the way, which have temporary names.
    added: HashSet<ValueId>,
}

impl<'x, 'm> NodeCx<'x, 'm> {
    /// Takes a node whose operands are known.
    pub(crate) fn new(
        importer: &'x mut Importer<'m>,
        node: &'m NodeProto,
        scope: &Scope<'m, '_>,
        operands: Vec<Option<ValueId>>,
        attributes: Attributes<'m>,
        opset: i64,
    ) -> Self {
        let results = node.output.iter().map(|name| match name.is_empty() {
            true => String::new(),
            false if scope.is_model() => name.clone(),
            false => importer.names.unique(&scope.qualified(name)),
        });
        let results = results.collect();
        Self {
            importer,
            attributes,
            node,
            name: scope.label(node),
            results,
            operands,
            opset,
            added: HashSet::new(),
        }
    }

    /// Checks how many operands and results the file names.
    pub(crate) fn check_counts(
        &self,
        (low, high): (usize, usize),
        results: (usize, usize),
    ) -> Result<(), NodeError> {
        let found = self.operands.len();
        if !(low..=high).contains(&found) {
            return Err(NodeError::OperandCount { found, expected: range_text(low, high) });
        }
        let found = self.node.output.len();
        if !(results.0..=results.1).contains(&found) {
            return Err(NodeError::ResultCount { found, expected: range_text(results.0, results.1) });
        }
        Ok(())
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the first result that the file names is called.
    pub(crate) fn result_name(&self) -> &str {
        self.results.iter().find(|name| !name.is_empty()).unwrap_or(&self.name)
    }

    /// Sizes that data decide.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.importer.bounds
    }

    /// Sizes that data decide, to add to.
    pub(crate) fn bounds_mut(&mut self) -> &mut Bounds {
        &mut self.importer.bounds
    }

    /// The graph as it is so far.
    pub(crate) fn graph(&self) -> &Graph {
        &self.importer.graph
    }

    /// What a new symbol of this name is called: the name, or that with a number.
    pub(crate) fn symbol_name(&self, name: &str) -> String {
        let symbols = self.symbols();
        (1u64..)
            .map(|number| if number == 1 { name.to_owned() } else { format!("{name}.{number}") })
            .find(|name| symbols.find(name).is_none())
            .unwrap_or_else(|| unreachable!("there are more numbers than names"))
    }

    /// A new symbol for sizes up to `most`.
    pub(crate) fn new_symbol(&mut self, name: &str, most: u64) -> SymbolId {
        let name = self.symbol_name(name);
        let symbols = &mut self.importer.graph.symbols;
        let symbol = symbols.intern(&name);
        let set = symbols.set_bounds(symbol, 0, Some(most));
        set.unwrap_or_else(|_| unreachable!("the symbol is new"));
        symbol
    }

    /// The parts that a list of integers is joined of, each with its length; none where it is not joined.
    pub(crate) fn parts(&self, list: ValueId) -> Option<Vec<(ValueId, u64)>> {
        let graph = &self.importer.graph;
        let node = graph.node(graph.producer(list)?);
        let length = |&part: &ValueId| Some((part, graph.value(part).ty.shape.first()?.as_const()?));
        match node.op {
            Op::Concat(_) if self.rank(list) == 1 => node.inputs.iter().map(length).collect(),
            _ => None,
        }
    }

    /// A refusal that asks for the size of a dimension, and says so where data decide it.
    pub(crate) fn explained(&self, reason: NodeError) -> NodeError {
        let decided = |value: &&ValueId| self.shape(**value).iter().any(|size| self.bounds().decide(size));
        match (reason, self.operands.iter().flatten().find(decided)) {
            (NodeError::Unsupported(text), Some(&value)) if text.contains("--dim") => {
                let name = &self.importer.graph.value(value).name;
                NodeError::Unsupported(format!(
                    "{text}; but data decide the size of `{name}`, so cut the model before it (--outputs)"
                ))
            }
            (reason, _) => reason,
        }
    }

    /// Version of ONNX's operators.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// Notes something for the user.
    pub(crate) fn warn(&mut self, warning: Warning) {
        self.importer.warnings.push(warning);
    }

    /// How many operands the file names, absent ones included.
    pub(crate) fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// An operand that must be there.
    pub(crate) fn operand(&self, index: usize) -> Result<ValueId, NodeError> {
        self.optional(index).ok_or(NodeError::MissingOperand(index))
    }

    /// An operand that may be absent.
    pub(crate) fn optional(&self, index: usize) -> Option<ValueId> {
        self.operands.get(index).copied().flatten()
    }

    /// How many results the file names.
    pub(crate) fn result_count(&self) -> usize {
        self.node.output.len()
    }

    /// Whether the file names this result.
    pub(crate) fn wants_result(&self, index: usize) -> bool {
        self.node.output.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Refuses nodes that name more than the first result.
    pub(crate) fn only_first_result(&self, reason: &str) -> Result<(), NodeError> {
        match (1..self.result_count()).any(|index| self.wants_result(index)) {
            true => Err(NodeError::Unsupported(reason.to_owned())),
            false => Ok(()),
        }
    }

    /// Shape of a value.
    pub(crate) fn shape(&self, value: ValueId) -> Vec<Dim> {
        self.importer.graph.value(value).ty.shape.clone()
    }

    /// Number of axes of a value.
    pub(crate) fn rank(&self, value: ValueId) -> usize {
        self.importer.graph.value(value).ty.shape.len()
    }

    /// Element type of a value.
    pub(crate) fn element(&self, value: ValueId) -> ElementType {
        self.importer.graph.value(value).ty.element
    }

    /// The free dimensions.
    pub(crate) fn symbols(&self) -> &Symbols {
        &self.importer.graph.symbols
    }

    /// Product of sizes.
    pub(crate) fn product(&self, dims: &[Dim]) -> Result<Dim, NodeError> {
        Ok(drift_ir::tensor::product(dims)?)
    }

    /// The integers that an operand holds, as far as shapes determine them.
    pub(crate) fn ints(&self, value: ValueId, name: &'static str) -> Result<Vec<IntExpr>, NodeError> {
        self.importer.ints(value).ok_or_else(|| match self.constant_tensor(value) {
            Some(constant) => self.too_long(constant, name),
            None => self.unknown(value, name),
        })
    }

    /// The integers of an operand that must be constant.
    pub(crate) fn constant_ints(&self, value: ValueId, name: &'static str) -> Result<Vec<i64>, NodeError> {
        let all: Option<Vec<i64>> = self.ints(value, name)?.iter().map(IntExpr::as_const).collect();
        all.ok_or_else(|| {
            NodeError::Unsupported(format!(
                "operand `{name}` depends on free dimensions; fix them with --dim"
            ))
        })
    }

    /// The sizes that an operand holds.
    pub(crate) fn sizes(&self, value: ValueId, name: &'static str) -> Result<Vec<Dim>, NodeError> {
        let size = |int: IntExpr| {
            let value = int.as_const();
            Dim::try_from(int).map_err(|error| match value {
                Some(value) => {
                    NodeError::Value { name, value: value.to_string(), expected: "sizes".to_owned() }
                }
                None => NodeError::Dim(error),
            })
        };
        self.ints(value, name)?.into_iter().map(size).collect()
    }

    /// The value of a constant of one element.
    pub(crate) fn constant_scalar(&self, value: ValueId) -> Option<f64> {
        self.importer.constant_scalar(value)
    }

    /// The numbers of an operand that must be constant.
    pub(crate) fn constant_floats(&self, value: ValueId, name: &'static str) -> Result<Vec<f32>, NodeError> {
        match self.constant_tensor(value) {
            Some(constant) if constant.len() > LIST => Err(self.too_long(constant, name)),
            Some(constant) => Ok(constant.to_f32_vec()),
            None => {
                let free = self.graph().known(value).is_some_and(|known| known.floats().is_some());
                let what = if free { "free sizes; bind them with --dim NAME=N" } else { "data" };
                let reason = format!("operand `{name}` depends on {what}; only constants are supported");
                Err(NodeError::Unsupported(reason))
            }
        }
    }

    fn too_long(&self, constant: &Tensor, name: &'static str) -> NodeError {
        let value = format!("a tensor {}{:?}", constant.element().name(), constant.shape());
        NodeError::Value { name, value, expected: format!("a list of at most {LIST} numbers") }
    }

    /// The content of a constant.
    pub(crate) fn constant_tensor(&self, value: ValueId) -> Option<&Tensor> {
        self.importer.graph.constant(value)
    }

    /// A constant, also where reshapes stand behind it: its elements are the same in the other shape.
    pub(crate) fn stored(&self, value: ValueId) -> Option<Tensor> {
        let graph = &self.importer.graph;
        let mut source = value;
        while let Some(producer) = graph.producer(source) {
            match graph.node(producer).op {
                Op::Reshape(_) => source = graph.node(producer).inputs[0],
                _ => return None,
            }
        }
        let (tensor, shape) = (graph.constant(source)?, graph.value(value).ty.static_shape()?);
        Tensor::new(tensor.element(), shape, tensor.bytes().clone()).ok()
    }

    /// The type in the file of a value of integers of fewer than eight bits, or of floats of eight or fewer.
    pub(crate) fn narrow(&self, value: ValueId) -> Option<DataType> {
        self.importer.narrow.get(&value).copied()
    }

    /// Whether the node is one of ONNX's own domain in a form older than this operator set.
    pub(crate) fn is_before(&self, opset: i64) -> bool {
        matches!(self.node.domain.as_str(), "" | "ai.onnx") && self.opset < opset
    }

    /// Whether a value is known to be bfloat16 in the file.
    pub(crate) fn is_bfloat(&self, value: ValueId) -> bool {
        self.importer.bfloats.contains(&value)
    }

    /// Notes the type in the file of a value that the graph holds in a larger one.
    pub(crate) fn set_narrow(&mut self, value: ValueId, ty: Option<DataType>) {
        if let Some(ty) = ty {
            self.importer.note_type(value, ty);
        }
    }

    /// The state that a value is the past rows of.
    pub(crate) fn cache(&self, value: ValueId) -> Option<Past> {
        self.importer.caches.as_ref()?.state(value)
    }

    /// Rows that the caches hold when the model runs, i32 `[1]`; none in a model without caches as states.
    pub(crate) fn cache_position(&self) -> Option<ValueId> {
        self.importer.caches.as_ref().map(|caches| caches.position)
    }

    /// Says what a state becomes.
    pub(crate) fn write_cache(&mut self, state: ValueId, becomes: ValueId) {
        if let Some(caches) = &mut self.importer.caches {
            caches.write(state, becomes);
        }
    }

    /// Reads a tensor of an attribute.
    pub(crate) fn read_tensor(&mut self, proto: &TensorProto) -> Result<Tensor, NodeError> {
        self.take(Resource::ConstantBytes, tensor::new_bytes(proto))?;
        Ok(tensor::read(proto, Some(self.importer.source))?)
    }

    /// Uses up some of what the model may use.
    pub(crate) fn take(&mut self, resource: Resource, amount: u64) -> Result<(), NodeError> {
        Ok(self.importer.budget.take(resource, amount)?)
    }

    /// Adds a node with one result, or that result itself where small constants determine it. What is double in the file
    /// is computed in f32, but for what constants determine.
    pub(crate) fn emit(&mut self, op: Op, operands: &[ValueId]) -> Result<ValueId, NodeError> {
        if let Some(folded) = self.folded(&op, operands)? {
            return self.constant(folded);
        }
        let (op, operands, is_double) = self.in_singles(op, operands)?;
        let op = match op {
            // From or to double: a value of its own, so that it is known which of the two is double.
            Op::Elementwise(ScalarOp::Cast(to)) if self.element(operands[0]) == to => {
                Op::Reshape(Reshape { shape: self.shape(operands[0]) })
            }
            op => op,
        };
        let value = self.add(op, &operands)?;
        if is_double && self.element(value) == ElementType::F32 {
            self.importer.doubles.values.insert(value);
        }
        Ok(value)
    }

    /// Adds a node.
    fn add(&mut self, op: Op, operands: &[ValueId]) -> Result<ValueId, NodeError> {
        let has_free_sizes = operands.iter().any(|&operand| dims::has_free_sizes(&self.shape(operand)));
        let name = self.temporary_name()?;
        let node_name = self.importer.node_names.unique(&self.name);
        let graph = &mut self.importer.graph;
        let node = graph.add_node(node_name, op, operands, [name]);
        let node = node.map_err(|error| NodeError::of_infer(error.kind, has_free_sizes))?;
        graph.set_origins(node, vec![self.name.clone()]);
        let value = graph.node(node).outputs[0];
        self.added.insert(value);
        match self.rank(value) {
            0..=MAX_RANK => Ok(value),
            rank => Err(NodeError::Unsupported(format!(
                "the result has {rank} axes; at most {MAX_RANK} are supported"
            ))),
        }
    }

    /// An operation with f32 in the place of double, and whether its result is double in the file. Only constants are
    /// double in the graph.
    fn in_singles(&mut self, op: Op, operands: &[ValueId]) -> Result<(Op, Vec<ValueId>, bool), NodeError> {
        let cast_to = if let Op::Elementwise(ScalarOp::Cast(to)) = op { Some(to) } else { None };
        let reads_double = operands.iter().any(|&operand| self.is_double(operand));
        let is_double = cast_to.map_or(reads_double, |to| to == ElementType::F64);
        if !reads_double && !is_double {
            return Ok((op, operands.to_vec(), false));
        }
        if cast_to.is_none() && self.importer.doubles.nodes.last() != Some(&self.name) {
            self.importer.doubles.nodes.push(self.name.clone());
        }
        let mut singles = Vec::with_capacity(operands.len());
        for &operand in operands {
            if self.element(operand) == ElementType::F64 {
                let elements = self.constant_tensor(operand).map_or(0, Tensor::len) as u64;
                self.take(Resource::ConstantBytes, elements.saturating_mul(4))?;
            }
            singles.push(self.importer.single(operand)?);
        }
        let op = if cast_to == Some(ElementType::F64) {
            Op::Elementwise(ScalarOp::Cast(ElementType::F32))
        } else {
            op
        };
        Ok((op, singles, is_double))
    }

    /// Whether a value is double in the file.
    fn is_double(&self, value: ValueId) -> bool {
        self.element(value) == ElementType::F64 || self.importer.doubles.values.contains(&value)
    }

    /// What the operation gives on small constants. Larger ones are the compiler's to fold.
    fn folded(&mut self, op: &Op, operands: &[ValueId]) -> Result<Option<Tensor>, NodeError> {
        let graph = &self.importer.graph;
        let Some(constants) =
            operands.iter().map(|&operand| graph.constant(operand)).collect::<Option<Vec<&Tensor>>>()
        else {
            return Ok(None);
        };
        let makes_double = matches!(op, Op::Elementwise(ScalarOp::Cast(ElementType::F64)));
        let is_double = makes_double || constants.iter().any(|tensor| tensor.element() == ElementType::F64);
        let elements = if is_double { FOLDED_DOUBLES } else { FOLDED };
        if constants.iter().any(|tensor| tensor.len() as u64 > elements) {
            return Ok(None);
        }
        // An operation that cannot be evaluated becomes a node, and adding that says what is wrong with it.
        let Some(work) = work_of(op, &constants) else { return Ok(None) };
        if !self.importer.budget.fold(work) {
            return Ok(None);
        }
        let limits = Limits { elements, ..Limits::STANDARD };
        let Some(folded) = eval_op(op, &constants, limits).ok().and_then(|mut results| results.pop()) else {
            return Ok(None);
        };
        self.take(Resource::ConstantBytes, folded.size_bytes())?;
        Ok(Some(folded))
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, tensor: Tensor) -> Result<ValueId, NodeError> {
        let name = self.temporary_name()?;
        let value = self.importer.graph.add_constant(name, tensor)?;
        self.added.insert(value);
        Ok(value)
    }

    /// A name for a value until [`Self::name_results`] gives the results theirs.
    fn temporary_name(&mut self) -> Result<String, NodeError> {
        let base = self.results.iter().find(|name| !name.is_empty()).unwrap_or(&self.name);
        let name = format!("{base}.part");
        self.importer.budget.take(Resource::Values, 1)?;
        self.importer.budget.take(Resource::NameBytes, name.len() as u64)?;
        Ok(self.importer.names.unique(&name))
    }

    /// Gives results that this node added their names in the file. Others are values that had a name before.
    pub(crate) fn name_results(&mut self, values: &[ValueId]) {
        for (&value, name) in values.iter().zip(&self.results).filter(|(_, name)| !name.is_empty()) {
            if self.added.remove(&value) {
                self.importer.rename(value, name);
            }
        }
    }

    /// Adds a constant of i64 elements; the shape fits the values.
    pub(crate) fn constant_i64(&mut self, shape: &[u64], values: &[i64]) -> Result<ValueId, NodeError> {
        self.take(Resource::ConstantBytes, values.len() as u64 * 8)?;
        self.constant(Tensor::from_i64(shape, values)?)
    }

    /// Adds the constant 0, 1, 2 and so on, of `count` i64 elements in a shape that they fit. They are counted before they are made.
    pub(crate) fn counting(&mut self, shape: &[u64], count: u64) -> Result<ValueId, NodeError> {
        self.take(Resource::ConstantBytes, count.saturating_mul(8))?;
        let numbers: Vec<i64> = (0..count as i64).collect();
        self.constant(Tensor::from_i64(shape, &numbers)?)
    }

    /// Adds a scalar constant of the element type of `like`.
    pub(crate) fn scalar_like(&mut self, like: ValueId, value: f64) -> Result<ValueId, NodeError> {
        let element = self.element(like);
        if !element.is_float() && value.fract() != 0.0 {
            let reason = format!("the factor {value} is no {}", element.name());
            return Err(NodeError::Unsupported(reason));
        }
        self.constant(Tensor::from_f64_as(element, [], &[value])?)
    }

    /// A function of one operand.
    pub(crate) fn unary(&mut self, op: UnaryOp, x: ValueId) -> Result<ValueId, NodeError> {
        self.emit(Op::Elementwise(ScalarOp::Unary(op)), &[x])
    }

    /// A function of two operands, which broadcast.
    pub(crate) fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Result<ValueId, NodeError> {
        self.emit(Op::Elementwise(ScalarOp::Binary(op)), &[a, b])
    }

    /// Converts elements; nothing where they have that type.
    pub(crate) fn cast(&mut self, x: ValueId, to: ElementType) -> Result<ValueId, NodeError> {
        let is_double = self.is_double(x);
        if self.element(x) == to && !is_double || is_double && to == ElementType::F64 {
            return Ok(x);
        }
        self.emit(Op::Elementwise(ScalarOp::Cast(to)), &[x])
    }

    /// f16 as f32, in which compositions compute what f16 does not hold; other elements as they are.
    pub(crate) fn widened(&mut self, x: ValueId) -> Result<ValueId, NodeError> {
        match self.element(x) {
            ElementType::F16 => self.cast(x, ElementType::F32),
            _ => Ok(x),
        }
    }

    /// Gives another shape; nothing where the value has it.
    pub(crate) fn reshape(&mut self, x: ValueId, shape: Vec<Dim>) -> Result<ValueId, NodeError> {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.emit(Op::Reshape(Reshape { shape }), &[x])
    }

    /// Adds an axis of size one.
    pub(crate) fn insert_axis(&mut self, x: ValueId, axis: usize) -> Result<ValueId, NodeError> {
        let mut shape = self.shape(x);
        shape.insert(axis, Dim::Const(1));
        self.reshape(x, shape)
    }

    /// `count` places along an axis from `start` on; nothing where that is all of them.
    pub(crate) fn part(
        &mut self,
        x: ValueId,
        axis: usize,
        start: u64,
        count: u64,
    ) -> Result<ValueId, NodeError> {
        if start == 0 && self.shape(x)[axis] == Dim::Const(count) {
            return Ok(x);
        }
        let axes = vec![SliceAxis { axis, start, step: 1, count: Dim::Const(count) }];
        self.emit(Op::Slice(Slice { axes }), &[x])
    }

    /// Puts tensors behind one another along an axis; nothing where there is one.
    pub(crate) fn concat(&mut self, axis: usize, parts: &[ValueId]) -> Result<ValueId, NodeError> {
        match parts {
            [only] => Ok(*only),
            _ => self.emit(Op::Concat(Concat { axis }), parts),
        }
    }

    /// Permutes axes; nothing where they stay.
    pub(crate) fn transpose(&mut self, x: ValueId, perm: Vec<usize>) -> Result<ValueId, NodeError> {
        if perm.is_sorted() {
            return Ok(x);
        }
        self.emit(Op::Transpose(Transpose { perm }), &[x])
    }

    /// Broadcasts to a shape; nothing where the value has it.
    pub(crate) fn expand(&mut self, x: ValueId, shape: Vec<Dim>) -> Result<ValueId, NodeError> {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.emit(Op::Expand(Expand { shape }), &[x])
    }

    /// The shape to which two shapes broadcast.
    pub(crate) fn broadcast(&self, a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, NodeError> {
        let has_free_sizes = dims::has_free_sizes(a) || dims::has_free_sizes(b);
        broadcast(a, b, self.symbols()).map_err(|kind| NodeError::of_infer(kind, has_free_sizes))
    }

    /// Broadcasts to exactly this shape, or refuses.
    pub(crate) fn expand_to(&mut self, x: ValueId, shape: &[Dim]) -> Result<ValueId, NodeError> {
        if self.broadcast(&self.shape(x), shape)? != shape {
            let reason = "a parameter has a larger shape than what it applies to";
            return Err(NodeError::Operands(reason.to_owned()));
        }
        self.expand(x, shape.to_vec())
    }
}

fn range_text(low: usize, high: usize) -> String {
    match high {
        usize::MAX => format!("at least {low}"),
        _ if low == high => low.to_string(),
        _ => format!("{low} to {high}"),
    }
}
