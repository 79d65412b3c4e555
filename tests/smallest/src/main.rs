//! Runs a bundle once on zeros: `drift-smallest BUNDLE`. Its stripped size is what the runtime adds to an app.

use drift_runtime::{Bundle, Device, OpenOptions, RuntimeError};

fn main() -> Result<(), RuntimeError> {
    let bundle = Bundle::open(std::env::args().nth(1).unwrap_or_default())?;
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
