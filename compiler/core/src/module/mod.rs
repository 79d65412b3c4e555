//! Kernels as naga modules: reads their text, and makes of it what an expert would have written for one case.
//!
//! A kernel is a plain WGSL file in a fenced dialect (`docs/kernel-dialect.md`). Before it stand generated constants,
//! bindings and accessor functions, so that one text serves all layouts, types and sizes. [`specialize`] then resolves
//! what is known: it is the table of contents of this folder.
//!
//! The rules of the dialect: no overrides; called functions return once, at their end; indices are in bounds by
//! construction; no infinities; no recursion; pointers are passed only to functions that are inlined, which is all of
//! them. A `for` loop whose counter's name starts with `u_` is unrolled; a local array that is indexed only by constants
//! after that becomes separate variables.
//!
//! Nothing here knows of graphs, layouts or devices.

mod alike;
mod bound;
mod build;
mod control;
mod coop;
mod dead;
mod error;
mod forward;
mod inline;
mod literal;
pub mod lower;
mod names;
mod number;
mod operands;
mod rounds;
mod shape;
mod split;
mod stats;
#[cfg(test)]
mod tests;
mod uniform;
mod walk;

use naga::{
    Block, Module, Statement,
    valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator},
};

pub use alike::{Alike, alike};
pub use coop::CooperativeShape;
pub use error::ModuleError;
pub use names::columns_of_float;
pub use rounds::{LOOP_ROUNDS, MOST_ROUNDS, rounds};
pub use stats::{Stats, stats};

/// A module after all passes, with naga's facts about it, as the writers want it.
#[derive(Clone, Debug)]
pub struct Specialized {
    /// The module: entry points only, everything inlined.
    pub module: Module,
    /// naga's facts about the module.
    pub info: ModuleInfo,
}

/// Reads and validates WGSL text.
pub fn parse(source: &str) -> Result<Module, ModuleError> {
    let module = parsed(source)?;
    if let Some((_, found)) = module.overrides.iter().next() {
        return Err(ModuleError::OutsideDialect {
            construct: "an override",
            place: found.name.clone().unwrap_or_default(),
            instead: "use a `const` of the prelude",
        });
    }
    Ok(module)
}

/// As [`parse`], of a text that may have overrides.
fn parsed(source: &str) -> Result<Module, ModuleError> {
    let mut module = naga::front::wgsl::parse_str(source)
        .map_err(|error| ModuleError::Source { diagnostics: error.emit_to_string(source) })?;
    coop::order_stores(&mut module);
    coop::order_workgroup_memory(&mut module);
    let info = validator()
        .validate(&module)
        .map_err(|error| ModuleError::Source { diagnostics: error.emit_to_string(source) })?;
    coop::check_declared(&module, &info, source)?;
    Ok(module)
}

/// Runs all passes, in order.
pub fn specialize(mut module: Module) -> Result<Specialized, ModuleError> {
    inline::run(&mut module)?;
    settle(&mut module, "inline")?;
    forward::run(&mut module)?;
    settle(&mut module, "unroll")?;
    while split::run(&mut module)? {
        settle(&mut module, "split")?;
    }
    forward::run(&mut module)?;
    settle(&mut module, "forward")?;
    dead::run(&mut module)?;
    settle(&mut module, "dead")?;
    finish(module)
}

/// Writes the module the way a programmer would, names what writers print and collects naga's facts.
fn finish(mut module: Module) -> Result<Specialized, ModuleError> {
    shape::run(&mut module)?;
    settle(&mut module, "shape")?;
    forward::run(&mut module)?;
    settle(&mut module, "forward")?;
    dead::run(&mut module)?;
    settle(&mut module, "dead")?;
    number::run(&mut module)?;
    settle(&mut module, "number")?;
    let info = validate(&module, "names")?;
    coop::check(&module, &info)?;
    uniform::check(&module)?;
    names::run(&mut module, &info);
    Ok(Specialized { module, info })
}

/// Drops what a pass left over, and in debug builds checks what it made.
fn settle(module: &mut Module, pass: &'static str) -> Result<(), ModuleError> {
    if cfg!(debug_assertions) {
        validate(module, pass)?;
    }
    let bound = bound::Bound::of(module);
    naga::compact::compact(module, naga::compact::KeepUnused::No);
    bound.restore(module);
    for entry in &mut module.entry_points {
        drop_empty(&mut entry.function.body);
    }
    Ok(())
}

/// Removes `Emit` statements that compaction emptied.
fn drop_empty(block: &mut Block) {
    let statements = std::mem::take(block);
    for (mut statement, span) in statements.span_into_iter() {
        match &mut statement {
            Statement::Emit(range) if range.first_and_last().is_none() => continue,
            Statement::Block(block) => drop_empty(block),
            Statement::If { accept, reject, .. } => {
                drop_empty(accept);
                drop_empty(reject);
            }
            Statement::Switch { cases, .. } => cases.iter_mut().for_each(|case| drop_empty(&mut case.body)),
            Statement::Loop { body, continuing, .. } => {
                drop_empty(body);
                drop_empty(continuing);
            }
            _ => {}
        }
        block.push(statement, span);
    }
}

/// Validates against everything that any target may offer; what a module needs is for [`stats`](fn@stats) to say.
pub(crate) fn validate(module: &Module, pass: &'static str) -> Result<ModuleInfo, ModuleError> {
    validator().validate(module).map_err(|error| {
        let mut diagnostics = error.as_inner().to_string();
        let mut cause = std::error::Error::source(error.as_inner());
        while let Some(error) = cause {
            diagnostics = format!("{diagnostics}: {error}");
            cause = error.source();
        }
        ModuleError::Invalid { pass, diagnostics }
    })
}

fn validator() -> Validator {
    // `uniform` does what this flag does, with fewer false alarms and for more operations.
    let flags = ValidationFlags::all() - ValidationFlags::CONTROL_FLOW_UNIFORMITY;
    let mut validator = Validator::new(flags, Capabilities::all());
    validator.subgroup_stages(ShaderStages::all()).subgroup_operations(SubgroupOperationSet::all());
    validator
}
