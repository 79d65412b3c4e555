//! Adds self-tests to the variants of an entry.

use super::passes::{LaidOut, Passes};
use crate::emit::{Draft, KernelModules, SelfTestDraft};
use crate::error::CompileError;
use crate::plan;
use crate::profile::MemoryForms;
use crate::self_test::{self, Evaluator, Subject};
use drift_bundle::self_test::{SelfTest, Untested};

/// The memory of a self-test: planned without changes.
const AS_IT_IS: MemoryForms = MemoryForms { in_place: false, order: false, views: false, own_io: false };

/// Adds a self-test to each variant of known sizes, where they are asked for.
pub(super) fn add(
    passes: &mut Passes<'_>,
    drafts: &mut [(Draft, LaidOut)],
    kernels: &mut KernelModules,
) -> Result<(), CompileError> {
    if !passes.options.self_test {
        return Ok(());
    }
    let (free, mut drafts): (Vec<_>, Vec<_>) =
        drafts.iter_mut().partition(|(draft, _)| draft.program.is_free());
    if let Some((draft, _)) = free.first() {
        let target = draft.target.name();
        passes
            .notes
            .push(format!("self-test for {target}: none, since sizes of inputs are free; bind them for one"));
    }
    let mut evaluator = Evaluator::default();
    let precision = passes.options.precision;
    let mut make = |(draft, laid_out): &&mut (Draft, LaidOut)| {
        let (LaidOut { graph, layouts, .. }, Draft { program, kernels, profile, .. }) = (laid_out, draft);
        self_test::make(Subject { graph, layouts, program, kernels, profile, precision }, &mut evaluator)
    };
    let made: Vec<_> = passes.time("self-test", || drafts.iter().map(&mut make).collect());
    let most = made.iter().map(|(_, right)| right.tests.len()).max().unwrap_or(0);
    for ((draft, _), (mut program, right)) in drafts.iter_mut().map(|draft| &mut **draft).zip(made) {
        let (target, profile) = (draft.target, draft.profile);
        let of = format!("self-test of {} for {}", profile.name, target.name());
        passes.notes.extend(notes(&of, &right));
        if right.tests.is_empty() {
            continue;
        }
        self_test::make_room(&mut program, most);
        let (program, plan) = passes.time("memory", || plan::plan_memory(program, AS_IT_IS))?;
        let kernels = passes.time("shaders", || kernels.make(&program, target, profile))?;
        let right = right.encode()?;
        draft.self_test = Some(Box::new(SelfTestDraft { program, plan, kernels, right }));
    }
    Ok(())
}

/// What a self-test tests, and what not.
fn notes(of: &str, right: &SelfTest) -> Vec<String> {
    let dispatches: u32 = right.tests.iter().map(|test| test.count).sum();
    let left_out = right.untested.len();
    let tests = right.tests.len();
    let summary = format!("{of}: {tests} tests of {dispatches} dispatches, {left_out} not tested");
    let not =
        |Untested { dispatch, reason }: &Untested| format!("{of}: `{dispatch}` is not tested: {reason}");
    [summary].into_iter().chain(right.untested.iter().map(not)).collect()
}
