//! Bundles as they ship: replayed on stored inputs, compared with stored outputs.

use super::{Devices, Differences, data, differences};
use crate::args::VerifyArgs;
use crate::dataset::Case;
use crate::error::CliError;
use crate::report::{ModelJson, Status};
use crate::sizes::Free;
use crate::{meant, replay};
use drift_bundle::Bundle;
use drift_bundle::manifest::{DeviceElement, Entry, HostElement, IoTensor, Requirement, Target};
use drift_bundle::self_test::is_self_test;
use drift_runtime::{Device, LoadOptions};

pub(super) fn check(
    case: &Case,
    target: Option<Target>,
    devices: &mut Devices<'_>,
    args: &VerifyArgs,
) -> Result<ModelJson, CliError> {
    let bundle = Bundle::open(&case.path)?;
    let target = target.unwrap_or_else(|| replay::target_for(&bundle));
    if !case.data_sets.iter().any(|set| !set.outputs.is_empty()) {
        return by_self_test(case, &bundle, devices.of(target)?, args);
    }
    let device = devices.of(target)?;
    let options = LoadOptions { entry: args.entry.clone(), verify_weights: true, ..args.replay.options() };
    let mut session = device.load_with(&bundle, &options)?;
    if !session.states().is_empty() {
        return Err(CliError::StatefulBundle(case.path.clone()));
    }
    let report = session.report().clone();
    let mut entries = bundle.manifest().entries.iter();
    let entry = entries.find(|entry| entry.target == target && entry.name == report.entry);
    let half = bundle.manifest().provenance.flags.iter().any(|flag| flag.contains("f16"))
        || entry.is_some_and(|entry| uses_half(entry, &report.variant));
    let names =
        |tensors: &[IoTensor]| -> Vec<String> { tensors.iter().map(|tensor| tensor.name.clone()).collect() };
    let free = Free::of(&bundle, target, &session);
    let (inputs, outputs) = (names(session.inputs()), meant::own_names(session.outputs()));
    let mut all = Differences::default();
    for set in case.data_sets.iter().filter(|set| !set.outputs.is_empty()) {
        let given = data::in_order(&set.folder, "input", &set.inputs, &inputs)?;
        let expected = data::outputs(set, &outputs)?;
        let named = inputs.iter().map(String::as_str).zip(&given);
        let found = free.follow(&mut session, named).and_then(|()| {
            differences(&mut session, &given, &expected, args.tolerance(half, case.tolerance))
        });
        let named = |source| CliError::DataSet { folder: set.folder.clone(), source: Box::new(source) };
        all.add(found.map_err(named)?);
    }
    Ok(ModelJson {
        name: case.name.clone(),
        target: target.name(),
        device: Some(device.info().name.clone()),
        variant: Some(report.variant),
        status: if all.pass() { Status::Pass } else { Status::Fail },
        outputs: all.report(),
        reason: None,
        warnings: Vec::new(),
        first_wrong_node: None,
    })
}

/// Without data: each dispatch on its own, where the bundle has what that takes.
fn by_self_test(
    case: &Case,
    bundle: &Bundle,
    device: &Device,
    args: &VerifyArgs,
) -> Result<ModelJson, CliError> {
    let target = device.info().kind.target();
    let manifest = bundle.manifest();
    if !manifest.entries.iter().any(|entry| entry.target == target && is_self_test(manifest, entry)) {
        return Err(CliError::NoStoredOutputs(case.path.clone()));
    }
    let options = LoadOptions { entry: args.entry.clone(), verify_weights: true, ..args.replay.options() };
    let report = device.self_test_with(bundle, &options)?;
    let (tests, untested) = (report.tests, report.untested.len());
    let first =
        report.wrong.first().map(|wrong| format!(", {} wrong, the first: {wrong}", report.wrong.len()));
    let reason = format!(
        "self-test: {tests} dispatches tried{}, {untested} not tested; what the whole computes was not compared, since there is no \
         --data",
        first.unwrap_or_default()
    );
    Ok(ModelJson {
        name: case.name.clone(),
        target: target.name(),
        device: Some(device.info().name.clone()),
        variant: Some(report.variant.clone()),
        status: if report.is_right() { Status::Pass } else { Status::Fail },
        outputs: Vec::new(),
        reason: Some(reason),
        warnings: Vec::new(),
        first_wrong_node: None,
    })
}

/// Whether there is f16 at the boundary of a variant, or in its arithmetic.
fn uses_half(entry: &Entry, variant: &str) -> bool {
    let outside = entry.inputs.iter().chain(&entry.outputs).any(|tensor| tensor.element == HostElement::F16);
    let inside = entry.variants.iter().filter(|known| known.name == variant).any(|variant| {
        variant.requires.contains(&Requirement::F16)
            || variant.inputs.iter().chain(&variant.outputs).any(|io| io.element == DeviceElement::F16)
    });
    outside || inside
}
