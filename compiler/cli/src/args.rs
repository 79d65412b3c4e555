//! What may stand on the command line: a contract that scripts and tests rely on.

mod bench;
mod compare;
mod cut;
mod files;
mod generate;
mod look;
mod reduce;
mod run;
mod self_test;
mod shell;
mod values;

pub use bench::{BenchArgs, LanguageFlags};
pub use compare::CompareBundlesArgs;
pub use cut::{CutInputsArg, CutOutputsArg};
pub use generate::GenerateArgs;
pub use look::{DevicesArgs, ExplainArgs, InspectArgs, OperatorsArgs};
pub use reduce::ReduceArgs;
pub use run::RunArgs;
pub use self_test::SelfTestArgs;
pub use shell::{CompletionsArgs, ManArgs};
pub use values::{
    BindArg, BoundArg, CalibrateArg, DimArg, DimSize, Emit, EntryArg, InputArg, IoArg, LayoutArg, LogitsArg,
    ModelArg, PrecisionArg, TargetArg, WeightsArg, WeightsLayoutArg,
};

use crate::compare::Tolerance;
use crate::dataset::OwnTolerance;
use crate::error::CliError;
use crate::hint;
use clap::{Args, CommandFactory, Parser, Subcommand};
use drift_runtime::LoadOptions;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const COMPILE_EXAMPLES: &str = "\
Examples:
  driftc model.onnx --target vulkan -o model.drift
  driftc model.onnx --target vulkan,metal --dim batch=1 --precision f16 -o model.drift
  driftc model.onnx --target vulkan --precision mixed --calibrate model -o model.drift
  driftc model.onnx --target vulkan --bind scale=0.5 -o model.drift
  driftc model.onnx --target webgpu --emit shaders:shaders
  driftc text_encoder=text.onnx unet=unet.onnx --dim unet.batch=2 --target vulkan -o diffusion.drift
  driftc run model.drift --input image=cat.npy --output-dir out
  driftc verify model.onnx --target vulkan --per-node

A model whose name is also a command's, or reads NAME=FILE, is written with its folder: ./run

A file (-o, --json, ...) appears whole or not at all, with the mode of the one that it replaces; links are followed, and
devices, pipes and /dev/stdout are written to.

Exit codes: 0 fine, 1 a check failed, 2 bad usage or bad input, 70 an internal error (with what to report),
130 interrupted";

/// Compiles an ONNX model into a bundle of GPU shaders, and replays, checks and explains bundles.
#[derive(Debug, Parser)]
#[command(
    name = "driftc",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = COMPILE_EXAMPLES,
    override_usage = "driftc MODEL.onnx --target T[,T...] [-o OUT.drift] [OPTIONS]\n       \
                      driftc NAME=MODEL.onnx NAME=MODEL.onnx... --target T[,T...] -o OUT.drift [OPTIONS]\n       \
                      driftc COMMAND ..."
)]
pub struct Cli {
    /// What to do; compiling needs no name.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// List warnings, nodes and declined rules that are alike one by one, instead of the first and how many more there are
    #[arg(long, global = true)]
    pub all: bool,
    /// The form without a command's name.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// Refuses a flag that names one thing twice.
fn given_once<'a>(flag: &str, names: impl Iterator<Item = &'a str>) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(CliError::Usage(format!("{flag} {name} is given twice")));
        }
    }
    Ok(())
}

impl Cli {
    /// Refuses what no parser sees: a dimension that is given twice, and files that would be written over.
    pub fn check(&self) -> Result<(), CliError> {
        if let Some(flags) = self.flags() {
            flags.check_precision()?;
            given_once("--dim", flags.dim.iter().map(|dim| &*dim.name))?;
            given_once("--bound", flags.bound.iter().map(|bound| &*bound.name))?;
        }
        self.check_files()
    }

    /// Refuses a first word that is neither a command nor a file, before the parser takes it for a model.
    pub fn check_first(words: &[OsString]) -> Result<(), CliError> {
        let Some(word) = words.get(1).and_then(|word| word.to_str()) else { return Ok(()) };
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.trim().chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        let known = Self::command();
        let is_command = word == "help" || known.get_subcommands().any(|known| known.get_name() == word);
        if !is_word || is_command || Path::new(word).exists() {
            return Ok(());
        }
        let names = known.get_subcommands().map(clap::Command::get_name);
        let meant = hint::text(&hint::alike(word, names));
        let next = meant.unwrap_or_else(|| "`driftc --help` lists the commands".to_owned());
        Err(CliError::Usage(format!("there is neither a file nor a command `{word}`; {next}")))
    }
}

/// Everything but compiling.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay a bundle or a model once; inputs that are not given are random
    Run(RunArgs),
    /// Compile, replay, and compare every output with stored ones or with the reference evaluator
    Verify(VerifyArgs),
    /// Try a device on a bundle's self-tests (those of --self-test), and name the first dispatch that is wrong
    SelfTest(SelfTestArgs),
    /// Measure load, first run and replay
    Bench(BenchArgs),
    /// Generate text with a language model's bundle
    Generate(GenerateArgs),
    /// How far the distributions of two language models' bundles are apart, over the same tokens
    Compare(CompareBundlesArgs),
    /// What is inside a bundle, who made it, and its memory plan; or what is inside a model
    Inspect(InspectArgs),
    /// Per dispatch: which ONNX nodes, kernel, layouts, why; and what was declined and why
    Explain(ExplainArgs),
    /// Make the smallest model that fails as this one does
    Reduce(ReduceArgs),
    /// What can replay here, with limits
    Devices(DevicesArgs),
    /// Which ONNX operators are read, with which types, and what is refused of them
    Operators(OperatorsArgs),
    /// Print what a shell needs to complete commands, flags and values
    Completions(CompletionsArgs),
    /// Print a manual page
    Man(ManArgs),
}

/// `driftc MODEL.onnx`
#[derive(Args, Clone, Debug)]
pub struct CompileArgs {
    /// The model; or several, each with the name of its entry in the bundle
    #[arg(value_name = "[NAME=]MODEL.onnx", required = true)]
    pub models: Vec<ModelArg>,
    /// GPU APIs to compile for
    #[arg(long, value_name = "T[,T...]", value_delimiter = ',', required = true)]
    pub target: Vec<TargetArg>,
    /// An entry of one model with sizes of its own; may be repeated. Entries share weights and states
    #[arg(long, value_name = "NAME[:DIM=N,...]")]
    pub entry: Vec<EntryArg>,
    /// Of a language model: add the entry `greedy`, which is `decode` but chooses the likeliest token itself, so that any number
    /// of steps run without the host between
    #[arg(long)]
    pub greedy: bool,
    /// Bundle to write [default for one model: its name with .drift, in the current folder]
    #[arg(short, long, value_name = "OUT.drift")]
    pub output: Option<PathBuf>,
    /// Add a self-test of each variant: `driftc self-test` and the runtime try a device with it
    #[arg(long)]
    pub self_test: bool,
    /// Write stage times and memory use, or why there is no bundle, as JSON to a file, or to standard output (-)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Print a stage instead of writing a bundle: graph, dot (the graph as a picture for Graphviz), layout, program, memory, or
    /// shaders:DIR for one file each
    #[arg(long, value_name = "STAGE")]
    pub emit: Option<Emit>,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}

/// Flags that shape what is compiled, the same wherever a model is compiled.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Compile flags")]
pub struct CompileFlags {
    /// Device profiles to make variants for [default: each target's portable variant and the tuned ones it has]
    #[arg(long, value_name = "P[,P...]", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// Bind a free dimension to a size, or leave it free inside of LO..HI, a multiple of STEP: the size is then said where the
    /// bundle runs; ENTRY.NAME means that of one of several models; may be repeated [default: 1 for the first axis, if it is
    /// the batch; others must be given]
    #[arg(long, value_name = "NAME=N|LO..HI[/STEP]")]
    pub dim: Vec<DimArg>,
    /// How many values there are at most where data decide how many: of the value, or of the first result of the node, of this name.
    /// More than that when it runs is an error; ENTRY.NAME means that of one of several models; may be repeated [default: all that
    /// there can be, where that is known and at most 65536]
    #[arg(long, value_name = "NAME=N")]
    pub bound: Vec<BoundArg>,
    /// Make an input a constant: one element (true, 16000, 1e-5), or a file's tensor; ENTRY.NAME means that of one of several
    /// models; may be repeated
    #[arg(long, value_name = "NAME=VALUE|FILE.npy|.pb")]
    pub bind: Vec<BindArg>,
    /// Begin at these values instead of the model's inputs; what is before them is not read. A value whose shape is not known
    /// gets it as NAME=TYPE[DIM,...], such as pixels=f32[1,3,224,224]
    #[arg(long, value_name = "NAME,...")]
    pub inputs: Vec<CutInputsArg>,
    /// End at these values instead of the model's outputs; what is behind them is not read
    #[arg(long, value_name = "NAME,...")]
    pub outputs: Vec<CutOutputsArg>,
    /// Arithmetic and activations; `mixed` is f16 but for what f16 would spoil [default: the model's own]
    #[arg(long, value_name = "TYPE")]
    pub precision: Option<PrecisionArg>,
    /// With --precision mixed: the largest share of an output's largest magnitude by which f16 may change it [default: 1e-3]
    #[arg(long, value_name = "B", value_parser = budget)]
    pub budget: Option<f64>,
    /// With --precision mixed: what the model is tried on: `seeded` for the random inputs of `driftc verify`, or a folder of
    /// test_data_set_N/input_J.{pb,npy} or of INPUT.npy [default: seeded]
    #[arg(long, value_name = "DIR|seeded")]
    pub calibrate: Option<CalibrateArg>,
    /// Storage of weights: that of --precision, or q8, q4 or 844 for those of matrix products [default: the model's own]
    #[arg(long, value_name = "TYPE")]
    pub weights: Option<WeightsArg>,
    /// Leave a weight, or that of a node of this name, as it is where --weights quantizes others; may be repeated
    #[arg(long, value_name = "NAME")]
    pub keep: Vec<String>,
    /// Where activations live
    #[arg(long, value_name = "LAYOUT", default_value = "auto")]
    pub layout: LayoutArg,
    /// Where weights live
    #[arg(long, value_name = "LAYOUT", default_value = "auto")]
    pub weights_layout: WeightsLayoutArg,
    /// Where inputs and outputs live
    #[arg(long, value_name = "PLACE", default_value = "arena")]
    pub io: IoArg,
    /// Which rows of the logits a language model with caches as states returns
    #[arg(long, value_name = "ROWS", default_value = "all")]
    pub logits: LogitsArg,
    /// Leave a rewrite rule or a technique out; may be repeated
    #[arg(long, value_name = "RULE")]
    pub disable: Vec<String>,
}

impl CompileFlags {
    /// Refuses what only mixed precision reads.
    fn check_precision(&self) -> Result<(), CliError> {
        let named = [("--budget", self.budget.is_some()), ("--calibrate", self.calibrate.is_some())];
        match named.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if self.precision != Some(PrecisionArg::Mixed) => {
                Err(CliError::Usage(format!("{flag} needs --precision mixed")))
            }
            _ => Ok(()),
        }
    }
}

/// How a bundle is loaded and replayed.
#[derive(Args, Clone, Debug, Default)]
pub struct ReplayFlags {
    /// Replay variants for some vendors' devices on others' too, to see whether they are right
    #[arg(long)]
    pub any_vendor: bool,
    /// Replay variants whose kind of kernel has run on no such device, whatever is known of their self-test
    #[arg(long)]
    pub untried: bool,
    /// Replay a bundle of somebody who is not trusted: on a logical device that keeps its kernels in its own memory
    #[arg(long)]
    pub untrusted: bool,
    /// How long a load, and each replay, may wait for the device [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
}

impl ReplayFlags {
    /// What they say to the runtime.
    pub fn options(&self) -> LoadOptions {
        let &Self { any_vendor, untried, untrusted, .. } = self;
        let mut options = LoadOptions { any_vendor, untried, untrusted, ..LoadOptions::default() };
        if let Some(seconds) = self.timeout {
            let limit = Duration::from_secs(seconds.into());
            (options.timeout, options.load_timeout) = (limit, limit);
        }
        options
    }
}

/// `driftc verify`
#[derive(Args, Debug)]
#[command(
    after_help = "A folder holds model.onnx beside test_data_set_N/{input,output}_J.{pb,npy}, or such folders. Without data, \
                  inputs are\nrandom with a fixed seed and the reference evaluator says what is expected. A bundle without \
                  data\nis held against its self-test, if it was compiled with one.\n\n\
                  A float passes when |got - expected| <= atol + rtol * |expected|; a NaN passes where a NaN is expected, \
                  an infinity\nwhere the same is; integers and bools must be equal. What this version cannot compile is \
                  UNSUPPORTED, which is\nno failure without --strict. What cannot be verified because the model, its data or a flag is at fault is an ERROR.\n\n\
                  Examples:\n  driftc verify model --target vulkan\n  driftc verify model.onnx --target vulkan \
                  --data model\n  driftc verify model.drift --data model"
)]
pub struct VerifyArgs {
    /// Models, bundles, or folders in the ONNX backend-test layout
    #[arg(value_name = "MODEL.onnx|OUT.drift|DIR", required = true)]
    pub models: Vec<PathBuf>,
    /// GPU APIs to compile for and replay on; for bundles, which of their targets [default for bundles: the first that a
    /// device is here for]
    #[arg(long, value_name = "T[,T...]", value_delimiter = ',')]
    pub target: Vec<TargetArg>,
    /// Data for the one model or bundle given: a folder of test_data_set_N, or one such set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Entry to replay, where a bundle has several [default: main, or the first]
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Device to replay on: its number among those of the target, or a part of its name, as `driftc devices` prints them
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Relative tolerance [default: 1e-3; 2e-2 where f16 is involved]
    #[arg(long, value_name = "R", value_parser = tolerance)]
    pub rtol: Option<f64>,
    /// Absolute tolerance [default: 1e-4; 2e-2 where f16 is involved]
    #[arg(long, value_name = "A", value_parser = tolerance)]
    pub atol: Option<f64>,
    /// Print how large the differences of each output are: mean, percentiles, and how many are in each decade
    #[arg(long)]
    pub statistics: bool,
    /// Exit with 1 where anything is unsupported
    #[arg(long)]
    pub strict: bool,
    /// Compare every intermediate value with the reference evaluator, and name the first wrong node (models only)
    #[arg(long)]
    pub per_node: bool,
    /// Make constants of inputs that a node reads as axes, shapes, scales and the like, with each data set's own values
    /// (models only)
    #[arg(long)]
    pub bind_data: bool,
    /// Write the results as JSON to a file, or to standard output (-), where nothing else goes then
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// How bundles are loaded and replayed.
    #[command(flatten)]
    pub replay: ReplayFlags,
    /// Flags that shape the result.
    #[command(flatten)]
    pub flags: CompileFlags,
}

impl VerifyArgs {
    /// The tolerance asked for, or else the case's own, filled up with the default for the types at hand.
    pub fn tolerance(&self, half_precision: bool, own: OwnTolerance) -> Tolerance {
        let default = if half_precision { Tolerance::F16 } else { Tolerance::F32 };
        Tolerance {
            relative: self.rtol.or(own.rtol).unwrap_or(default.relative),
            absolute: self.atol.or(own.atol).unwrap_or(default.absolute),
        }
    }
}

fn budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("a budget is a number above 0, such as 1e-3".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("a tolerance is a number that is not negative, such as 1e-3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use drift_bundle::manifest::Target;
    use drift_compiler::WeightsStorage;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("driftc").chain(line.split(' ')))
    }

    fn compile(line: &str) -> CompileArgs {
        parse(line).unwrap().compile
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_target_can_be_asked_for() {
        let targets: Vec<Target> = TargetArg::value_variants().iter().map(|&target| target.into()).collect();
        assert_eq!(targets, Target::ALL);
    }

    #[test]
    fn every_storage_type_of_weights_can_be_asked_for() {
        for storage in WeightsStorage::ALL {
            let args = compile(&format!("m.onnx --target vulkan --weights-layout {}", storage.name()));
            let options = crate::model::options(&args.flags, Vec::new());
            assert_eq!(options.weights_layout.storage, Some(storage));
        }
    }

    #[test]
    fn compiling_needs_no_command_name() {
        let args = compile(
            "m.onnx --target vulkan,metal --dim seq=1..512 --dim batch=2 -o m.drift --weights 844 --weights-layout four-textures",
        );
        assert_eq!(args.models, [ModelArg { entry: None, path: PathBuf::from("m.onnx") }]);
        assert_eq!(args.target, [TargetArg::Vulkan, TargetArg::Metal]);
        assert_eq!(args.flags.dim[0], DimArg { name: "seq".to_owned(), size: DimSize::Range(1, 512) });
        assert_eq!(args.flags.dim[1], DimArg { name: "batch".to_owned(), size: DimSize::Fixed(2) });
        assert_eq!(args.flags.weights, Some(WeightsArg::Q844));
        assert_eq!(args.flags.layout, LayoutArg::Auto);
        assert_eq!(args.flags.weights_layout, WeightsLayoutArg::FourTextures);
    }

    #[test]
    fn several_models_have_names() {
        let args = compile("text=a/m.onnx unet=b/m.onnx ./c=d.onnx --target vulkan --dim unet.batch=2");
        let expected = [(Some("text"), "a/m.onnx"), (Some("unet"), "b/m.onnx"), (None, "./c=d.onnx")];
        for (model, (entry, path)) in args.models.iter().zip(expected) {
            assert_eq!((model.entry.as_deref(), model.path.as_path()), (entry, std::path::Path::new(path)));
        }
        assert_eq!(args.models.len(), expected.len());
        assert!(parse("text= --target vulkan").is_err());
    }

    #[test]
    fn commands_stand_alone() {
        for line in [
            "run m.drift --input x=x.npy --input y=y.pb --output-dir out",
            "verify a b/ --target vulkan --rtol 1e-3 --per-node --precision f16",
            "bench m.drift --iterations 10 --per-dispatch --trace t.json --json b.json",
            "bench m.onnx --target opencl --ablate",
            "bench m.drift --llm -p 512 -n 0,128 -d 0,1024 -r 5 --json b.json",
            "generate m.drift --model-dir m --prompt text --temperature 0.7 --top-k 40 --top-p 0.9 --min-p 0.05 --seed 1",
            "generate m.drift --model-dir m --chat --system text --stop 7 --stop <|end|> --max-tokens 9 --json g.json",
            "inspect m.drift --entry decode --json",
            "explain m.onnx --target vulkan --profile adreno,mali --disable conv-absorbs-bias",
            "compare a.drift b.drift --tokens t.txt --window 128 --json c.json --device 0",
            "inspect m.drift --json j.json",
            "inspect m.onnx --dim h=4 --json",
            "explain m.drift --json -",
            "run m.onnx --target vulkan --dim batch=2 --json -",
            "devices --json d.json",
            "operators --json",
            "operators --json o.json",
            "completions zsh",
            "man verify",
        ] {
            assert!(parse(line).unwrap().command.is_some(), "{line}");
        }
    }

    #[test]
    fn bad_usage_is_refused() {
        for line in [
            "m.onnx",
            "m.onnx --target vulcan",
            "m.onnx --target vulkan --dim batch",
            "m.onnx --target vulkan --dim batch=-1",
            "m.onnx --target vulkan --dim batch=5..2",
            "m.onnx --target vulkan --dim =3",
            "m.onnx --target vulkan --emit shader",
            "m.onnx --target vulkan --emit shaders:",
            "m.onnx --target vulkan --precision f64",
            "run m.drift --input x",
            "m.onnx --target vulkan --bind rate",
            "m.onnx --target vulkan --bind =1",
            "verify --target vulkan",
            "verify m.onnx --target vulkan --rtol -1",
            "verify m.onnx --target vulkan --rtol nan",
            "bench m.drift --iterations 0",
            "bench m.drift -p 512",
            "bench m.drift --llm --ablate",
            "bench m.drift --llm -r 0",
            "generate m.drift --prompt text",
            "generate m.drift --model-dir m",
            "generate m.drift --model-dir m --prompt text --chat",
            "generate m.drift --model-dir m --prompt text --system text",
            "generate m.drift --model-dir m --chat --temperature -1",
            "generate m.drift --model-dir m --chat --top-p 0",
            "generate m.drift --model-dir m --chat --min-p 1.5",
            "generate m.drift --model-dir m --chat --top-k 1.5",
            "generate m.drift --model-dir m --chat --repetition-penalty 0",
            "generate m.drift --model-dir m --chat --max-tokens 0",
            "inspect",
            "compare a.drift --tokens t.txt",
            "compare a.drift b.drift",
            "compare a.drift b.drift --tokens t.txt --window 1",
            "completions csh",
            "m.onnx --target vulkan --inputs a,,b",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_dim_name_may_be_an_expression() {
        let arg: DimArg = "past + new=7".parse().unwrap();
        assert_eq!(arg, DimArg { name: "past + new".to_owned(), size: DimSize::Fixed(7) });
    }

    #[test]
    fn a_cache_may_be_empty() {
        assert_eq!("past=0".parse::<DimArg>().unwrap().size, DimSize::Fixed(0));
    }

    #[test]
    fn a_range_of_one_size_is_that_size() {
        assert_eq!("n=4..4".parse::<DimArg>().unwrap().size, DimSize::Fixed(4));
        assert_eq!("n=60..520/32".parse::<DimArg>().unwrap().size, DimSize::Steps(64, 512, 32));
        assert_eq!("n=1..9/1".parse::<DimArg>().unwrap().size, DimSize::Range(1, 9));
        assert_eq!("n=30..60/32".parse::<DimArg>().unwrap().size, DimSize::Fixed(32));
        for wrong in ["n=33..63/32", "n=1..9/0", "n=1..9/x", "n=9..1/2"] {
            assert!(wrong.parse::<DimArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shaders_name_their_folder() {
        assert_eq!("shaders:a:b".parse(), Ok(Emit::Shaders(PathBuf::from("a:b"))));
    }
}
