//! What the golden kernels are made of, counted in their text.

use std::io::Write;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use naga::{Block, Function, Statement};

use crate::module::operands;

/// Counts over one kernel or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    kernels: usize,
    lines: usize,
    longest_line: usize,
    statements: usize,
    expressions: usize,
    loads_of_locals: usize,
    continuing: usize,
    empty_accepts: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.kernels += other.kernels;
        self.lines += other.lines;
        self.longest_line = self.longest_line.max(other.longest_line);
        self.statements += other.statements;
        self.expressions += other.expressions;
        self.loads_of_locals += other.loads_of_locals;
        self.continuing += other.continuing;
        self.empty_accepts += other.empty_accepts;
    }
}

/// Counts in one kernel, as naga reads it.
fn count(text: &str) -> Counts {
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
    let function = &module.entry_points[0].function;
    // A kernel's parameters stand on one line, however many they are.
    let code = text.lines().filter(|line| !line.starts_with("//") && !line.starts_with("fn "));
    let mut counts = Counts {
        kernels: 1,
        lines: code.clone().filter(|line| !line.trim().is_empty()).count(),
        longest_line: code.map(str::len).max().unwrap_or(0),
        ..evaluated(function)
    };
    operands::each_statement(&function.body, &mut |statement| match statement {
        // What naga's front end adds to read the text.
        Statement::Emit(_) | Statement::Block(_) => {}
        Statement::Loop { continuing, break_if, .. } => {
            counts.statements += 1;
            counts.continuing += usize::from(!continuing.is_empty() || break_if.is_some());
        }
        Statement::If { accept, .. } => {
            counts.statements += 1;
            counts.empty_accepts += usize::from(does_nothing(accept));
        }
        _ => counts.statements += 1,
    });
    counts
}

fn does_nothing(block: &Block) -> bool {
    block.iter().all(|statement| match statement {
        Statement::Block(inner) => does_nothing(inner),
        _ => false,
    })
}

/// Expressions that some statement evaluates.
fn evaluated(function: &Function) -> Counts {
    let mut counts = Counts::default();
    operands::each_statement(&function.body, &mut |statement| {
        let Statement::Emit(range) = statement else { return };
        for handle in range.clone() {
            counts.expressions += 1;
            if let naga::Expression::Load { pointer } = function.expressions[handle] {
                let local = operands::root_local(&function.expressions, pointer);
                counts.loads_of_locals += usize::from(local.is_some());
            }
        }
    });
    counts
}

/// The files called `kernel.wgsl.snap` below `folder`, in order.
fn kernels(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let below = paths.into_iter().flat_map(|path| match path.is_dir() {
        true => kernels(&path),
        false if path.ends_with("kernel.wgsl.snap") => vec![path],
        false => Vec::new(),
    });
    below.collect()
}

#[test]
fn golden_kernels_are_counted() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/kernels");
    let mut sum = Counts::default();
    for path in kernels(&golden) {
        let snapshot = std::fs::read_to_string(&path).expect("a snapshot");
        let (_, text) = snapshot.split_once("\n---\n").expect("a head");
        sum += count(text);
    }
    // Shown with `--nocapture`; docs/kernel-dialect.md keeps a table of these.
    writeln!(std::io::stderr(), "{sum:#?}").expect("a stream");
    assert!(sum.kernels > 50, "{sum:?}");
}
