//! Masks that follow from places, in the spellings of exporters, and masks that only look like it.

use super::check;
use crate::rewrite::attention::written_out::write_out_all;
use crate::rewrite::testing::{parse, same_numbers};
use crate::rewrite::{Declined, Rules, fuse};
use drift_ir::op::attention::Band;
use drift_ir::{Graph, Op};

/// An attention of 3 queries and 4 keys.
fn text(declared: &str, steps: &str) -> String {
    format!("%q: f32[2,2,3,5]\n%k: f32[2,2,4,5]\n{declared}%y = attention %q, %k, %k {steps}\nreturn %y")
}

fn bands(graph: &Graph) -> Vec<(Band, usize)> {
    graph
        .nodes()
        .filter_map(|id| match &graph.node(id).op {
            Op::Attention(op) => Some((op.band, graph.node(id).inputs.len())),
            _ => None,
        })
        .collect()
}

/// The band that is found, and the attention's operands then.
fn found(declared: &str, steps: &str) -> (Band, usize) {
    let graph = parse(&text(declared, steps));
    let (fused, _) = fuse(graph.clone(), &Rules::default());
    same_numbers(&graph, &fused);
    bands(&fused)[0]
}

const CAUSAL: Band = Band { min_offset: None, max_offset: Some(0) };
const NONE: Band = Band { min_offset: None, max_offset: None };
const ADDED: &str = "@m: f32[1,1,3,4] = [0, LOW, LOW, LOW, 0, 0, LOW, LOW, 0, 0, 0, LOW]\n";

#[test]
fn attention_band() {
    check(
        "attention-band",
        &text(&ADDED.replace("LOW", "-3.4028234e38"), "scores(mul 0.5; add @m)"),
        &text("", "{band_last=0} scores(mul 0.5)"),
    );
}

#[test]
fn attention_band_of_conditions() {
    let seen = "@c: bool[3,4] = [true, false, false, false, true, true, false, false, true, true, true, false]\n\
                @low: f32[] = -inf\n";
    let hidden = "@c: bool[3,4] = [false, true, true, true, false, false, true, true, false, false, false, true]\n\
                  @low: f32[] = -inf\n";
    assert_eq!(found(seen, "scores(select @c, result, @low)"), (CAUSAL, 3));
    assert_eq!(found(hidden, "scores(mul 0.5; select @c, @low, step0)"), (CAUSAL, 3));
    // What the mask is computed from.
    let places = "@i: i64[3,1] = [1, 2, 3]\n@j: i64[1,4] = [0, 1, 2, 3]\n@low: f32[] = -inf\n\
                  %a = less_or_equal @j, @i\n%b = less_or_equal @i, @j\n%c = and %a, %b\n";
    let window = Band { min_offset: Some(1), max_offset: Some(1) };
    assert_eq!(found(places, "scores(select %c, result, @low)"), (window, 3));
}

#[test]
fn attention_band_beside_other_masks() {
    let runtime = "%r: f32[2,1,1,4]\n";
    let infinite = ADDED.replace("LOW", "-inf");
    assert_eq!(found(&format!("{infinite}{runtime}"), "scores(add @m; add %r)"), (CAUSAL, 4));
    // Where another mask may hide what the finite one leaves, a query without keys looks at all of them.
    let finite = ADDED.replace("LOW", "-65504.0");
    assert_eq!(found(&format!("{finite}{runtime}"), "scores(add @m; add %r)"), (NONE, 5));
    // A bias within the band stays.
    let biased = infinite.replace("[0, ", "[0.5, ");
    assert_eq!(found(&biased, "scores(add @m)"), (CAUSAL, 4));
}

#[test]
fn attention_band_needs_hidden_scores_to_stay_hidden() {
    let finite = ADDED.replace("LOW", "-3.4028234e38");
    for steps in ["scores(add @m; tanh)", "scores(add @m; mul -1.0)"] {
        assert_eq!(found(&finite, steps).0, NONE, "{steps}");
    }
    // Merely unlikely, not hidden.
    assert_eq!(found(&ADDED.replace("LOW", "-10000.0"), "scores(add @m)").0, NONE);
    // All queries see all keys, or the mask is no function of places.
    assert_eq!(found("@m: f32[3,4] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n", "scores(add @m)").0, NONE);
    let scattered = "@m: f32[3,4] = [-inf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -inf]\n";
    assert_eq!(found(scattered, "scores(add @m)").0, NONE);
    // A query without keys: with a low number it sees all of them, with infinities none.
    let unseen = "@m: f32[3,4] = [LOW, LOW, LOW, LOW, 0, LOW, LOW, LOW, 0, 0, LOW, LOW]\n";
    assert_eq!(found(&unseen.replace("LOW", "-3.4028234e38"), "scores(add @m)").0, NONE);
    let zero = "{unseen_is_zero=true} scores(add @m)";
    assert_eq!(
        found(&unseen.replace("LOW", "-inf"), zero),
        (Band { min_offset: None, max_offset: Some(-1) }, 3)
    );
}

#[test]
fn a_band_written_out_computes_the_same() {
    for attributes in [
        "{band_last=0}",
        "{band_last=1, band_first=-1} scores(mul 0.5)",
        "{band_last=-1, unseen_is_zero=true}",
        "{band_first=1, unseen_is_zero=true} epilogue(relu)",
    ] {
        let graph = parse(&text("", attributes));
        let mut written = graph.clone();
        assert_eq!(write_out_all(&mut written).unwrap_or_else(|error| panic!("{error}")), 1);
        same_numbers(&graph, &written);
    }
}

#[test]
fn a_band_over_unknown_places_is_refused_not_dropped() {
    let mut graph = parse("%q: f32[1,1,n,4]\n%y = attention %q, %q, %q {band_last=0}\nreturn %y");
    let refused = write_out_all(&mut graph);
    assert!(matches!(refused, Err(Declined::FreeDim { .. })), "{refused:?}");
}
