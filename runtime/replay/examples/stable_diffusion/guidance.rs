//! The UNet under classifier-free guidance (arXiv 2207.12598), and tensors in and out of sessions.

use anyhow::{Context, Result, bail, ensure};
use drift_bundle::manifest::{HostElement, IoTensor};
use drift_runtime::Session;
use half::f16;

/// The UNet with both texts.
pub(crate) struct Guided {
    unet: Session,
    sample: IoTensor,
    timestep: IoTensor,
    hidden: IoTensor,
    output: IoTensor,
    /// Embeddings of the negative prompt, then of the prompt.
    texts: [Vec<f32>; 2],
    weight: f32,
}

impl Guided {
    pub(crate) fn new(unet: Session, negative: Vec<f32>, positive: Vec<f32>, weight: f32) -> Result<Self> {
        let sample = named(unet.inputs(), "sample")?;
        let timestep = named(unet.inputs(), "timestep")?;
        let hidden = named(unet.inputs(), "encoder_hidden_states")?;
        let output = only(unet.outputs(), "output", "unet")?;
        ensure!(
            sample.shape.len() == 4 && matches!(sample.shape[0], 1 | 2) && output.shape == sample.shape,
            "`sample` has shape {:?}; compile the UNet with batch 1 or 2",
            sample.shape
        );
        let wanted = elements(&hidden) / sample.shape[0] as usize;
        ensure!(
            hidden.shape[0] == sample.shape[0] && negative.len() == wanted && positive.len() == wanted,
            "the text encoder gives {} values, the UNet's `encoder_hidden_states` {:?} takes {wanted}",
            positive.len(),
            hidden.shape
        );
        Ok(Self { unet, sample, timestep, hidden, output, texts: [negative, positive], weight })
    }

    /// Elements of the latents of one picture.
    pub(crate) fn latent_elements(&self) -> usize {
        elements(&self.sample) / self.sample.shape[0] as usize
    }

    /// The noise that the UNet sees in `latents`, moved from the negative prompt towards the prompt.
    pub(crate) fn noise(&mut self, latents: &[f32], timestep: u32) -> Result<Vec<f32>> {
        let steps = vec![timestep as f32; elements(&self.timestep)];
        write(&mut self.unet, &self.timestep, &steps)?;
        let both = if self.sample.shape[0] == 2 {
            write(&mut self.unet, &self.sample, &[latents, latents].concat())?;
            write(&mut self.unet, &self.hidden, &self.texts.concat())?;
            self.unet.run()?;
            let mut both = read(&mut self.unet, &self.output)?;
            let positive = both.split_off(latents.len());
            [both, positive]
        } else {
            write(&mut self.unet, &self.sample, latents)?;
            let [negative, positive] = [0, 1].map(|text| {
                write(&mut self.unet, &self.hidden, &self.texts[text])?;
                self.unet.run()?;
                read(&mut self.unet, &self.output)
            });
            [negative?, positive?]
        };
        let [negative, positive] = both;
        Ok(negative.iter().zip(positive).map(|(n, p)| n + self.weight * (p - n)).collect())
    }
}

/// The tensor of this name.
pub(crate) fn named(tensors: &[IoTensor], name: &str) -> Result<IoTensor> {
    let found = tensors.iter().find(|tensor| tensor.name == name);
    found.cloned().with_context(|| {
        let held: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        format!("there is no input `{name}`, only {}", held.join(", "))
    })
}

/// The only tensor there is.
pub(crate) fn only(tensors: &[IoTensor], what: &str, entry: &str) -> Result<IoTensor> {
    match tensors {
        [tensor] => Ok(tensor.clone()),
        _ => bail!("{entry} has {} {what}s, expected one", tensors.len()),
    }
}

fn elements(tensor: &IoTensor) -> usize {
    tensor.shape.iter().product::<u64>() as usize
}

/// Writes values in the type that the model takes.
pub(crate) fn write(session: &mut Session, tensor: &IoTensor, values: &[f32]) -> Result<()> {
    let name = &tensor.name;
    match tensor.element {
        HostElement::F32 => session.write(name, values)?,
        HostElement::F16 => {
            session.write(name, &values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>())?
        }
        HostElement::I64 => session.write(name, &values.iter().map(|&v| v as i64).collect::<Vec<_>>())?,
        HostElement::I32 => session.write(name, &values.iter().map(|&v| v as i32).collect::<Vec<_>>())?,
        _ => bail!("`{name}` is {:?}", tensor.element),
    }
    Ok(())
}

/// Reads values in the type that the model gives.
pub(crate) fn read(session: &mut Session, tensor: &IoTensor) -> Result<Vec<f32>> {
    match tensor.element {
        HostElement::F32 => Ok(session.read(&tensor.name)?),
        HostElement::F16 => Ok(session.read::<f16>(&tensor.name)?.into_iter().map(f16::to_f32).collect()),
        element => bail!("`{}` is {element:?}, expected f32 or f16", tensor.name),
    }
}

/// Numbers from the standard normal distribution: Box and Muller's method on SplitMix64.
pub(crate) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // In (0, 1], so that the logarithm is finite.
        ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
    };
    let pair = |_| {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    };
    (0..count.div_ceil(2)).flat_map(pair).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_follows_the_seed() {
        let noise = normal(7, 40_001);
        assert_eq!(noise.len(), 40_001);
        assert_eq!(noise, normal(7, 40_001));
        assert_ne!(noise[..8], normal(8, 8)[..]);
        let mean = noise.iter().sum::<f32>() / noise.len() as f32;
        let variance = noise.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / noise.len() as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert!(noise.iter().all(|v| v.abs() < 6.0));
    }
}
