//! Functions: their blocks, and what every instruction takes and makes.

use super::flaw::SpirvFlaw;
use super::flow::{Flow, Merge};
use super::ids::{Definition, Place, Value};
use super::module::Module;
use super::op::{self, storage};
use super::types::{Id, Type};
use super::words::Instruction;
use super::{ext, memory, rules, subgroup};

/// The function that is being read.
pub(super) struct Body {
    result: Id,
    /// Types of the parameters that have not been seen.
    parameters: Vec<Id>,
    /// How many ids there were before it.
    first: usize,
    pub(super) flow: Flow,
    phis: Vec<Phi>,
}

/// A value that depends on the block before.
struct Phi {
    word: usize,
    block: u32,
    ty: Id,
    /// Value and the block that it comes from.
    sources: Vec<(Id, Id)>,
}

/// Type of a result, and the variable that it leads to if it is a pointer or an image.
pub(super) struct Made {
    pub(super) ty: Id,
    pub(super) id: Id,
    pub(super) root: Option<Id>,
}

impl Body {
    /// Reads the next instruction of the functions.
    pub(super) fn step(
        body: Option<Self>,
        module: &mut Module,
        one: &Instruction<'_>,
    ) -> Result<Option<Self>, SpirvFlaw> {
        let Some(mut body) = body else {
            return Self::begin(module, one).map(Some);
        };
        if one.opcode == op::FUNCTION_END {
            one.exactly::<0>()?;
            body.end(module, one)?;
            return Ok(None);
        }
        body.instruction(module, one)?;
        Ok(Some(body))
    }

    fn begin(module: &mut Module, one: &Instruction<'_>) -> Result<Self, SpirvFlaw> {
        one.ensure(one.opcode == op::FUNCTION, "is none that a kernel may have outside of functions")?;
        /// Inline, DontInline, Pure and Const.
        const CONTROLS: u32 = 0xf;
        let [result, id, control, ty] = one.exactly()?;
        one.ensure(control & !CONTROLS == 0, "has a control that no function has")?;
        let parameters = match module.ids.ty(ty) {
            Some(Type::Function { result: made, parameters }) if *made == result => {
                parameters.iter().rev().copied().collect()
            }
            _ => return Err(one.flaw("is of no function type with its result")),
        };
        module.ids.define(one, id, Definition::Function { ty })?;
        let first = module.ids.count();
        Ok(Self { result, parameters, first, flow: Flow::default(), phis: Vec::new() })
    }

    fn instruction(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        match one.opcode {
            op::FUNCTION_PARAMETER => return self.parameter(module, one),
            op::LABEL => return self.label(module, one),
            _ => {}
        }
        one.ensure(self.flow.is_open(), "stands outside of a block")?;
        self.flow.after_merge(one)?;
        match one.opcode {
            op::PHI => self.phi(module, one),
            op::VARIABLE => self.variable(module, one),
            op::SELECTION_MERGE | op::LOOP_MERGE => self.merge(one),
            op::BRANCH..=op::SWITCH | op::RETURN | op::RETURN_VALUE | op::UNREACHABLE => {
                self.terminate(module, one)
            }
            _ => {
                self.flow.past_phis();
                let made = self.computed(module, one)?;
                let Some(Made { ty, id, root }) = made else { return Ok(()) };
                let place = Place::Block(self.flow.current());
                let value = Value { ty, literal: None, place, root };
                module.ids.define(one, id, Definition::Value(value))
            }
        }
    }

    /// An instruction that computes, reads or writes.
    fn computed(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<Option<Made>, SpirvFlaw> {
        match one.opcode {
            op::EXT_INST => ext::instruction(self, module, one).map(Some),
            op::FUNCTION_CALL => self.call(module, one),
            op::CONTROL_BARRIER
            | op::MEMORY_BARRIER
            | op::GROUP_ELECT..=op::GROUP_QUAD_SWAP
            | op::ATOMIC_LOAD..=op::ATOMIC_XOR => subgroup::instruction(self, module, one),
            op::LOAD..=op::ARRAY_LENGTH
            | op::IMAGE_FETCH..=op::IMAGE_QUERY_SIZE
            | op::COOPERATIVE_MATRIX_LOAD..=op::COOPERATIVE_MATRIX_MUL_ADD => {
                memory::instruction(self, module, one)
            }
            _ => rules::instruction(self, module, one).map(Some),
        }
    }

    /// The value of an operand, which must be known here.
    pub(super) fn operand(
        &mut self,
        module: &mut Module,
        one: &Instruction<'_>,
        id: Id,
    ) -> Result<Value, SpirvFlaw> {
        let value = *module.ids.value(id).ok_or_else(|| one.flaw("takes an id that is no value"))?;
        match value.place {
            Place::Gone => return Err(one.flaw("takes a value of another function")),
            Place::Block(from) => self.flow.uses(from, one.at),
            Place::Global => {
                module.used.insert(id);
            }
            Place::Constant | Place::Parameter => {}
        }
        Ok(value)
    }

    /// The type of an operand.
    pub(super) fn type_of(
        &mut self,
        module: &mut Module,
        one: &Instruction<'_>,
        id: Id,
    ) -> Result<Id, SpirvFlaw> {
        self.operand(module, one, id).map(|value| value.ty)
    }

    fn parameter(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let [ty, id] = one.exactly()?;
        one.ensure(self.flow.is_empty(), "stands after the first block")?;
        one.ensure(self.parameters.pop() == Some(ty), "is no parameter of the function's type")?;
        let local = match module.ids.pointer(ty) {
            Some((class, _)) => {
                matches!(class, storage::FUNCTION | storage::PRIVATE | storage::WORKGROUP)
            }
            None => module.is_data(one, ty).is_ok(),
        };
        one.ensure(local, "is a parameter of a type that is not passed")?;
        let value = Value { ty, literal: None, place: Place::Parameter, root: None };
        module.ids.define(one, id, Definition::Value(value))
    }

    fn label(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let [id] = one.exactly()?;
        one.ensure(self.parameters.is_empty(), "stands before the last parameter")?;
        let block = self.flow.begin(one)?;
        module.ids.define(one, id, Definition::Label(block))
    }

    fn phi(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        one.ensure(self.flow.takes_phis(), "stands after another instruction of its block")?;
        let ([ty, id], rest) = one.at_least::<2>()?;
        module.is_data(one, ty)?;
        let (pairs, odd) = rest.as_chunks::<2>();
        one.ensure(odd.is_empty(), "has another number of operands")?;
        let sources = pairs.iter().map(|[value, from]| (*value, *from)).collect();
        let block = self.flow.current();
        self.phis.push(Phi { word: one.at, block, ty, sources });
        let value = Value { ty, literal: None, place: Place::Block(block), root: None };
        module.ids.define(one, id, Definition::Value(value))
    }

    fn variable(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let ([pointer, id, class], initial) = one.at_least::<3>()?;
        one.ensure(
            self.flow.takes_variables(),
            "stands after another instruction, or not in the first block",
        )?;
        let (_, ty) = module
            .ids
            .pointer(pointer)
            .filter(|(of, _)| *of == class && class == storage::FUNCTION)
            .ok_or_else(|| one.flaw("is no pointer to memory of a function"))?;
        module.private(one, ty)?;
        module.initial(one, ty, initial)?;
        let value =
            Value { ty: pointer, literal: None, place: Place::Block(self.flow.current()), root: Some(id) };
        module.ids.define(one, id, Definition::Value(value))
    }

    fn call(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<Option<Made>, SpirvFlaw> {
        let ([ty, id, function], given) = one.at_least::<3>()?;
        // Only functions that have ended are known, so none calls itself.
        let signature = match module.ids.get(function) {
            Some(Definition::Function { ty }) => module.ids.ty(*ty).cloned(),
            _ => None,
        };
        let Some(Type::Function { result, parameters }) = signature else {
            return Err(one.flaw("calls what is no function before it"));
        };
        let entry = module.entry_point.as_ref().is_some_and(|entry| entry.function == function);
        one.ensure(!entry && self.function_is_not(module, function), "calls a function that is running")?;
        one.ensure(result == ty && given.len() == parameters.len(), "does not fit what it calls")?;
        for (given, expected) in given.iter().zip(parameters) {
            let ty = self.type_of(module, one, *given)?;
            one.ensure(ty == expected, "passes an argument of another type")?;
        }
        if module.ids.ty(ty) == Some(&Type::Void) {
            module.ids.define(one, id, Definition::Text)?;
            return Ok(None);
        }
        module.is_data(one, ty)?;
        Ok(Some(Made { ty, id, root: None }))
    }

    /// Whether `function` was defined before this one began.
    fn function_is_not(&self, module: &Module, function: Id) -> bool {
        module.ids.position(function).is_some_and(|position| position + 1 < self.first)
    }

    fn merge(&mut self, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        const DONT_UNROLL: u32 = 2;
        let merge = if one.opcode == op::LOOP_MERGE {
            let [merge, next, control] = one.exactly()?;
            one.ensure(control <= DONT_UNROLL, "is a loop with a control that no kernel has")?;
            Merge { merge, next: Some(next) }
        } else {
            let [merge, control] = one.exactly()?;
            one.ensure(control <= 2, "is a selection with a control that no kernel has")?;
            Merge { merge, next: None }
        };
        self.flow.merge(merge);
        Ok(())
    }

    fn terminate(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        let exits = match one.opcode {
            op::BRANCH => one.exactly::<1>()?.to_vec(),
            op::BRANCH_CONDITIONAL => {
                let ([condition, yes, no], weights) = one.at_least::<3>()?;
                let ty = self.type_of(module, one, condition)?;
                one.ensure(module.ids.ty(ty) == Some(&Type::Bool), "depends on what is no truth value")?;
                one.ensure(matches!(weights.len(), 0 | 2), "has another number of operands")?;
                vec![yes, no]
            }
            op::SWITCH => {
                let ([selector, default], cases) = one.at_least::<2>()?;
                let ty = self.type_of(module, one, selector)?;
                let (cases, odd) = cases.as_chunks::<2>();
                let int = matches!(module.ids.ty(ty), Some(Type::Int { .. }));
                one.ensure(int && odd.is_empty(), "depends on what is no integer")?;
                let mut values: Vec<u32> = cases.iter().map(|[value, _]| *value).collect();
                values.sort_unstable();
                one.ensure(values.windows(2).all(|pair| pair[0] != pair[1]), "has a case twice")?;
                [default].into_iter().chain(cases.iter().map(|[_, to]| *to)).collect()
            }
            op::RETURN => {
                one.exactly::<0>()?;
                let nothing = module.ids.ty(self.result) == Some(&Type::Void);
                one.ensure(nothing, "returns nothing from a function with a result")?;
                Vec::new()
            }
            op::RETURN_VALUE => {
                let [value] = one.exactly()?;
                let ty = self.type_of(module, one, value)?;
                one.ensure(ty == self.result, "returns another type than its function")?;
                Vec::new()
            }
            _ => one.exactly::<0>().map(|_| Vec::new())?,
        };
        self.flow.end(one, exits)
    }

    fn end(&mut self, module: &mut Module, one: &Instruction<'_>) -> Result<(), SpirvFlaw> {
        one.ensure(!self.flow.is_open() && self.parameters.is_empty(), "ends a function within a block")?;
        one.ensure(!self.flow.is_empty(), "ends a function without a block")?;
        let order = self.flow.check(one, &module.ids)?;
        for phi in &self.phis {
            let flaw = |problem| SpirvFlaw::Instruction { word: phi.word, opcode: op::PHI, problem };
            let mut from: Vec<u32> = Vec::with_capacity(phi.sources.len());
            for (value, label) in &phi.sources {
                let Some(Definition::Label(block)) = module.ids.get(*label) else {
                    return Err(flaw("takes a value from what is no block"));
                };
                let value = module.ids.value(*value).ok_or_else(|| flaw("takes an id that is no value"))?;
                let known = match value.place {
                    Place::Block(at) => order.reaches(at, *block),
                    Place::Constant | Place::Parameter => true,
                    Place::Global | Place::Gone => false,
                };
                if !known || value.ty != phi.ty {
                    return Err(flaw("takes a value that is not known there, or of another type"));
                }
                from.push(*block);
            }
            from.sort_unstable();
            if from != order.before(phi.block) {
                return Err(flaw("does not name the blocks before its own"));
            }
        }
        module.ids.end_function(self.first);
        Ok(())
    }
}
