//! Steps that choose their own next token, on devices.

use super::{CAPACITY, CHUNK, MODELS, TOKENS, compile, driftc, feed, import, import_with};
use drift_compiler::{CompileOptions, EntryModel};
use drift_onnx::Logits;
use drift_runtime::{Device, DeviceKind, LoadOptions, OpenOptions, Session};
use std::path::PathBuf;

/// The tokens that `decode` chooses behind `token` when the host takes the largest logit, the first among equals.
fn chosen_by_host(decode: &mut Session, mut token: i64, positions: std::ops::Range<usize>) -> Vec<i64> {
    let mut chosen = Vec::new();
    for position in positions {
        let logits = feed(decode, &[token], position).remove(0);
        let best = (0..logits.len()).reduce(|best, id| if logits[id] > logits[best] { id } else { best });
        token = best.expect("logits") as i64;
        chosen.push(token);
    }
    chosen
}

/// Sets a state of one i32.
fn set(session: &mut Session, name: &str, number: i64) {
    let state = session.states().iter().find(|state| state.name == name).expect("the state");
    let mut bytes = vec![0; state.bytes as usize];
    bytes[..4].copy_from_slice(&(number as i32).to_le_bytes());
    session.write_state(name, &bytes).expect("a number");
}

/// All elements of a state of i32.
fn numbers(session: &mut Session, name: &str) -> Vec<i64> {
    let bytes = session.read_state(name).expect("the state");
    let numbers = bytes.chunks_exact(4).map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    numbers.map(i64::from).collect()
}

fn agrees(kind: DeviceKind) {
    let options = OpenOptions { validation: true, ..OpenOptions::default() };
    let device = Device::open_with(kind, &options).expect("`cargo xtask test` installs one");
    for (name, sizes) in MODELS {
        let entry = |name: &str, graph| EntryModel { name: name.to_owned(), graph };
        let entries = vec![
            entry("prefill", import(name, sizes, CHUNK, None)),
            entry("decode", import(name, sizes, 1, None)),
            entry("greedy", import_with(name, sizes, (1, None), Logits::Greedy)),
        ];
        let bundle = compile(
            name,
            entries,
            CompileOptions { targets: vec![kind.target()], ..CompileOptions::default() },
        );
        let sessions =
            device.load_entries(&bundle, &["prefill", "decode", "greedy"], &LoadOptions::default());
        let sessions = <[Session; 3]>::try_from(sessions.expect("sessions"));
        let [mut prefill, mut decode, mut greedy] = sessions.expect("three");
        assert!(greedy.inputs().is_empty() && greedy.outputs().is_empty(), "{name}");

        let end = CAPACITY as usize;
        feed(&mut prefill, &TOKENS[..CHUNK], 0);
        let expected = chosen_by_host(&mut decode, TOKENS[CHUNK], CHUNK..end);
        // What the host's steps left in the caches is written over by the device's.
        feed(&mut prefill, &TOKENS[..CHUNK], 0);
        set(&mut greedy, "input_ids", TOKENS[CHUNK]);
        set(&mut greedy, "position", CHUNK as i64);
        let mut done = 0;
        for steps in [0, 1, 3, expected.len() - 4] {
            greedy.run_times(steps as u32).expect("steps");
            done += steps;
            let what = format!("{name} on {kind:?}, {done} steps");
            let made = numbers(&mut greedy, "chosen");
            assert_eq!(made[CHUNK..CHUNK + done], expected[..done], "{what}");
            assert_eq!(numbers(&mut greedy, "position")[0], (CHUNK + done) as i64, "{what}");
        }
        // The host goes on behind what the device wrote into the caches.
        let last = chosen_by_host(&mut decode, expected[expected.len() - 2], end - 1..end);
        assert_eq!(last, expected[expected.len() - 1..], "{name} on {kind:?}");

        // Logits that are NaN choose nothing.
        let cache =
            greedy.states().iter().find(|state| state.name.ends_with("value")).expect("values").clone();
        let nan = f32::NAN.to_le_bytes().repeat(cache.bytes as usize / 4);
        greedy.write_state(&cache.name, &nan).expect("values");
        set(&mut greedy, "position", 2);
        greedy.run_times(1).expect("a step");
        assert_eq!(numbers(&mut greedy, "chosen")[2], -1, "{name} on {kind:?}");
    }
    assert_eq!(device.validation_log().messages(), Vec::<String>::new());
}

/// `driftc generate` says the same whether the host or the device chooses, and says when logits are no numbers.
#[test]
fn texts_are_the_same_whoever_chooses() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (name, _) = MODELS[0];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let (model, folder) = (folder.join("model.onnx"), folder.to_string_lossy().into_owned());
    let compile = |file: &str, more: &[&str]| {
        let bundle = scratch.path().join(file).to_string_lossy().into_owned();
        let words = [&model.to_string_lossy(), "--target", "vulkan", "-o", &bundle, "--logits", "last"];
        let words = words.map(str::to_owned);
        let sizes = ["--dim", "past_sequence_length=0..64", "--dim", "kv_cache_dim=16"];
        let words: Vec<&str> =
            words.iter().map(String::as_str).chain(sizes).chain(more.iter().copied()).collect();
        let (code, _, err) = driftc(&words);
        (code, err, bundle)
    };
    let entries = ["--entry", "prefill:sequence_length=16", "--entry", "decode:sequence_length=1"];
    let (code, err, host) = compile("host.drift", &entries);
    assert_eq!(code, 0, "{err}");
    let (code, err, device) = compile("device.drift", &[&entries[..], &["--greedy"]].concat());
    assert_eq!(code, 0, "{err}");
    let text = |bundle: &str, limit: &str| {
        let words = ["generate", bundle, "--model-dir", &folder, "--prompt", "The memory of a GPU"];
        let (code, out, err) = driftc(&[&words[..], &["--temperature", "0", "--max-tokens", limit]].concat());
        assert_eq!(code, 0, "{err}");
        out
    };
    for limit in ["1", "2", "24"] {
        assert_eq!(text(&device, limit), text(&host, limit), "{limit} tokens");
    }
    let (code, out, err) = driftc(&["bench", &device, "--llm", "-p", "0", "-n", "8", "-d", "0,3", "-r", "1"]);
    assert!(code == 0 && out.contains("tg8 greedy @ d3"), "{out}{err}");
    let (code, err, _) = compile("none.drift", &["--entry", "step:sequence_length=1", "--greedy"]);
    assert!(code == 2 && err.contains("add --entry decode:NEW=1"), "{code}: {err}");
    let (code, err, _) = compile("many.drift", &["--entry", "decode:sequence_length=2", "--greedy"]);
    assert!(code == 2 && err.contains("takes one token"), "{code}: {err}");
}

#[test]
fn steps_that_choose_their_next_token_agree_on_vulkan() {
    agrees(DeviceKind::Vulkan);
}

#[test]
fn steps_that_choose_their_next_token_agree_on_opencl() {
    agrees(DeviceKind::OpenCl);
}

#[test]
fn steps_that_choose_their_next_token_agree_on_webgpu() {
    agrees(DeviceKind::WebGpu);
}
