//! Grids in the shape in which they are dispatched.

use super::{
    done,
    interpreter::{floats, run},
};
use crate::module::lower::{FoldedGrid, fold_grid};
use crate::module::{ModuleError, parse};

const SOURCE: &str = "@group(0) @binding(0) var<storage, read_write> dst: array<f32, 48>;
    @compute @workgroup_size(4, 1, 1)
    fn kernel(
        @builtin(global_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32,
        @builtin(workgroup_id) place: vec3<u32>,
    ) {
        dst[id.y * 12u + id.x] += f32(place.x + 10u * place.y + 100u * id.x + 10000u * local);
    }";

#[test]
fn a_folded_grid_runs_each_workgroup_once() -> Result<(), ModuleError> {
    let nothing = || [("dst", floats([0.0; 48]))];
    let mut expected = nothing();
    run(&parse(SOURCE)?, [3, 2], &mut expected);
    assert_ne!(expected, nothing());
    // Exact, and with one or two workgroups that hang over.
    for dispatched in [[2, 3, 1], [6, 1, 1], [1, 6, 1], [4, 2, 1], [7, 1, 1]] {
        let folded = fold_grid(done(SOURCE), FoldedGrid { wanted: [3, 2, 1], dispatched })?;
        let mut found = nothing();
        run(&folded.module, [dispatched[0], dispatched[1]], &mut found);
        assert_eq!(found, expected, "{dispatched:?}");
    }
    Ok(())
}

/// A return before a barrier would be refused where only some invocations of a workgroup took it.
#[test]
fn overhanging_workgroups_end_together() {
    let grid = FoldedGrid { wanted: [3, 2, 1], dispatched: [4, 2, 1] };
    let source = SOURCE
        .replace("@compute", "var<workgroup> part: array<f32, 4>; @compute")
        .replace("dst[", "part[3u - local] = f32(id.x); workgroupBarrier(); dst[id.x] = part[local]; dst[");
    let folded = fold_grid(done(&source), grid).expect("barriers stay in uniform control flow");
    let text = super::text(&folded);
    assert!(text.contains(">= 6u") && text.contains("return;"), "{text}");
}
