//! The orders in which entries read weights that they share.

use super::passes::{LaidOut, Passes};
use crate::program::Program;
use crate::report;
use crate::select::{self, Orders, Samples};

/// The orders that entries agree on, for each target and profile. `layouts` has each entry's variants.
pub(super) fn orders(passes: &mut Passes<'_>, layouts: &[Vec<LaidOut>]) -> Vec<Orders> {
    let variants = layouts.first().map_or(0, Vec::len);
    (0..variants).map(|at| of_variant(passes, layouts.iter().filter_map(|of| of.get(at)).collect())).collect()
}

/// The orders that the entries of one variant agree on.
fn of_variant(passes: &mut Passes<'_>, entries: Vec<&LaidOut>) -> Orders {
    if entries.len() < 2 || !select::share_matrices(entries.iter().map(|laid_out| &laid_out.graph)) {
        return Orders::default();
    }
    let profile = &entries[0].variant.adjusted;
    let device = (&**profile, passes.options.precision);
    let (samples, orders) = (Samples::default(), Orders::default());
    let alone = |LaidOut { graph, layouts, decisions, .. }: &&LaidOut| {
        // What has no kernel fails when the entry's program is made.
        select::choose_with(graph, layouts, device, decisions, (&samples, &orders)).ok()
    };
    let programs: Vec<Option<Program>> = passes.time("select", || entries.iter().map(alone).collect());
    let agreement = select::agree(&programs, profile);
    let note = report::agreement(profile.name, &passes.names, &agreement);
    note.into_iter().for_each(|note| passes.note_once(note));
    agreement.orders
}
