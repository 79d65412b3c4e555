//! Any text as a graph: what parses prints as text that parses to the same graph.
#![no_main]

use drift_ir::text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let Ok(graph) = text::parse(source) else { return };
    let printed = text::print(&graph);
    let again = text::parse(&printed).expect("what was printed parses");
    assert_eq!(text::print(&again), printed);
});
