//! What is proposed for a node: kernels with all that they need. Nothing changes until it is built.

use super::context::Made;
use super::{Chosen, Context, Declined, SelectError, Selected};
use crate::estimate::STORAGE_BUFFERS;
use crate::kernel::scalar::ScalarProgram;
use crate::kernel::{Access, Source};
use crate::physical::{Layout, Order, Place, StorageType};
use crate::program::{Placement, ProgramStep, Storage, StorageKind};
use drift_ir::{Node, NodeId, Op, ValueId};
use std::collections::BTreeMap;

/// Steps, and what has to be added to a program before them.
pub(super) struct Proposal {
    /// Conversions of operands, then the kernels, in execution order.
    steps: Vec<ProgramStep>,
    /// Dispatches at load.
    init: Vec<ProgramStep>,
    /// Operands that are brought into a dense buffer.
    conversions: BTreeMap<ValueId, Placement>,
    made: Made,
}

/// Why nothing is proposed.
pub(super) enum Refusal {
    /// No kernel serves: other nodes may have the same trouble, and all are told at once.
    NoKernel(Declined),
    /// Selection ends here.
    Error(SelectError),
}

impl From<SelectError> for Refusal {
    fn from(error: SelectError) -> Self {
        Self::Error(error)
    }
}

impl From<Declined> for Refusal {
    fn from(reason: Declined) -> Self {
        match reason {
            Declined::Pack { name, source } => Self::Error(SelectError::Pack { name, source }),
            reason => Self::NoKernel(reason),
        }
    }
}

impl Selected<'_> {
    /// The first kernels that serve a node whose operands and results have a place, with the conversions that they need.
    pub(super) fn propose(&self, id: NodeId) -> Result<Proposal, Refusal> {
        let node = self.graph.node(id);
        let mut conversions = Conversions::default();
        // Every turn converts one more operand, so there are at most as many as operands.
        for _ in 0..=node.operands().count() {
            let mut context = conversions.context(self);
            context.operands = node.operands().collect();
            match context.candidates(id) {
                Ok(chosen) => {
                    if let Some(reason) = loses_epilogue(node, &chosen) {
                        return Err(reason.into());
                    }
                    let made = context.made;
                    let mut steps = conversions.steps;
                    for chosen in chosen {
                        let chosen = with_epilogue_counted(chosen);
                        steps.push(self.step(&node.name, &node.origins, chosen, &made)?);
                    }
                    return self.proposal((steps, conversions.new), (&node.name, &node.origins), made);
                }
                Err(Declined::Convert { value, .. }) => conversions.add(self, value)?,
                Err(reason) => return Err(reason.into()),
            }
        }
        Err(Declined::Unsupported("layouts do not meet".to_owned()).into())
    }

    /// A copy of `value` in a dense buffer.
    pub(super) fn propose_dense(&self, value: ValueId) -> Result<Proposal, Refusal> {
        let mut conversions = Conversions::default();
        conversions.add(self, value)?;
        let Conversions { steps, new, made, .. } = conversions;
        self.proposal((steps, new), ("", &[]), made)
    }

    /// A copy of the constant `value`, which is a graph output with a place.
    pub(super) fn propose_constant(&self, value: ValueId) -> Result<Proposal, SelectError> {
        let name = &self.graph.value(value).name;
        let mut context = Context::new(self);
        let copy = self.places.get(&value).map(|to| context.constant_copy(value, to));
        let copy = copy.unwrap_or_else(|| Err(Declined::Unsupported("it has no place".to_owned())));
        self.propose_alone(name, ("constant", copy), context.made)
    }

    /// A copy of `value` to where a state is.
    pub(super) fn propose_copy(
        &self,
        value: ValueId,
        from: &Placement,
        to: &Placement,
    ) -> Result<Proposal, SelectError> {
        let name = &self.graph.value(value).name;
        let context = Context::new(self);
        let copied = context
            .conversion(value, from, to)
            .map(|chosen| Chosen { why: "the state of the next run".to_owned(), ..chosen });
        self.propose_alone(name, ("keep", copied), context.made)
    }

    /// A copy of the value called `name`, which no node asks for.
    fn propose_alone(
        &self,
        name: &str,
        (what, copy): (&str, Result<Chosen, Declined>),
        made: Made,
    ) -> Result<Proposal, SelectError> {
        let proposed = copy.map_err(Refusal::from).and_then(|copy| {
            let step = self.step(&format!("{what} {name}"), &[], copy, &made)?;
            self.proposal((vec![step], BTreeMap::new()), ("", &[]), made)
        });
        proposed.map_err(|refusal| match refusal {
            Refusal::NoKernel(reason) => SelectError::NoKernel { nodes: vec![format!("`{name}`: {reason}")] },
            Refusal::Error(error) => error,
        })
    }

    fn proposal(
        &self,
        (steps, conversions): (Vec<ProgramStep>, BTreeMap<ValueId, Placement>),
        (name, origins): (&str, &[String]),
        mut made: Made,
    ) -> Result<Proposal, Refusal> {
        let at_load = std::mem::take(&mut made.init).into_iter();
        let init = at_load.map(|chosen| self.step(name, origins, chosen, &made)).collect::<Result<_, _>>()?;
        Ok(Proposal { steps, init, conversions, made })
    }

    /// A step; fails where a device could not run it.
    fn step(
        &self,
        name: &str,
        origins: &[String],
        chosen: Chosen,
        made: &Made,
    ) -> Result<ProgramStep, SelectError> {
        let (name, origins) = (name.to_owned(), origins.to_vec());
        let Chosen { call, why, declined, flops } = chosen;
        let kernel = call.kernel.name;
        let buffers =
            call.bindings().iter().filter(|binding| binding.storage_type == StorageType::Buffer).count();
        if buffers > STORAGE_BUFFERS {
            let reason = format!(
                "`{name}` ({kernel}): binds {buffers} storage buffers, a dispatch has {STORAGE_BUFFERS}"
            );
            return Err(SelectError::NoKernel { nodes: vec![reason] });
        }
        let (storages, constants) = (&self.program.storages, &self.program.constants);
        let named = |source| match source {
            Source::Activation(at) => {
                storages.iter().chain(&made.storages).nth(at as usize).map(|s| s.name.clone())
            }
            Source::Constant(at) => {
                constants.iter().chain(&made.constants).nth(at as usize).map(|c| c.name.clone())
            }
        };
        if let Some(free) = call.free_where_fixed() {
            let nodes = vec![format!("`{name}` ({kernel}): {free}")];
            return Err(SelectError::NoKernel { nodes });
        }
        if let Some(size) = call.may_be_empty() {
            let reason = "may be zero: raise the lower bound of its dims (--dim NAME=LO..HI)";
            let nodes = vec![format!("`{name}` ({kernel}): the size {size} {reason}")];
            return Err(SelectError::NoKernel { nodes });
        }
        debug_assert_eq!(call.check_interface(), Ok(()), "{}", call.kernel.name);
        if let Err(source) = call.check(|source| named(source).unwrap_or_default()) {
            return Err(SelectError::TooLarge { node: name, kernel, source });
        }
        let (bytes_read, bytes_written) = (call.bytes(Access::Read), call.bytes(Access::Write));
        Ok(ProgramStep { name, origins, call, why, declined, bytes_read, bytes_written, flops })
    }

    /// Adds what was proposed.
    pub(super) fn build(&mut self, proposal: Proposal) {
        let Proposal { steps, init, conversions, made } = proposal;
        self.program.storages.extend(made.storages);
        self.program.constants.extend(made.constants);
        self.packed.extend(made.packed);
        self.program.init.extend(init);
        self.program.steps.extend(steps);
        self.dense.extend(conversions);
    }
}

/// Conversions that a node needs.
#[derive(Default)]
struct Conversions {
    /// Where the node finds what is converted.
    places: BTreeMap<ValueId, Placement>,
    /// Those of them that no earlier node needed.
    new: BTreeMap<ValueId, Placement>,
    steps: Vec<ProgramStep>,
    made: Made,
}

impl Conversions {
    /// What candidates see with these conversions.
    fn context<'a>(&self, selected: &'a Selected<'a>) -> Context<'a> {
        let mut context = Context::new(selected);
        (context.converted, context.made) = (self.places.clone(), self.made.clone());
        context
    }

    /// Adds one into a dense buffer, which any axis map can read; once for all its readers.
    fn add(&mut self, selected: &Selected<'_>, value: ValueId) -> Result<(), Refusal> {
        let known = selected.dense.get(&value).or_else(|| self.new.get(&value));
        let to = match (known, selected.places.get(&value)) {
            (Some(known), _) => known.clone(),
            (None, None) => {
                let name = &selected.graph.value(value).name;
                return Err(Declined::Unsupported(format!("`{name}` has no place")).into());
            }
            (None, Some(from)) => {
                let mut context = self.context(selected);
                let shape = context.largest(value);
                let layout = Layout {
                    storage_type: StorageType::Buffer,
                    order: Order::RowMajor,
                    ..from.layout.clone()
                };
                let value_name = &selected.graph.value(value).name;
                let (name, kind) = (format!("{value_name} (dense)"), StorageKind::of(&layout, &shape));
                let storage = context.add_storage(Storage { name, kind, within: None });
                let to = Placement { storage, layout, place: Place::Whole };
                let refused =
                    |reason| SelectError::NoKernel { nodes: vec![format!("`{value_name}`: {reason}")] };
                let chosen = context.conversion(value, from, &to).map_err(refused)?;
                self.made = context.made;
                let step = selected.step(&format!("convert {value_name}"), &[], chosen, &self.made)?;
                self.steps.push(step);
                self.new.insert(value, to.clone());
                to
            }
        };
        self.places.insert(value, to);
        Ok(())
    }
}

/// Refuses kernels that would leave out what was fused into a node. Element-wise kernels have it in their prologue.
fn loses_epilogue(node: &Node, steps: &[Chosen]) -> Option<Declined> {
    let fused = !node.epilogue.steps.is_empty() && !matches!(node.op, Op::Elementwise(_));
    (fused && steps.iter().all(|step| step.call.epilogue.is_none()))
        .then(|| Declined::Unsupported("its kernel runs no epilogue".to_owned()))
}

/// Adds what a kernel says of its weights to its reasons, and the arithmetic of its epilogue to its own.
fn with_epilogue_counted(mut chosen: Chosen) -> Chosen {
    for reason in chosen.call.slots.iter().filter_map(|slot| slot.weights.as_ref()?.why_instead()) {
        chosen.why.push_str(&format!("; {reason}"));
    }
    let written = chosen.call.slots.iter().filter(|s| s.access == Access::Write);
    let elements: u64 = written.map(|s| s.extents().elements().max()).sum();
    chosen.flops += chosen.call.epilogue.as_ref().map_or(0, ScalarProgram::flops) * elements;
    chosen
}
