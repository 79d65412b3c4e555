//! From a WAV file to what Whisper's encoder takes: the logarithm of a mel spectrogram (section 2.2 of arXiv 2212.04356, and the
//! filters of librosa with Slaney's scale, as in OpenAI's code).

use anyhow::{Context, Result, ensure};
use std::f64::consts::PI;

/// Samples a second.
const RATE: u32 = 16_000;

/// Samples of a window of the spectrogram.
const WINDOW: usize = 400;

/// Samples from a window to the next.
const HOP: usize = 160;

/// The samples of a WAV file of 16-bit PCM at 16 kHz, between -1 and 1; several channels are averaged.
pub(crate) fn samples(wav: &[u8]) -> Result<Vec<f32>> {
    ensure!(wav.get(..4) == Some(b"RIFF") && wav.get(8..12) == Some(b"WAVE"), "this is no WAV file");
    let (mut rest, mut channels) = (&wav[12..], None);
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let chunk = body.get(..size.min(body.len())).unwrap_or_default();
        match &head[..4] {
            b"fmt " => channels = Some(format(chunk)?),
            b"data" => {
                let channels = channels.context("the WAV file has samples before their format")?;
                let scale = 32_768.0 * channels as f32;
                let values =
                    chunk.as_chunks::<2>().0.iter().map(|&bytes| f32::from(i16::from_le_bytes(bytes)));
                let values: Vec<f32> = values.collect();
                return Ok(values
                    .chunks_exact(channels)
                    .map(|all| all.iter().sum::<f32>() / scale)
                    .collect());
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = body.get(size.next_multiple_of(2)..).unwrap_or_default();
    }
    anyhow::bail!("the WAV file has no samples")
}

/// Channels of a format, which must be 16-bit PCM at 16 kHz.
fn format(chunk: &[u8]) -> Result<usize> {
    let fields = chunk.first_chunk::<16>().context("the WAV file's format is cut off")?;
    let short = |at: usize| u16::from_le_bytes([fields[at], fields[at + 1]]);
    let rate = u32::from_le_bytes([fields[4], fields[5], fields[6], fields[7]]);
    let [kind, channels, bits] = [short(0), short(2), short(14)];
    ensure!(kind == 1 && bits == 16, "the WAV file has {bits} bits of kind {kind}, expected PCM of 16 bits");
    ensure!(rate == RATE, "the WAV file has {rate} samples a second, expected {RATE}");
    ensure!(channels > 0, "the WAV file has no channels");
    Ok(usize::from(channels))
}

/// `[mels, frames]` of the first `frames` hops, silence behind the end.
pub(crate) fn log_mel(samples: &[f32], mels: usize, frames: usize) -> Vec<f32> {
    let mut padded = samples.to_vec();
    padded.resize(frames * HOP, 0.0);
    let power = spectrogram(&padded, frames);
    let filters = filters(mels);
    let bins = WINDOW / 2 + 1;
    let mut logs = vec![0.0; mels * frames];
    for (mel, row) in filters.chunks_exact(bins).zip(logs.chunks_exact_mut(frames)) {
        for (frame, log) in power.chunks_exact(bins).zip(row) {
            let sum: f64 = mel.iter().zip(frame).map(|(filter, power)| filter * power).sum();
            *log = sum.max(1e-10).log10();
        }
    }
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.into_iter().map(|log| ((log.max(most - 8.0) + 4.0) / 4.0) as f32).collect()
}

/// Power by frame and frequency: windows around each hop, mirrored at both ends.
fn spectrogram(samples: &[f32], frames: usize) -> Vec<f64> {
    let hann: Vec<f64> =
        (0..WINDOW).map(|n| 0.5 - 0.5 * (2.0 * PI * n as f64 / WINDOW as f64).cos()).collect();
    let turns: Vec<(f64, f64)> =
        (0..WINDOW).map(|n| (2.0 * PI * n as f64 / WINDOW as f64).sin_cos()).collect();
    let last = samples.len() as isize - 1;
    let mirrored = |at: isize| {
        let at = at.abs();
        samples.get(if at > last { 2 * last - at } else { at } as usize).copied().unwrap_or(0.0)
    };
    let mut power = Vec::new();
    for frame in 0..frames {
        let first = (frame * HOP) as isize - (WINDOW / 2) as isize;
        let window: Vec<f64> =
            (0..WINDOW).map(|n| f64::from(mirrored(first + n as isize)) * hann[n]).collect();
        for bin in 0..=WINDOW / 2 {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (n, value) in window.iter().enumerate() {
                let (sine, cosine) = turns[n * bin % WINDOW];
                real += value * cosine;
                imaginary -= value * sine;
            }
            power.push(real * real + imaginary * imaginary);
        }
    }
    power
}

/// Triangles over the bins of a spectrum, one row for each mel band, of equal area.
fn filters(mels: usize) -> Vec<f64> {
    let highest = to_mel(f64::from(RATE) / 2.0);
    let edges: Vec<f64> = (0..mels + 2).map(|n| to_hertz(highest * n as f64 / (mels + 1) as f64)).collect();
    let bin_hertz = f64::from(RATE) / WINDOW as f64;
    let mut filters = Vec::new();
    for edge in edges.windows(3) {
        for bin in 0..=WINDOW / 2 {
            let hertz = bin as f64 * bin_hertz;
            let rise = (hertz - edge[0]) / (edge[1] - edge[0]);
            let fall = (edge[2] - hertz) / (edge[2] - edge[1]);
            filters.push(rise.min(fall).max(0.0) * 2.0 / (edge[2] - edge[0]));
        }
    }
    filters
}

/// Slaney's scale: even up to 1 kHz, logarithmic beyond.
fn to_mel(hertz: f64) -> f64 {
    if hertz < 1000.0 { hertz * 3.0 / 200.0 } else { 15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4_f64.ln() }
}

fn to_hertz(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp() }
}
