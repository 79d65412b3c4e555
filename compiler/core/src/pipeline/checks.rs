//! What can be refused only when all entries are known.

use super::passes::Passes;
use crate::emit::Draft;
use crate::error::CompileError;
use crate::program::StatePort;

/// Fails where a weight was to be kept that no model has.
pub(super) fn every_kept_weight_is_found(passes: &Passes<'_>) -> Result<(), CompileError> {
    if passes.unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = passes.unknown.iter().map(|name| format!("`{name}`")).collect();
    Err(CompileError::UnknownWeights { names: names.join(", ") })
}

/// Refuses states of one name that entries cannot share, for one target and profile.
pub(super) fn states_are_alike(names: &[String], drafts: &[Draft]) -> Result<(), CompileError> {
    let of = |draft: &Draft| (draft.target, draft.profile.name);
    for (at, draft) in drafts.iter().enumerate() {
        for earlier in drafts[..at].iter().filter(|earlier| of(earlier) == of(draft)) {
            if let Some([other, state]) = unlike(earlier, draft) {
                return Err(CompileError::UnlikeStates {
                    state: state.name.clone(),
                    entries: [earlier, draft].map(|draft| names[draft.entry].clone()),
                    forms: [other, state].map(form),
                });
            }
        }
    }
    Ok(())
}

/// The first state of `draft` that `earlier` has in another form, after that one.
fn unlike<'d>(earlier: &'d Draft, draft: &'d Draft) -> Option<[&'d StatePort; 2]> {
    draft.program.states.iter().find_map(|state| {
        let mut others = earlier.program.states.iter();
        let other = others.find(|other| other.name == state.name && form(other) != form(state))?;
        Some([other, state])
    })
}

fn form(state: &StatePort) -> String {
    format!("{} {:?}", state.device.name(), state.shape)
}
