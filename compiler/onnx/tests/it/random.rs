//! Random numbers: their distributions, and that a seed or a name decides them.

use crate::build::{Model, float, int, ints, model, node, with};
use drift_ir::Tensor;
use drift_onnx::{ImportOptions, Imported, ModelSource, Warning, import};

fn imported(model: &Model) -> Imported {
    import(&ModelSource::from_bytes("test", model.bytes()).unwrap(), &ImportOptions::default()).unwrap()
}

fn run(model: &Model, inputs: &[Tensor]) -> Tensor {
    drift_ir::eval::run(&imported(model).graph, inputs).unwrap().remove(0)
}

/// Numbers of an operator without operands.
fn numbers(op: &str, output: &str, attributes: &[onnx_protobuf::AttributeProto]) -> Vec<f64> {
    let mut made = with(node(op, &[], &[output]), ints("shape", &[64, 256]));
    made.attribute.extend_from_slice(attributes);
    run(&model(22).node(made).output(output), &[]).to_f64_vec()
}

fn moments(numbers: &[f64]) -> (f64, f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    (mean, numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count)
}

#[test]
fn normal_numbers_have_their_mean_and_deviation() {
    let (mean, variance) = moments(&numbers(
        "RandomNormal",
        "y",
        &[float("mean", 3.0), float("scale", 2.0), float("seed", 1.0)],
    ));
    assert!((mean - 3.0).abs() < 0.08 && (variance - 4.0).abs() < 0.25, "{mean} {variance}");
}

#[test]
fn uniform_numbers_lie_between_their_bounds() {
    let all = numbers("RandomUniform", "y", &[float("low", -1.0), float("high", 3.0), int("dtype", 10)]);
    assert!(all.iter().all(|number| (-1.0..=3.0).contains(number)));
    let (mean, variance) = moments(&all);
    assert!((mean - 1.0).abs() < 0.05 && (variance - 16.0 / 12.0).abs() < 0.05, "{mean} {variance}");
}

#[test]
fn the_seed_or_the_name_decides() {
    let seeded = |seed, output| numbers("RandomNormal", output, &[float("seed", seed)]);
    assert_eq!(seeded(1.0, "y"), seeded(1.0, "z"));
    assert_ne!(seeded(1.0, "y"), seeded(2.0, "y"));
    let named = |output| numbers("RandomUniform", output, &[]);
    assert_eq!(named("y"), named("y"));
    assert_ne!(named("y"), named("z"));
    let like = model(22).input("x", &["2", "3"]).node(node("RandomNormalLike", &["x"], &["y"])).output("y");
    let warnings = imported(&like).warnings;
    assert_eq!(warnings, [Warning::SameNumbers { node: "y".to_owned() }]);
    assert!(warnings[0].to_string().contains("each run gives the same"));
}

#[test]
fn bernoulli_draws_ones_by_their_probability() {
    let drawn = model(22).input("p", &["4", "4096"]).node(node("Bernoulli", &["p"], &["y"])).output("y");
    let given: Vec<f32> = [0.0, 0.25, 1.0, f32::NAN].iter().flat_map(|&p| vec![p; 4096]).collect();
    let y = run(&drawn, &[Tensor::from_f32([4, 4096], &given).unwrap()]).to_f64_vec();
    let means: Vec<f64> = y.chunks(4096).map(|row| moments(row).0).collect();
    assert!(
        means[0] == 0.0 && (means[1] - 0.25).abs() < 0.035 && means[2] == 1.0 && means[3] == 0.0,
        "{means:?}"
    );
}

#[test]
fn multinomial_draws_classes_by_their_log_probability() {
    let node = with(node("Multinomial", &["x"], &["y"]), int("sample_size", 4096));
    let drawn = model(22).input("x", &["2", "3"]).node(node).output("y");
    // The logarithms may have any offset.
    let logs: Vec<f32> =
        [[0.2f32, 0.5, 0.3].map(|p| p.ln() + 7.0), [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY]].concat();
    let y = run(&drawn, &[Tensor::from_f32([2, 3], &logs).unwrap()]);
    assert_eq!((y.element().name(), y.shape()), ("i32", &[2, 4096][..]));
    let y = y.to_i64_vec();
    let share = |class: i64| y[..4096].iter().filter(|&&drawn| drawn == class).count() as f64 / 4096.0;
    for (class, expected) in [(0, 0.2), (1, 0.5), (2, 0.3)] {
        assert!((share(class) - expected).abs() < 0.04, "{class}: {}", share(class));
    }
    assert!(y[4096..].iter().all(|&class| class == 1));
}

#[test]
fn what_cannot_be_drawn_is_refused_by_name() {
    let free = model(22).input("x", &["n", "3", "k"]).node(node("Bernoulli", &["x"], &["y"])).output("y");
    let text = |model: &Model| {
        let source = ModelSource::from_bytes("test", model.bytes()).unwrap();
        import(&source, &ImportOptions::default()).map(|_| ()).unwrap_err().to_string()
    };
    let error = text(&free);
    assert!(error.contains("`y` (Bernoulli): random numbers of a free size"), "{error}");
    let huge = with(node("RandomNormal", &[], &["y"]), ints("shape", &[1 << 20, 1 << 20]));
    let error = text(&model(22).node(huge).output("y"));
    assert!(error.contains("bytes of computed constants"), "{error}");
}
