//! What ops make of NaN, infinities and zeros of both signs: the table of `docs/onnx.md`, row by row.

use crate::eval::run;
use crate::text::parse;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// Runs a graph without inputs; its first output.
fn eval(text: &str) -> Vec<f64> {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    run(&graph, &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))[0].to_f64_vec()
}

/// Bit for bit, NaNs apart.
fn same(actual: &[f64], expected: &[f64], what: &str) {
    let agree = |(a, e): (&f64, &f64)| {
        let close =
            a == e && a.is_sign_negative() == e.is_sign_negative() || (a - e).abs() < 1e-6 && *e != 0.0;
        close || a.is_nan() && e.is_nan()
    };
    let all = actual.len() == expected.len() && actual.iter().zip(expected).all(agree);
    assert!(all, "{what}: {actual:?}, expected {expected:?}");
}

#[test]
fn functions_of_one_number() {
    // Of NaN, +inf, -inf and -0.
    let rows: [(&str, [f64; 4]); 34] = [
        ("relu", [NAN, INF, 0.0, 0.0]),
        ("clip {min=-1, max=6}", [NAN, 6.0, -1.0, -0.0]),
        ("sigmoid", [NAN, 1.0, 0.0, 0.5]),
        ("tanh", [NAN, 1.0, -1.0, -0.0]),
        ("erf", [NAN, 1.0, -1.0, -0.0]),
        ("gelu", [NAN, INF, NAN, -0.0]),
        ("gelu_tanh", [NAN, INF, NAN, -0.0]),
        ("silu", [NAN, INF, NAN, -0.0]),
        ("softplus", [NAN, INF, 0.0, std::f64::consts::LN_2]),
        ("sign", [NAN, 1.0, -1.0, -0.0]),
        ("abs", [NAN, INF, INF, 0.0]),
        ("neg", [NAN, -INF, INF, 0.0]),
        ("ceil", [NAN, INF, -INF, -0.0]),
        ("floor", [NAN, INF, -INF, -0.0]),
        ("round", [NAN, INF, -INF, -0.0]),
        ("exp", [NAN, INF, 0.0, 1.0]),
        ("expm1", [NAN, INF, -1.0, -0.0]),
        ("sinh", [NAN, INF, -INF, -0.0]),
        ("cosh", [NAN, INF, INF, 1.0]),
        ("log", [NAN, INF, NAN, -INF]),
        ("sqrt", [NAN, INF, NAN, -0.0]),
        ("acosh", [NAN, INF, NAN, NAN]),
        ("asinh", [NAN, INF, -INF, -0.0]),
        ("atan", [NAN, std::f64::consts::FRAC_PI_2, -std::f64::consts::FRAC_PI_2, -0.0]),
        ("sin", [NAN, NAN, NAN, -0.0]),
        ("cos", [NAN, NAN, NAN, 1.0]),
        ("tan", [NAN, NAN, NAN, -0.0]),
        ("asin", [NAN, NAN, NAN, -0.0]),
        ("atanh", [NAN, NAN, NAN, -0.0]),
        ("reciprocal", [NAN, 0.0, -0.0, -INF]),
        ("cast {to=bool}", [1.0, 1.0, 1.0, 0.0]),
        ("cast {to=i32}", [0.0, 2_147_483_647.0, -2_147_483_648.0, 0.0]),
        ("cast {to=u8}", [0.0, 255.0, 0.0, 0.0]),
        ("bfloat16", [NAN, INF, -INF, -0.0]),
    ];
    for (op, expected) in rows {
        let (name, attributes) = op.split_once(' ').unwrap_or((op, ""));
        let text = format!("@x: f32[4] = [nan, inf, -inf, -0.0]\n%1 = {name} @x {attributes}\nreturn %1");
        same(&eval(&text), &expected, op);
    }
}

#[test]
fn functions_of_two_numbers() {
    let rows: [(&str, &str, &str, &[f64]); 8] = [
        ("max", "nan, 1, inf, -inf", "1, nan, 2, -inf", &[NAN, NAN, INF, -INF]),
        ("min", "nan, 1, inf, -inf", "1, nan, 2, 5", &[NAN, NAN, 2.0, -INF]),
        ("pow", "nan, 1, -8, 0, 0, -0.0", "0, nan, 0.33333334, 0, -1, -1", &[1.0, 1.0, NAN, 1.0, INF, -INF]),
        (
            "pow",
            "-inf, -inf, -1, nan, 2, -inf",
            "3, 0.5, inf, 1, -inf, -3",
            &[-INF, INF, 1.0, NAN, 0.0, -0.0],
        ),
        ("pow", "5, 3, 7, 9, 13, 10", "3, 4, 4, 3, 3, 5", &[125.0, 81.0, 2401.0, 729.0, 2197.0, 1e5]),
        ("rem", "-6, 5, 5, inf, nan, -0.0", "3, inf, 0, 3, 2, 2", &[-0.0, 5.0, NAN, NAN, NAN, -0.0]),
        ("equal", "nan, inf, -0.0, 1", "nan, inf, 0, nan", &[0.0, 1.0, 1.0, 0.0]),
        ("less", "nan, -inf, 0, 1", "1, inf, nan, nan", &[0.0, 1.0, 0.0, 0.0]),
    ];
    for (op, a, b, expected) in rows {
        let count = expected.len();
        let text = format!("@a: f32[{count}] = [{a}]\n@b: f32[{count}] = [{b}]\n%1 = {op} @a, @b\nreturn %1");
        same(&eval(&text), expected, op);
    }
}

#[test]
fn ops_over_rows() {
    let rows: [(&str, &[f64]); 10] = [
        ("reduce_max @x {axes=[1]}", &[NAN, -INF, INF]),
        ("reduce_min @x {axes=[1]}", &[NAN, -INF, 1.0]),
        ("reduce_sum @x {axes=[1]}", &[NAN, -INF, INF]),
        ("softmax @x {axis=1}", &[NAN; 9]),
        ("arg_max @x {axis=1}", &[1.0, 0.0, 0.0]),
        ("arg_min @x {axis=1}", &[1.0, 0.0, 1.0]),
        ("arg_max @x {axis=1, last=true}", &[1.0, 2.0, 0.0]),
        ("top_k @x {k=2, largest=true}", &[1.0, 2.0, 0.0, 1.0, 0.0, 2.0]),
        ("top_k @x {k=3}", &[0.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 2.0, 0.0]),
        (
            "scatter_elements @x, @i, @u {axis=1, update=max}",
            &[1.0, NAN, NAN, -INF, -INF, -INF, INF, 1.0, 2.0],
        ),
    ];
    for (op, expected) in rows {
        let text = format!(
            "@x: f32[3,3] = [1, nan, 3, -inf, -inf, -inf, inf, 1, 2]\n@i: i64[3,2] = [1, 2, 0, 0, 0, 0]\n@u: f32[3,2] = [5, nan, -inf, -inf, -inf, -inf]\n%1 = {op}\nreturn %1"
        );
        same(&eval(&text), expected, op);
    }
}
