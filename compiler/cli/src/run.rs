//! `driftc run`: replays a bundle or a model once on given or random inputs, and shows or stores what comes out.

use crate::args::{InputArg, RunArgs};
use crate::error::CliError;
use crate::host::{HostTensor, element_name, io_text};
use crate::progress::Progress;
use crate::sizes::Free;
use crate::{
    Console, Outcome, files, in_memory, meant, model, npy, output, random, replay, sizes, tensor_file,
};
use drift_bundle::Bundle;
use drift_bundle::manifest::{HostElement, IoTensor, Target};
use drift_runtime::{Device, LoadOptions};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Runs `driftc run`.
pub fn run(args: &RunArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    let is_model = files::is_model(&args.model)?;
    let (bundle, device) = if is_model { of_model(args, console)? } else { of_bundle(args)? };
    let options = LoadOptions {
        entry: args.entry.clone(),
        verify_weights: true,
        cache_dir: args.pipeline_cache.clone(),
        self_test: args.self_test,
        ..args.replay.options()
    };
    let mut session = device.load_with(&bundle, &options)?;
    let given = given(session.inputs(), &args.input)?;
    let free = Free::of(&bundle, device.info().kind.target(), &session);
    free.follow(&mut session, given.iter().map(|(name, data)| (*name, data)))?;
    // A model's were bound when it was compiled.
    if !is_model {
        sizes::set(&mut session, &args.flags.dim)?;
    }
    let inputs = inputs(session.inputs(), given, console)?;
    replay::run_on(&mut session, &inputs)?;
    let mut json = RunJson {
        device: device.info().name.clone(),
        variant: session.report().variant.clone(),
        outputs: Vec::new(),
    };
    writeln!(console.out(), "device   {}", json.device)?;
    writeln!(console.out(), "variant  {}", json.variant)?;
    if !device.info().kind.is_tried() {
        let kind = device.info().kind.title();
        writeln!(
            console.err(),
            "note: {kind} was never run on hardware by driftc's makers; compare before you rely on it"
        )?;
    }
    if let Some(folder) = &args.output_dir {
        output::create_folder(folder)?;
    }
    let outputs = meant::read(&mut session)?;
    let files = output::file_names(outputs.iter().map(|(tensor, _)| tensor.name.as_str()), "npy");
    for ((tensor, data), file) in outputs.iter().zip(files) {
        let path = args.output_dir.as_ref().map(|folder| folder.join(file));
        let summary = Summary::of(data);
        writeln!(console.out(), "{}  {}", io_text(tensor), summary.text(data.element()))?;
        if let Some(path) = &path {
            output::write(path, &npy::write(data))?;
        }
        json.outputs.push(OutputJson::new(tensor, summary, path));
    }
    output::write_document(args.json.as_deref(), "run", &json, console)?;
    Ok(Outcome::Fine)
}

/// The bundle, and a device for it.
fn of_bundle(args: &RunArgs) -> Result<(Bundle, Device), CliError> {
    model::refuse_flags_but_dims(&args.flags)?;
    let bundle = Bundle::open(&args.model)?;
    let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
    Ok((bundle, device))
}

/// A bundle that is made of the model, and a device for it.
fn of_model(args: &RunArgs, console: &mut Console<'_>) -> Result<(Bundle, Device), CliError> {
    let usage = |what: &str| Err(CliError::Usage(format!("{what} needs a bundle; compile one with -o")));
    if args.entry.is_some() {
        return usage("--entry");
    }
    if args.self_test {
        return usage("--self-test");
    }
    let target = args.target.map_or_else(replay::target_here, Target::from);
    let device = replay::open(target, args.device.as_deref())?;
    let progress = Progress::spinner("compiling");
    let model = model::load(&args.model, &args.flags)?;
    progress.suspend(|| model.tell(None, console))?;
    let parts = (model.graph, model.identity);
    let (bundle, report) = in_memory::bundle(parts, &args.model, &args.flags, vec![target])?;
    drop(progress);
    console.warnings(&report.warnings)?;
    Ok((bundle, device))
}

/// What `driftc run --json FILE` writes.
#[derive(Serialize)]
struct RunJson {
    /// Device that replayed.
    device: String,
    /// Variant that it chose.
    variant: String,
    /// What came out.
    outputs: Vec<OutputJson>,
}

/// One output.
#[derive(Serialize)]
struct OutputJson {
    name: String,
    /// Type of an element on the host.
    element: &'static str,
    shape: Vec<u64>,
    #[serde(flatten)]
    summary: Summary,
    /// With `--output-dir`: where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl OutputJson {
    fn new(tensor: &IoTensor, summary: Summary, file: Option<PathBuf>) -> Self {
        let element = element_name(tensor.element);
        Self { name: tensor.name.clone(), element, shape: tensor.shape.clone(), summary, file }
    }
}

/// What is given for inputs, each read from its file.
fn given<'a>(declared: &[IoTensor], given: &'a [InputArg]) -> Result<Vec<(&'a str, HostTensor)>, CliError> {
    let names = || declared.iter().map(|tensor| tensor.name.as_str());
    let given: Vec<(&str, &Path)> = given.iter().map(|input| input.split(names())).collect();
    for (index, (name, _)) in given.iter().enumerate() {
        if !names().any(|known| known == *name) {
            let known = declared.iter().map(io_text).collect();
            return Err(CliError::UnknownInput { name: (*name).to_owned(), known });
        }
        if given[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(CliError::InputTwice((*name).to_owned()));
        }
    }
    given.into_iter().map(|(name, file)| Ok((name, tensor_file::read(file)?))).collect()
}

/// Data for each input: what is given, or random.
fn inputs(
    declared: &[IoTensor],
    mut given: Vec<(&str, HostTensor)>,
    console: &mut Console<'_>,
) -> Result<Vec<HostTensor>, CliError> {
    let mut inputs = Vec::with_capacity(declared.len());
    for tensor in declared {
        inputs.push(match given.iter().position(|(name, _)| *name == tensor.name) {
            Some(at) => {
                let (_, data) = given.swap_remove(at);
                data.fitted(tensor)?
            }
            None => {
                console.note(&format!("input `{}` is random", tensor.name))?;
                random::tensor(&tensor.name, tensor.element, &tensor.shape)
                    .map_err(|source| CliError::Tensor { name: tensor.name.clone(), source })?
            }
        });
    }
    Ok(inputs)
}

/// What one sees at a glance.
#[derive(Serialize)]
struct Summary {
    /// Least of the finite elements; `null` where none is.
    min: Option<f64>,
    /// Their mean.
    mean: Option<f64>,
    /// Largest of them.
    max: Option<f64>,
    /// Elements that are not finite.
    not_finite: usize,
    /// The first elements; `null` for one that is not finite.
    first: Vec<f64>,
    #[serde(skip)]
    has_more: bool,
}

impl Summary {
    fn of(data: &HostTensor) -> Self {
        const SHOWN: usize = 6;
        let values = data.to_f64();
        let numbers: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let some = |value: f64| (!numbers.is_empty()).then_some(value);
        Self {
            min: some(numbers.iter().copied().fold(f64::INFINITY, f64::min)),
            mean: some(numbers.iter().sum::<f64>() / numbers.len() as f64),
            max: some(numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            not_finite: values.len() - numbers.len(),
            first: values.iter().copied().take(SHOWN).collect(),
            has_more: values.len() > SHOWN,
        }
    }

    fn text(&self, element: HostElement) -> String {
        let text = |value: &f64| match element.is_float() {
            true => format!("{value:.6}"),
            false => value.to_string(),
        };
        let mut first: Vec<String> = self.first.iter().map(text).collect();
        if self.has_more {
            first.push("...".to_owned());
        }
        let range = match (self.min, self.mean, self.max) {
            (Some(min), Some(mean), Some(max)) => format!("min {min:.6} mean {mean:.6} max {max:.6}"),
            _ => "no finite values".to_owned(),
        };
        let others = match self.not_finite {
            0 => String::new(),
            others => format!(", {others} not finite"),
        };
        format!("{range}{others}: {}", first.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_bundle::manifest::HostElement;

    fn declared() -> Vec<IoTensor> {
        vec![
            IoTensor { name: "x".to_owned(), element: HostElement::F32, shape: vec![2, 3], free: vec![] },
            IoTensor { name: "ids".to_owned(), element: HostElement::I64, shape: vec![4], free: vec![] },
        ]
    }

    fn prepare(given: &[&str]) -> Result<Vec<HostTensor>, CliError> {
        let given: Vec<InputArg> = given.iter().map(|arg| arg.parse().unwrap()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let given = super::given(&declared(), &given)?;
        inputs(&declared(), given, &mut Console::new(&mut out, &mut err))
    }

    fn stored(element: HostElement, shape: &[u64]) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".npy").tempfile().unwrap();
        let tensor = random::tensor("x", element, shape).unwrap();
        output::write(file.path(), &npy::write(&tensor)).unwrap();
        file
    }

    #[test]
    fn inputs_that_are_not_given_are_random() {
        let inputs = prepare(&[]).unwrap();
        assert_eq!((inputs[0].shape(), inputs[1].element()), (&[2, 3][..], HostElement::I64));
    }

    #[test]
    fn a_file_fills_its_input() {
        let file = stored(HostElement::F32, &[2, 3]);
        let inputs = prepare(&[&format!("x={}", file.path().display())]).unwrap();
        assert_eq!(inputs[0], random::tensor("x", HostElement::F32, &[2, 3]).unwrap());
    }

    #[test]
    fn wrong_inputs_are_refused_by_name() {
        let message = |given: &[&str]| prepare(given).unwrap_err().to_string();
        let turned = stored(HostElement::F32, &[3, 2]);
        let half = stored(HostElement::F16, &[2, 3]);
        let (turned, half) =
            (format!("x={}", turned.path().display()), format!("x={}", half.path().display()));
        assert_eq!(message(&[&turned]), "input `x` is f32 [2, 3], but its data are f32 [3, 2]");
        assert_eq!(message(&[&half]), "input `x` is f32 [2, 3], but its data are f16 [2, 3]");
        assert!(message(&["y=y.npy"]).starts_with("there is no input `y`"));
        assert!(message(&["x=a.npy", "x=b.npy"]).contains("twice"));
        assert!(message(&["x=nowhere.npy"]).starts_with("cannot read nowhere.npy"));
        assert!(message(&["x=image.png"]).contains(".npy or .pb"));
    }

    #[test]
    fn the_summary_counts_what_is_no_number() {
        let bytes = [1.0_f32, f32::NAN, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = HostTensor::new(HostElement::F32, vec![3], bytes).unwrap();
        assert_eq!(
            Summary::of(&tensor).text(HostElement::F32),
            "min 1.000000 mean 2.000000 max 3.000000, 1 not finite: 1.000000 NaN 3.000000"
        );
    }
}
