//! Sizes that the host says: the dims of an entry, and the expressions over them that its ports, grids and words follow from.

use crate::kernel::Constant;
use crate::physical::Size;
use crate::program::{Port, Program, ProgramStep};
use drift_bundle::manifest::{Bounds, FreeAxis, FreeDim, SizeExpression, SizeFlaw, SizeTerm, Word};
use drift_ir::dim::{DimTerm, Symbol};
use drift_ir::{Dim, SymbolId};
use indexmap::IndexSet;
use std::collections::BTreeMap;

/// A free size that no bundle can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{place}`: its size {size} {flaw}; bind a dim of it, or give it other bounds (--dim NAME=N, --dim NAME=LO..HI)"
)]
pub struct SizeError {
    /// An input, an output or a dispatch.
    pub place: String,
    /// The size.
    pub size: String,
    /// What is wrong with it.
    pub flaw: String,
}

/// The dims and sizes of an entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    dims: Vec<FreeDim>,
    /// Place in `dims` of a graph's dim, and what its sizes are multiples of: symbols count those.
    places: BTreeMap<SymbolId, (u32, u64)>,
    expressions: IndexSet<SizeExpression>,
}

impl Sizes {
    /// What the variants of an entry need, all of one graph. Fails where an expression does not hold for all sizes of the dims.
    pub fn of<'a>(programs: impl Iterator<Item = &'a Program> + Clone) -> Result<Self, SizeError> {
        let mut sizes = Self::default();
        let mut named = BTreeMap::new();
        programs.clone().for_each(|program| free_sizes(program, &mut |_, size| note(&mut named, size)));
        for (name, (symbol, known)) in named {
            let step = known.step();
            let [low, high] =
                [known.low, known.high.unwrap_or(u64::MAX)].map(|size| size.saturating_mul(step));
            sizes.places.insert(symbol, (sizes.dims.len() as u32, step));
            sizes.dims.push(FreeDim { name, low, high, step });
        }
        let bounds: Vec<Bounds> = sizes.dims.iter().map(|dim| (dim.low, dim.high)).collect();
        let largest: Vec<u64> = sizes.dims.iter().map(|dim| dim.high).collect();
        let mut failed = None;
        programs.for_each(|program| {
            free_sizes(program, &mut |place, size| {
                let flaw = match sizes.add(size, &bounds, &largest) {
                    Ok(()) => return,
                    Err(flaw) => flaw,
                };
                let place = place.to_owned();
                failed.get_or_insert(SizeError { place, size: size.to_string(), flaw });
            });
        });
        failed.map_or(Ok(sizes), Err)
    }

    /// The dims, by name.
    pub fn dims(&self) -> Vec<FreeDim> {
        self.dims.clone()
    }

    /// The expressions.
    pub fn expressions(&self) -> Vec<SizeExpression> {
        self.expressions.iter().cloned().collect()
    }

    /// Index of a free size.
    pub fn index(&self, size: &Size) -> Option<u32> {
        let terms = self.terms(size)?;
        self.expressions.get_index_of(&terms).map(|index| index as u32)
    }

    /// A word of parameters.
    pub fn word(&self, size: &Size) -> Word {
        let known = || Word::Const(u32::try_from(size.max()).unwrap_or(u32::MAX));
        self.index(size).map_or_else(known, Word::Size)
    }

    /// The free axes of a port.
    pub fn axes(&self, port: &Port) -> Vec<FreeAxis> {
        let axes = port.sizes.iter().enumerate();
        axes.filter_map(|(axis, size)| Some(FreeAxis { axis: axis as u32, size: self.index(size)? }))
            .collect()
    }

    /// Adds an expression that is the same in all ways of looking at it: its bound is its value at the largest dims.
    fn add(&mut self, size: &Size, bounds: &[Bounds], largest: &[u64]) -> Result<(), String> {
        let Some(free) = size.as_free() else { return Ok(()) };
        if let Some(dim) = self.dims.iter().find(|dim| dim.high > u64::from(u32::MAX)) {
            return Err(format!("follows from `{}`, whose bound {} is beyond 32 bits", dim.name, dim.high));
        }
        let Some(terms) = self.terms(size) else {
            return Err(format!("takes numbers below zero: {}", free.dim().display(free.symbols())));
        };
        let flaw = |flaw: SizeFlaw| flaw.to_string();
        let (_, most) = terms.bounds(bounds).map_err(flaw)?;
        let at_largest = terms.at(largest).map_err(flaw)?;
        if most > u64::from(u32::MAX) {
            return Err("leaves 32 bits".to_owned());
        }
        if at_largest != size.max() || most != at_largest {
            return Err(format!("may be {most}, but is {at_largest} where all dims are largest"));
        }
        self.expressions.insert(terms);
        Ok(())
    }

    fn terms(&self, size: &Size) -> Option<SizeExpression> {
        let dim = size.as_free()?.dim();
        let Dim::Expr(terms) = dim else { return None };
        // As many steps as there are, times a step, is the size that the host says.
        if let Some((symbol, times)) = dim.as_multiple()
            && let Some(&(place, step)) = self.places.get(&symbol)
            && times == step
        {
            return Some(SizeExpression(vec![SizeTerm::Dim(place)]));
        }
        let mut made = Vec::with_capacity(terms.len());
        for term in terms.iter() {
            let term = match *term {
                DimTerm::Const(value) => SizeTerm::Const(u64::try_from(value).ok()?),
                DimTerm::Symbol(symbol) => {
                    let (dim, step) = *self.places.get(&symbol)?;
                    made.push(SizeTerm::Dim(dim));
                    if step > 1 {
                        made.extend([SizeTerm::Const(step), SizeTerm::FloorDiv]);
                    }
                    continue;
                }
                DimTerm::Add => SizeTerm::Add,
                DimTerm::Sub => SizeTerm::Sub,
                DimTerm::Mul => SizeTerm::Mul,
                DimTerm::FloorDiv => SizeTerm::FloorDiv,
                DimTerm::Max => SizeTerm::Max,
                DimTerm::Min => SizeTerm::Min,
            };
            made.push(term);
        }
        Some(SizeExpression(made))
    }
}

/// Dims by name, with their bounds.
type Named = BTreeMap<String, (SymbolId, Symbol)>;

/// Notes the dims of a size.
fn note(named: &mut Named, size: &Size) {
    let Some(free) = size.as_free() else { return };
    for symbol in free.dim().symbols() {
        if let Some(known) = free.symbols().get(symbol) {
            named.insert(known.dim().to_owned(), (symbol, known.clone()));
        }
    }
}

/// Visits the free sizes that a bundle says of a program, each with what has it.
fn free_sizes(program: &Program, visit: &mut dyn FnMut(&str, &Size)) {
    for port in program.inputs.iter().chain(&program.outputs) {
        port.sizes.iter().filter(|size| size.is_free()).for_each(|size| visit(&port.name, size));
    }
    for step in program.all_steps().filter(|step| is_free(step)) {
        let words = step.call.module().words;
        let all = step.call.workgroups.iter().chain(&words);
        all.filter(|size| size.is_free()).for_each(|size| visit(&step.name, size));
    }
}

/// Whether a dispatch has words.
pub(super) fn is_free(step: &ProgramStep) -> bool {
    let call = &step.call;
    call.slots.iter().flat_map(|slot| &slot.shape).chain(&call.workgroups).any(Size::is_free)
        || call.constants.iter().any(|(_, constant)| matches!(constant, Constant::Free(..)))
}
