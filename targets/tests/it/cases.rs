//! The modules under `golden/targets`, and how a test makes a module of WGSL.

use std::fs;
use std::path::PathBuf;

use drift_targets::{Code, EmitError, Emitted, Options, Target, emit};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// One folder of `golden/targets`.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) source: String,
}

/// Every case, by name.
pub(crate) fn all() -> Vec<Case> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../golden/targets");
    let mut cases: Vec<Case> = fs::read_dir(&root)
        .expect("golden/targets is part of the repository")
        .map(|entry| entry.expect("golden/targets can be listed"))
        .map(|entry| Case {
            name: entry.file_name().into_string().expect("case names are UTF-8"),
            source: fs::read_to_string(entry.path().join("input.wgsl"))
                .expect("every case has an input.wgsl"),
            folder: entry.path(),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// The case of that name.
pub(crate) fn named(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).expect("tests name cases that exist")
}

/// Parses and validates `source`.
pub(crate) fn module(source: &str) -> (naga::Module, ModuleInfo) {
    let mut module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    naga::compact::compact(&mut module, naga::compact::KeepUnused::No);
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    (module, info)
}

/// Emits `source` for `target` as a device with every optional feature takes it.
pub(crate) fn emitted(source: &str, target: Target, optimize: bool) -> Result<Emitted, EmitError> {
    let (module, info) = module(source);
    let opencl = drift_targets::opencl::Options {
        fp16: true,
        subgroups: true,
        ..drift_targets::opencl::Options::default()
    };
    emit(target, &module, &info, &Options { optimize, opencl })
}

/// The emitted text; SPIR-V as assembly.
pub(crate) fn text(emitted: &Emitted) -> String {
    match &emitted.code {
        Code::Text(text) => text.clone(),
        Code::SpirV(words) => drift_targets::disassemble(words).expect("what was emitted is SPIR-V"),
    }
}

/// An error and its causes.
pub(crate) fn reason(error: &EmitError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
