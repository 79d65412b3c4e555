//! What the golden kernels are made of, counted in their text.

use std::io::Write;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use naga::{Block, Expression, Function, Handle, Statement, TypeInner};

use crate::module::{control, operands, validate};

/// Counts over one kernel or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    kernels: usize,
    lines: usize,
    longest_line: usize,
    statements: usize,
    expressions: usize,
    loads_of_locals: usize,
    /// Loops with a continuing block that no `continue` goes to.
    continuing: usize,
    /// Branches that do nothing where their condition holds.
    empty_accepts: usize,
    /// The most components of values that wait for a later use at one place.
    registers: usize,
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
        self.registers += other.registers;
    }
}

/// Counts in one kernel, as naga reads it.
fn count(text: &str) -> Counts {
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}", error.emit_to_string(text)));
    let function = &module.entry_points[0].function;
    let info = validate(&module, "golden").unwrap_or_else(|error| panic!("{error}"));
    let width =
        |handle: Handle<Expression>| match info.get_entry_point(0)[handle].ty.inner_with(&module.types) {
            TypeInner::Scalar(_) => 1,
            &TypeInner::Vector { size, .. } => size as usize,
            _ => 0,
        };
    // A kernel's parameters stand on one line, however many they are.
    let code = text.lines().filter(|line| !line.starts_with("//") && !line.starts_with("fn "));
    let mut counts = Counts {
        kernels: 1,
        lines: code.clone().filter(|line| !line.trim().is_empty()).count(),
        longest_line: code.map(str::len).max().unwrap_or(0),
        registers: LiveValues::of(function).most(width),
        ..evaluated(function)
    };
    operands::each_statement(&function.body, &mut |statement| match statement {
        // What naga's front end adds to read the text.
        Statement::Emit(_) | Statement::Block(_) => {}
        Statement::Loop { body, continuing, break_if } => {
            counts.statements += 1;
            let has_block = !continuing.is_empty() || break_if.is_some();
            counts.continuing += usize::from(has_block && !control::continues(body));
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
            if let Expression::Load { pointer } = function.expressions[handle] {
                let local = operands::root_local(&function.expressions, pointer);
                counts.loads_of_locals += usize::from(local.is_some());
            }
        }
    });
    counts
}

/// From where to where each value is needed, in the order of the text.
struct LiveValues<'f> {
    function: &'f Function,
    now: usize,
    /// The first and last place of each value that was evaluated.
    places: Vec<Option<(usize, usize)>>,
}

impl<'f> LiveValues<'f> {
    fn of(function: &'f Function) -> Self {
        let mut live = Self { function, now: 0, places: vec![None; function.expressions.len()] };
        live.block(&function.body);
        live
    }

    fn block(&mut self, block: &'f Block) {
        for statement in block {
            self.now += 1;
            if let Statement::Emit(range) = statement {
                for handle in range.clone() {
                    self.now += 1;
                    operands::each_operand(&self.function.expressions[handle], |operand| self.used(operand));
                    self.places[handle.index()] = Some((self.now, self.now));
                }
            }
            operands::each_statement_operand(statement, |operand| self.used(operand));
            let start = self.now;
            operands::blocks_of(statement).into_iter().for_each(|inner| self.block(inner));
            if matches!(statement, Statement::Loop { .. }) {
                // What a round needs from outside, the next round needs too.
                for (first, last) in self.places.iter_mut().flatten() {
                    if *first <= start && *last > start {
                        *last = self.now;
                    }
                }
            }
        }
    }

    fn used(&mut self, operand: Handle<Expression>) {
        if let Some((_, last)) = &mut self.places[operand.index()] {
            *last = self.now;
        }
    }

    fn most(&self, width: impl Fn(Handle<Expression>) -> usize) -> usize {
        let mut alive = vec![0; self.now + 1];
        for (handle, _) in self.function.expressions.iter() {
            if let Some((first, last)) = self.places[handle.index()] {
                alive[first..last].iter_mut().for_each(|count| *count += width(handle));
            }
        }
        alive.into_iter().max().unwrap_or(0)
    }
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
fn golden_kernels_have_no_detours_and_no_long_lines() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/kernels");
    let (mut sum, mut shown) = (Counts::default(), String::new());
    for path in kernels(&golden) {
        let snapshot = std::fs::read_to_string(&path).expect("a snapshot");
        let (_, text) = snapshot.split_once("\n---\n").expect("a head");
        let counts = count(text);
        let case = path.strip_prefix(&golden).expect("a path below").parent().expect("a folder");
        shown.push_str(&format!("{}: {} registers\n", case.display(), counts.registers));
        sum += counts;
    }
    // Seen with `--nocapture`; docs/kernel-dialect.md keeps a table of the sums.
    writeln!(std::io::stderr(), "{shown}{sum:#?}").expect("a stream");
    assert_eq!((sum.empty_accepts, sum.continuing), (0, 0));
    assert!(sum.longest_line <= 160, "{} columns", sum.longest_line);
}
