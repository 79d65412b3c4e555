//! Every op that moves elements or takes them one by one, for every element type: it runs and agrees with the evaluator, or
//! is refused by name. A kernel that does not parse is neither.

use drift_compiler::{LayoutChoice, Precision, WeightsChoice};
use drift_ir::op::{BinaryOp, ScalarOp, UnaryOp};
use drift_ir::{ElementType, text};
use drift_tests::conformance::{Outcome, Setting, on_vulkan, on_vulkan_at_the_ends};

/// Graphs over operands of type T: `x` and `y` of shape [3,5], and `i` of indices.
const DATA_MOVEMENT: [(&str, &str); 15] = [
    ("expand", "%1 = expand %r {shape=[3,5]}"),
    ("expand-rows", "%1 = expand %c {shape=[3,5]}"),
    ("expand-outer", "%1 = expand %x {shape=[2,3,5]}"),
    ("reshape", "%0 = transpose %x {perm=[1,0]}\n%1 = reshape %0 {shape=[15]}"),
    ("transpose", "%1 = transpose %x {perm=[1,0]}"),
    ("slice", "%1 = slice %x {axes=[1], starts=[1], counts=[2], steps=[2]}"),
    ("concat", "%1 = concat %x, %y {axis=1}"),
    ("concat-rows", "%1 = concat %x, %y {axis=0}"),
    ("gather", "%1 = gather %x, %i {axis=1}"),
    ("gather-elements", "%1 = gather_elements %x, %j {axis=1}"),
    ("pad", "%1 = pad %x {pads=[1,0,0,2], value=1.0}"),
    ("pad-edge", "%1 = pad_edge %x {pads=[1,0,0,2]}"),
    ("scatter", "%1 = scatter_elements %x, %j, %z {axis=1}"),
    ("select", "%1 = select %m, %x, %y"),
    ("equal", "%1 = equal %x, %y"),
];

const TYPES: [ElementType; 8] = [
    ElementType::F32,
    ElementType::F16,
    ElementType::I64,
    ElementType::I32,
    ElementType::I16,
    ElementType::U16,
    ElementType::U32,
    ElementType::Bool,
];

/// What follows: the result read again in another shape, so that it is stored as its type.
fn graph(element: ElementType, nodes: &str) -> String {
    let mut inputs = String::new();
    let operands = [
        ("x", element.name(), "[3,5]"),
        ("y", element.name(), "[3,5]"),
        ("z", element.name(), "[3,2]"),
        ("r", element.name(), "[1,5]"),
        ("c", element.name(), "[3,1]"),
        ("i", "i64", "[4]"),
        ("j", "i64", "[3,2]"),
        ("m", "bool", "[3,1]"),
    ];
    for (name, ty, shape) in operands {
        if nodes.contains(&format!("%{name}")) {
            inputs.push_str(&format!("%{name}: {ty}{shape}\n"));
        }
    }
    format!("{inputs}{nodes}\n%again = concat %1, %1 {{axis=0}}\nreturn %1, %again")
}

/// Why it failed, unless it ran and agreed.
fn failure(source: &str) -> Option<String> {
    let graph = match text::parse(source) {
        Ok(graph) => graph,
        Err(error) => return Some(format!("{error}")),
    };
    let setting = Setting {
        layout: LayoutChoice::Buffer,
        precision: Precision::F32,
        weights: WeightsChoice::default(),
        profile: "generic",
        keep_attention: false,
    };
    match on_vulkan(&graph, setting) {
        Ok(Outcome::Ran(worst)) if worst.relative <= 1e-2 => None,
        Ok(worst) => Some(format!("{worst:?}")),
        Err(error) => Some(error.to_string()),
    }
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_move_takes_every_type() {
    let mut failures = Vec::new();
    for element in TYPES.into_iter().chain([ElementType::U64]) {
        for (name, nodes) in DATA_MOVEMENT {
            if let Some(why) = failure(&graph(element, nodes)) {
                failures.push(format!("{name} of {element}: {why}"));
            }
        }
    }
    report(&failures);
}

#[test]
fn every_cast_takes_every_type() {
    let mut failures = Vec::new();
    for from in TYPES {
        for to in TYPES {
            let nodes = format!("%1 = cast %x {{to={to}}}");
            if let Some(why) = failure(&graph(from, &nodes)) {
                failures.push(format!("{from} to {to}: {why}"));
            }
        }
    }
    report(&failures);
}

/// Functions that a type does not have are refused by inference, so that only the others are tried.
#[test]
fn every_function_takes_the_types_that_it_has() {
    let unary = UnaryOp::ALL.into_iter().map(ScalarOp::Unary);
    let binary = BinaryOp::ALL.into_iter().map(ScalarOp::Binary);
    let functions: Vec<ScalarOp> = unary.chain(binary).collect();
    let (mut failures, mut tried) = (Vec::new(), 0);
    for element in TYPES {
        for op in &functions {
            let operands = vec![element; op.arity()];
            if op.result_element(&operands).is_err() {
                continue;
            }
            tried += 1;
            let args = if op.arity() == 1 { "%x" } else { "%x, %y" };
            if let Some(why) = failure(&graph(element, &format!("%1 = {} {args}", op.name()))) {
                failures.push(format!("{} of {element}: {why}", op.name()));
            }
        }
    }
    report(&failures);
    assert!(tried > 120, "{tried}");
}

/// Products of integers, whose sums are beyond what f16 holds, with movement before and behind them: exact in either precision.
#[test]
fn products_of_integers_are_exact_in_either_precision() {
    let image = "%xb: u8[2,4,5,6]\n%wb: u8[6,2,3,3]\n%fb: u8[3,4,1,2]";
    let wide =
        "@s: i32[] = 3\n%xi = cast %xb {to=i32}\n%wi = cast %wb {to=i32}\n%x = mul %xi, @s\n%w = mul %wi, @s";
    let cases = [
        ("groups", format!("{image}\n{wide}\n%y = conv %x, %w {{pads=[1,0,1,2], groups=2}}\nreturn %y")),
        (
            "few results, moved",
            format!(
                "{image}\n{wide}\n%f = cast %fb {{to=i32}}\n%c = conv %x, %f {{strides=[2,1]}}\n\
                 %y = transpose %c {{perm=[0,2,3,1]}}\nreturn %y"
            ),
        ),
        (
            "product, moved",
            "%xb: u8[2,7,33]\n%wb: u8[2,9,33]\n@s: i32[] = 3\n%xi = cast %xb {to=i32}\n%wi = cast %wb {to=i32}\n\
             %x = mul %xi, @s\n%w = mul %wi, @s\n%wt = transpose %w {perm=[0,2,1]}\n%c = matmul %x, %wt\n\
             %t = transpose %c {perm=[1,0,2]}\n%y = reshape %t {shape=[7,18]}\nreturn %y"
                .to_owned(),
        ),
    ];
    for (what, source) in cases {
        let graph = text::parse(&source).unwrap_or_else(|error| panic!("{what}: {error}"));
        for precision in [Precision::F32, Precision::F16] {
            for layout in [LayoutChoice::Buffer, LayoutChoice::Texture2d] {
                let setting = Setting {
                    layout,
                    precision,
                    weights: WeightsChoice::default(),
                    profile: "generic",
                    keep_attention: false,
                };
                let outcome =
                    on_vulkan_at_the_ends(&graph, setting).unwrap_or_else(|error| panic!("{what}: {error}"));
                let Outcome::Ran(worst) = outcome else { panic!("{what}: {outcome:?}") };
                assert_eq!(worst.absolute, 0.0, "{what}, {precision:?}, {layout:?}");
            }
        }
    }
}
