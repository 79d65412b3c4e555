//! `driftc run`: replays a bundle once on given or random inputs, and shows or stores what comes out.

use crate::args::{InputArg, RunArgs};
use crate::error::CliError;
use crate::host::{HostTensor, io_text};
use crate::sizes::Free;
use crate::{Console, Outcome, files, npy, output, random, replay, sizes};
use drift_bundle::Bundle;
use drift_bundle::manifest::{HostElement, IoTensor, Target};
use drift_runtime::LoadOptions;
use std::path::Path;

/// Runs `driftc run`.
pub fn run(args: &RunArgs, console: &mut Console<'_>) -> Result<Outcome, CliError> {
    files::check_regular(&args.bundle)?;
    let bundle = Bundle::open(&args.bundle)?;
    let device = replay::open_for(&bundle, args.target.map(Target::from), args.device.as_deref())?;
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
    sizes::set(&mut session, &args.dim)?;
    let inputs = inputs(session.inputs(), given, console)?;
    replay::run_on(&mut session, &inputs)?;
    writeln!(console.out(), "device   {}", device.info().name)?;
    writeln!(console.out(), "variant  {}", session.report().variant)?;
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
    let outputs = session.outputs().to_vec();
    let files = output::file_names(outputs.iter().map(|tensor| tensor.name.as_str()), "npy");
    for (tensor, file) in outputs.iter().zip(files) {
        let data = replay::read(&mut session, tensor)?;
        writeln!(console.out(), "{}  {}", io_text(tensor), summary(&data))?;
        if let Some(folder) = &args.output_dir {
            output::write(&folder.join(file), &npy::write(&data))?;
        }
    }
    Ok(Outcome::Fine)
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
    given.into_iter().map(|(name, file)| Ok((name, read_tensor(file)?))).collect()
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
                data.check_is(tensor)?;
                data
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

/// Reads a tensor from a `.npy` or `.pb` file.
pub fn read_tensor(path: &Path) -> Result<HostTensor, CliError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => {
            npy::read(&files::read(path)?).map_err(|source| CliError::Npy { path: path.to_owned(), source })
        }
        Some("pb") => Ok(read_pb(path)?.1),
        _ => Err(CliError::TensorFile(path.to_owned())),
    }
}

/// Reads a tensor from a `.npy` or `.pb` file with its name, which is empty where there is none.
pub fn read_named(path: &Path) -> Result<(String, HostTensor), CliError> {
    match path.extension() {
        Some(extension) if extension == "pb" => read_pb(path),
        _ => Ok((String::new(), read_tensor(path)?)),
    }
}

/// Reads a tensor of an ONNX data set: its name, which may be empty, and its data.
pub fn read_pb(path: &Path) -> Result<(String, HostTensor), CliError> {
    let (name, tensor) = drift_onnx::read_tensor_pb(files::read(path)?)
        .map_err(|source| CliError::TensorPb { path: path.to_owned(), source })?;
    Ok((name, HostTensor::from_ir(&tensor)?))
}

/// What one sees at a glance: range, mean and the first elements.
fn summary(data: &HostTensor) -> String {
    const SHOWN: usize = 6;
    let values = data.to_f64();
    let numbers: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let text = |value: &f64| match data.element() {
        HostElement::F32 | HostElement::F16 => format!("{value:.6}"),
        HostElement::I64 | HostElement::I32 | HostElement::I8 | HostElement::U8 | HostElement::Bool => {
            value.to_string()
        }
    };
    let mut first: Vec<String> = values.iter().take(SHOWN).map(text).collect();
    if values.len() > SHOWN {
        first.push("...".to_owned());
    }
    let range = if numbers.is_empty() {
        "no finite values".to_owned()
    } else {
        let min = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        format!("min {min:.6} mean {mean:.6} max {max:.6}")
    };
    let others = values.len() - numbers.len();
    let others = if others == 0 { String::new() } else { format!(", {others} not finite") };
    format!("{range}{others}: {}", first.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            summary(&tensor),
            "min 1.000000 mean 2.000000 max 3.000000, 1 not finite: 1.000000 NaN 3.000000"
        );
    }
}
