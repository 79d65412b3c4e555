//! The decoder's result as a PNG.

use anyhow::{Result, ensure};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes the first picture of `[batch, 3, height, width]` with values from -1 to 1.
pub(crate) fn write(path: &Path, values: &[f32], shape: &[u64]) -> Result<()> {
    let &[_, 3, height, width] = shape else {
        anyhow::bail!("the decoder gives shape {shape:?}, expected [batch, 3, height, width]")
    };
    let pixels = pixels(values, (height * width) as usize);
    ensure!(pixels.len() as u64 == 3 * height * width, "the decoder gave too few values");
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    Ok(writer.finish()?)
}

/// Channels last, in bytes.
fn pixels(values: &[f32], area: usize) -> Vec<u8> {
    let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
    (0..area).flat_map(|at| [0, 1, 2].map(|channel| byte(values[channel * area + at]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes_with_channels_last() {
        let values = [-1.0, 0.0, 1.0, 0.5, -2.0, 2.0];
        assert_eq!(pixels(&values, 2), [0, 255, 0, 128, 191, 255]);
    }
}
