//! Whisper's three entries: the encoder once, the decoder's prompt once, then tokens one by one over a past that stays on the device.

use anyhow::{Context, Result, ensure};
use drift_runtime::{Bundle, Device, DeviceElement, HostElement, IoTensor, LoadOptions, Session, f16};

/// Entries of the bundle.
const ENTRIES: [&str; 3] = ["encoder", "prefill", "decode"];

/// How exporters begin the names of what the prompt leaves.
const PRESENT: &str = "present.";

/// The same of what a step finds.
const PAST: &str = "past_key_values.";

/// Whisper on a device.
pub(crate) struct Transcriber {
    encoder: Session,
    prefill: Session,
    decode: Session,
}

impl Transcriber {
    /// Loads the three entries together, so that they share what they have in common.
    pub(crate) fn load(device: &Device, bundle: &Bundle) -> Result<Self> {
        let sessions = device.load_entries(bundle, &ENTRIES, &LoadOptions::default())?;
        let sessions = <[Session; 3]>::try_from(sessions);
        let [encoder, prefill, decode] = sessions.ok().context("as many sessions as entries")?;
        ensure!(!decode.states().is_empty(), "the past is no state; compile with --dim decode.PAST=0..N");
        ensure!(encoder.inputs()[0].shape.len() == 3, "the encoder takes no [1, mels, frames]");
        Ok(Self { encoder, prefill, decode })
    }

    /// Mel bands and frames that the encoder takes.
    pub(crate) fn window(&self) -> [usize; 2] {
        [1, 2].map(|axis| self.encoder.inputs()[0].shape[axis] as usize)
    }

    /// The tokens behind a prompt, up to `end`, which is not among them, or `most` of them.
    pub(crate) fn transcribe(
        &mut self,
        features: &[f32],
        prompt: &[u32],
        (end, most): (u32, usize),
    ) -> Result<Vec<u32>> {
        let [input, output] =
            [&self.encoder.inputs()[0].name, &self.encoder.outputs()[0].name].map(Clone::clone);
        self.encoder.write(&input, features)?;
        self.encoder.run()?;
        let hidden: Vec<f32> = self.encoder.read(&output)?;
        let ids = shape(self.prefill.inputs(), "input_ids")?;
        ensure!(
            ids == [1, prompt.len() as u64],
            "the prompt has {} tokens, the bundle {ids:?}",
            prompt.len()
        );
        self.prefill.write("input_ids", &prompt.iter().copied().map(i64::from).collect::<Vec<_>>())?;
        self.prefill.write("encoder_hidden_states", &hidden)?;
        self.prefill.run()?;
        self.hand_over(prompt.len())?;
        let rows = self.decode.states().iter().filter_map(|state| state.shape.get(2)).min();
        let capacity = *rows.context("a past has four axes")? as usize;
        let mut token = likeliest(&self.prefill.read("logits")?, &shape(self.prefill.outputs(), "logits")?)?;
        let mut tokens = Vec::new();
        while token != end && tokens.len() < most {
            tokens.push(token);
            let position = prompt.len() + tokens.len() - 1;
            if position == capacity {
                break;
            }
            self.decode.write("input_ids", &[i64::from(token)])?;
            self.decode.write("position", &[position as i32])?;
            self.decode.run()?;
            token = likeliest(&self.decode.read("logits")?, &shape(self.decode.outputs(), "logits")?)?;
        }
        Ok(tokens)
    }

    /// What the prompt left becomes the past of the steps: keys and values of its tokens at the beginning of states, those of
    /// the encoder's results as inputs.
    fn hand_over(&mut self, prompt: usize) -> Result<()> {
        for input in self.decode.inputs().to_vec() {
            if let Some(rest) = input.name.strip_prefix(PAST) {
                let values: Vec<f32> = self.prefill.read(&format!("{PRESENT}{rest}"))?;
                self.decode.write(&input.name, &values)?;
            }
        }
        for state in self.decode.states().to_vec() {
            let rest = state.name.strip_prefix(PAST).context("a state that is no past")?;
            let values: Vec<f32> = self.prefill.read(&format!("{PRESENT}{rest}"))?;
            let &[1, heads, rows, channels] = &state.shape[..] else { anyhow::bail!("a past has four axes") };
            let [rows, channels] = [rows, channels].map(|size| size as usize);
            ensure!(values.len() == heads as usize * prompt * channels, "`{rest}` is of another size");
            ensure!(prompt <= rows, "the prompt is longer than the past");
            let mut bytes = Vec::new();
            for head in values.chunks_exact(prompt * channels) {
                let padded = head.iter().copied().chain(std::iter::repeat_n(0.0, (rows - prompt) * channels));
                padded.for_each(|value| match state.element {
                    DeviceElement::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
                    _ => bytes.extend(value.to_le_bytes()),
                });
            }
            bytes.resize(state.bytes as usize, 0);
            self.decode.write_state(&state.name, &bytes)?;
        }
        Ok(())
    }
}

/// The shape of an input or output, which is f32 or holds ids.
fn shape(tensors: &[IoTensor], name: &str) -> Result<Vec<u64>> {
    let tensor = tensors.iter().find(|tensor| tensor.name == name);
    let tensor = tensor.with_context(|| format!("the model has no `{name}`"))?;
    let is_known = matches!(tensor.element, HostElement::F32 | HostElement::I64);
    ensure!(is_known, "`{name}` is {:?}; export the model with f32 at its boundary", tensor.element);
    Ok(tensor.shape.clone())
}

/// The id of the largest logit of the last row.
fn likeliest(logits: &[f32], shape: &[u64]) -> Result<u32> {
    let vocabulary = *shape.last().context("logits have rows")? as usize;
    let last = &logits[logits.len() - vocabulary..];
    ensure!(last.iter().all(|logit| logit.is_finite()), "the model's logits are no numbers");
    let best = (0..vocabulary).reduce(|best, id| if last[id] > last[best] { id } else { best });
    Ok(best.context("the model has no tokens")? as u32)
}
