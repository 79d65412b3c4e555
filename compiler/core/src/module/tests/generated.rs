//! Programs from a seed compute the same before and after all passes.

use std::fmt::Write;

use naga::Module;

use super::behaviour::same_floats;
use super::interpreter::{Value, floats, run};
use super::kernel;
use crate::module::{ModuleError, dead, forward, inline, number, parse, settle, shape};

/// Writes statements over the variables `a`, `b`, `c` (f32), `v` (vec4), `t` (array) and `n` (u32).
struct Author {
    state: u64,
    text: String,
    loops: usize,
}

impl Author {
    fn pick(&mut self, count: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % count
    }

    fn float(&mut self, depth: u32) -> String {
        if depth == 0 {
            let leaves = [
                "a",
                "b",
                "c",
                "v.x",
                "v.z",
                "t[0]",
                "t[1]",
                "t[n % 2u]",
                "0.0",
                "1.0",
                "2.5",
                "src[n]",
                "f32(n)",
                "src[(n * 3u + id.x) % 16u]",
                "f32((n * 3u + id.x) % 16u)",
            ];
            return leaves[usize::try_from(self.pick(15)).unwrap()].to_owned();
        }
        let (left, right) = (self.float(depth - 1), self.float(depth - 1));
        match self.pick(7) {
            0 => format!("({left} + {right})"),
            1 => format!("({left} - {right})"),
            2 => format!("({left} * 0.25 * {right})"),
            3 => format!("max({left}, {right})"),
            4 => {
                let condition = self.condition();
                format!("select({left}, {right}, {condition})")
            }
            5 => format!("part({left}, n % 3u)"),
            _ => format!("pick({left}, {right}, n)"),
        }
    }

    fn condition(&mut self) -> String {
        let bound = self.pick(5);
        let compare = ["<", ">=", "==", "!="][usize::try_from(self.pick(4)).unwrap()];
        match self.pick(6) {
            0 => format!("n {compare} {bound}u && a < b"),
            4 => format!("n * 3u + id.x {compare} {bound}u"),
            1 => format!("n {compare} {bound}u || id.x == 1u"),
            2 => "FUSED".to_owned(),
            3 => format!("id.x {compare} {bound}u"),
            _ => format!("b {compare} {bound}.0"),
        }
    }

    fn block(&mut self, depth: u32, in_loop: bool) {
        for _ in 0..=self.pick(3) {
            self.statement(depth, in_loop);
        }
    }

    fn statement(&mut self, depth: u32, in_loop: bool) {
        let value = self.float(2);
        let choice = self.pick(if depth == 0 { 6 } else { 12 });
        let line = match choice {
            0 => format!("a = clamp({value}, -50.0, 50.0);"),
            1 => format!("b += clamp({value}, -5.0, 5.0);"),
            2 => format!("{{ let kept = {value}; c = clamp(kept, -9.0, 9.0); }}"),
            3 => format!("v.z = clamp({value}, -7.0, 7.0);"),
            4 => format!("t[1] = clamp({value}, -7.0, 7.0); v[n % 4u] = t[0];"),
            5 => format!("dst[id.x * 4u + n % 4u] = {value};"),
            6 | 7 => return self.branch(depth, in_loop),
            8 => return self.unrolled(depth),
            9 => return self.repeated(depth),
            10 if in_loop => format!("if {} {{ continue; }}", self.condition()),
            11 if in_loop => format!("if {} {{ break; }}", self.condition()),
            _ => "n = (n + 1u) % 5u;".to_owned(),
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn branch(&mut self, depth: u32, in_loop: bool) {
        let condition = self.condition();
        writeln!(self.text, "if {condition} {{").unwrap();
        self.block(depth - 1, in_loop);
        self.text.push_str("} else {\n");
        self.block(depth - 1, in_loop);
        self.text.push_str("}\n");
    }

    fn unrolled(&mut self, depth: u32) {
        let (counter, count) = (self.loops, self.pick(4));
        self.loops += 1;
        writeln!(
            self.text,
            "for (var u_{counter} = 0u; u_{counter} < {count}u; u_{counter}++) {{ n = (n + u_{counter}) % 5u;"
        )
        .unwrap();
        self.block(depth - 1, false);
        self.text.push_str("}\n");
    }

    fn repeated(&mut self, depth: u32) {
        let (counter, count) = (self.loops, self.pick(4));
        self.loops += 1;
        writeln!(self.text, "for (var i_{counter} = 0u; i_{counter} < {count}u; i_{counter}++) {{ var fresh = 0.5; fresh += a; var again: f32;")
            .unwrap();
        self.block(depth - 1, true);
        self.text.push_str("again += fresh; b = clamp(b + again, -20.0, 20.0);}\n");
    }
}

const DECLARATIONS: &str = "const FUSED: bool = false;
    fn part(x: f32, n: u32) -> f32 {
        var sum = 0.25; var seen: f32;
        for (var i = 0u; i < n; i++) { sum += x * 0.5; seen += 1.0; }
        return sum + seen;
    }
    fn pick(x: f32, y: f32, n: u32) -> f32 { if n > 2u { return x; } else { return min(y, part(x, 2u)); } }";

/// The body of the program that a seed stands for.
fn program(seed: u64) -> String {
    let mut author = Author { state: seed, text: String::new(), loops: 0 };
    author.block(3, false);
    author.block(3, false);
    format!(
        "var a = 1.0; var b = src[id.x]; var c: f32; var v = vec4<f32>(1.0, 2.0, b, 4.0); var t: array<f32, 2>; var n = id.x % 5u;
         {}
         dst[id.x * 4u] = a + b + c + v.x + v.y + v.z + v.w + t[0] + t[1] + f32(n);",
        author.text
    )
}

#[test]
fn generated_programs_compute_the_same() {
    for seed in 0..400 {
        same_floats(DECLARATIONS, &program(seed));
    }
}

/// A pass.
type Run = fn(&mut Module) -> Result<(), ModuleError>;

#[test]
fn generated_programs_compute_the_same_after_each_of_the_last_passes() {
    let passes: [(&str, Run); 4] =
        [("shape", shape::run), ("forward", forward::run), ("dead", dead::run), ("number", number::run)];
    for seed in 400..550 {
        let source = kernel(DECLARATIONS, &program(seed));
        let mut module = parse(&source).unwrap_or_else(|error| panic!("{error}"));
        inline::run(&mut module).unwrap_or_else(|error| panic!("{error}"));
        settle(&mut module, "inline").unwrap_or_else(|error| panic!("{error}"));
        let expected = results(&module);
        for (name, pass) in passes {
            pass(&mut module).unwrap_or_else(|error| panic!("{name}: {error}"));
            settle(&mut module, name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(results(&module), expected, "{name}: {source}");
        }
    }
}

/// What a kernel leaves in its buffers.
fn results(module: &Module) -> Vec<(&'static str, Value)> {
    let src = floats((0..64_u8).map(|index| f32::from(index) * 0.75 - 11.0));
    let mut buffers = vec![("src", src), ("dst", floats([0.0; 64]))];
    run(module, [2, 1], &mut buffers);
    buffers
}
