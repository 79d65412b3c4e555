//! The Whisper example, from a WAV file to tokens, against the same in onnxruntime: `tests/models/tiny_whisper/tokens.json` is what
//! `runtime/replay/examples/whisper/reference.py` wrote. The three models' weights are random, each with its own.

#[path = "../../runtime/replay/examples/whisper/audio.rs"]
mod audio;
#[path = "../../runtime/replay/examples/whisper/decoder.rs"]
mod decoder;

use decoder::Transcriber;
use drift_runtime::{Bundle, Device, DeviceKind};
use serde_json::Value;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/tiny_whisper")
}

/// What onnxruntime said.
fn reference() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("tokens.json")).expect("tokens")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().filter_map(Value::as_f64).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|id| id as u32).collect()
}

/// What the command line makes of the three models.
fn bundle(target: &str) -> Bundle {
    let scratch = tempfile::tempdir().expect("a folder");
    let out = scratch.path().join("whisper.drift").to_string_lossy().into_owned();
    let models = ["encoder", "prefill", "decode"]
        .map(|entry| format!("{entry}={}", folder().join(format!("{entry}.onnx")).display()));
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let flags = ["--dim", "decode.s69=0..40", "--target", target, "--profile", "generic", "-o", &out];
    let (mut written, mut told) = (Vec::new(), Vec::new());
    let mut console = driftc::Console::new(&mut written, &mut told);
    let code = driftc::execute_words([&["driftc"], &models[..], &flags].concat(), &mut console);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&told));
    Bundle::from_bytes(std::fs::read(&out).expect("a bundle")).expect("a sound bundle")
}

fn features(mels: usize, frames: usize) -> Vec<f32> {
    let wav = std::fs::read(folder().join("speech.wav")).expect("speech");
    audio::log_mel(&audio::samples(&wav).expect("samples"), mels, frames)
}

fn transcribes(kind: DeviceKind) {
    let reference = reference();
    let device = Device::open(kind).expect("`cargo xtask test` installs one");
    let mut transcriber = Transcriber::load(&device, &bundle(kind.target().name())).expect("three entries");
    let [mels, frames] = transcriber.window();
    let features = features(mels, frames);
    let (prompt, tokens) = (ids(&reference["prompt"]), ids(&reference["tokens"]));
    // Twice: the second text begins with a past of its own.
    for _ in 0..2 {
        let found = transcriber.transcribe(&features, &prompt, (0, tokens.len())).expect("a text");
        assert_eq!(found, tokens, "{kind:?}");
    }
    let end = tokens[9];
    let first = tokens.iter().position(|token| *token == end).expect("it is among them");
    let found = transcriber.transcribe(&features, &prompt, (end, tokens.len())).expect("a text");
    assert_eq!(found, tokens[..first], "{kind:?} up to {end}");
    // The past holds 40 tokens: the prompt's, and 36 that were run, behind which one more is known.
    let found = transcriber.transcribe(&features, &prompt, (0, 99)).expect("a text");
    assert_eq!((found.len(), &found[..tokens.len()]), (37, &tokens[..]));
    let error =
        transcriber.transcribe(&features, &prompt[..3], (0, 1)).expect_err("a prompt of another length");
    assert!(error.to_string().contains("the prompt has 3 tokens"), "{error}");
}

#[test]
fn speech_becomes_the_tokens_of_onnxruntime_on_vulkan() {
    transcribes(DeviceKind::Vulkan);
}

#[test]
fn speech_becomes_the_tokens_of_onnxruntime_on_opencl() {
    transcribes(DeviceKind::OpenCl);
}

#[test]
fn a_spectrogram_is_that_of_the_reference() {
    let expected = numbers(&reference()["features"]);
    let found: Vec<f32> =
        features(16, 64).chunks(64).flat_map(|row| row.iter().copied().step_by(8)).collect();
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() < 2e-5, "{at}: {found}, expected {expected}");
    }
}

#[test]
fn what_is_no_speech_is_told() {
    let wav = std::fs::read(folder().join("speech.wav")).expect("speech");
    let told = |wav: &[u8]| audio::samples(wav).expect_err("a refusal").to_string();
    assert!(told(b"RIFX").contains("no WAV file"));
    assert!(told(&wav[..36]).contains("no samples"));
    assert!(told(&wav[..20]).contains("cut off"));
    let mut other = wav.clone();
    other[24..28].copy_from_slice(&44_100_u32.to_le_bytes());
    assert!(told(&other).contains("44100 samples a second"));
    other[34] = 8;
    assert!(told(&other).contains("8 bits"));
}
