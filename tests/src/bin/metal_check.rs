//! Asks Apple's compiler and a Metal device about everything that driftc emits: `cargo xtask metal-check` starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool reports on the terminal")]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drift_runtime::{DeviceKind, devices_of};
use drift_tests::metal_check::{Compiler, compile_each, compiled_report, convert, shaders, suite};

const HELP: &str = "\
Usage: cargo xtask metal-check [OPTION]...
       cargo xtask metal-check --metallib IN.drift OUT.drift [--sdk SDK]

Compiles every shader that driftc emits for Metal with Apple's compiler, runs every kernel case on the Metal device against
the evaluator, and writes a report to send back.
  --report FILE  where the report goes (target/metal-check/report.txt)
  --models       only the shaders of the carried models, not of the kernels' cases
  --cases PREFIX only the cases that begin so
  --no-device    only compile
  --metallib     put compiled libraries in the place of a bundle's text for Metal, for apps that may not compile at start
  --sdk SDK      macosx (as if not given), iphoneos or iphonesimulator: a library runs on its own system only
Exit codes: 0 all is right, 1 something is not, 2 it could not be asked.";

struct Options {
    report: PathBuf,
    all: bool,
    cases: String,
    device: bool,
    convert: Option<(PathBuf, PathBuf)>,
    sdk: String,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match options(&args).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("metal-check: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(args: &[String]) -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        report: PathBuf::from("target/metal-check/report.txt"),
        all: true,
        cases: String::new(),
        device: true,
        convert: None,
        sdk: "macosx".to_owned(),
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} wants a value\n\n{HELP}"));
        match name.as_str() {
            "--report" => options.report = value()?.into(),
            "--models" => options.all = false,
            "--cases" => options.cases.clone_from(value()?),
            "--no-device" => options.device = false,
            "--metallib" => options.convert = Some((value()?.into(), value()?.into())),
            "--sdk" => options.sdk.clone_from(value()?),
            _ => return Err(format!("unknown option `{name}`\n\n{HELP}").into()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let compiler = Compiler::find(&options.sdk)?;
    let folder = options.report.parent().unwrap_or(Path::new("."));
    let scratch = folder.join("compiled");
    std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    if let Some((from, to)) = &options.convert {
        let converted = convert(&compiler, (from, to), &scratch)?;
        let (text, libraries) = converted.bytes;
        println!(
            "{}: {} shaders, {text} bytes of text are {libraries} of libraries",
            to.display(),
            converted.shaders
        );
        return Ok(true);
    }
    check(&compiler, options, &scratch)
}

/// Compiles, runs, and writes down what came of it.
fn check(compiler: &Compiler, options: &Options, scratch: &Path) -> Result<bool, Box<dyn Error>> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let shaders = shaders(&models, options.all)?;
    let (_, rejected) = compile_each(compiler, &shaders, scratch);
    let mut report =
        format!("driftc     {}\nsystem     {}\n", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    report.push_str(&compiled_report(compiler, shaders.len(), &rejected));
    let mut is_right = rejected.is_empty();
    if options.device {
        match devices_of(DeviceKind::Metal) {
            Ok(devices) => {
                for device in devices {
                    writeln!(
                        report,
                        "device     {} ({}), {}",
                        device.name, device.api_version, device.driver
                    )?;
                    writeln!(report, "           {:?}\n           {:?}", device.features, device.limits)?;
                }
                let suite = suite(&options.cases)?;
                is_right &= suite.failures.is_empty() && suite.right > 0;
                write!(report, "{suite}")?;
            }
            Err(error) => {
                is_right = false;
                writeln!(report, "device     none: {error}")?;
            }
        }
    }
    std::fs::write(&options.report, &report)
        .map_err(|error| format!("{}: {error}", options.report.display()))?;
    println!("{report}\nthe report is in {}", options.report.display());
    Ok(is_right)
}
