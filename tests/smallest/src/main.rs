//! Runs a bundle once on zeros: `drift-smallest BUNDLE`. Its stripped size is what the runtime adds to an app.

use std::io::Write;
use std::process::ExitCode;

use drift_runtime::{Bundle, Device, OpenOptions, RuntimeError};

fn main() -> ExitCode {
    match run(&std::env::args().nth(1).unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody listens there is nothing left to be done.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str) -> Result<(), RuntimeError> {
    let bundle = Bundle::open(path)?;
    let mut session = Device::open_any(&bundle, &OpenOptions::default())?.load(&bundle)?;
    for input in session.inputs().to_vec() {
        let bytes = input.elements().unwrap_or(0) * input.element.size_bytes();
        session.write_raw(&input.name, &vec![0; bytes as usize])?;
    }
    session.run()?;
    for output in session.outputs().to_vec() {
        session.read_raw(&output.name)?;
    }
    Ok(())
}
