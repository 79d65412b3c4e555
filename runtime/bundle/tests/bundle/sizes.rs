//! Rules of sizes that the host says.

use drift_bundle::limits;
use drift_bundle::manifest::*;

use crate::rules::{bound, check, variant, verdict};
use crate::sample::{self, region};
use SizeTerm::{Add, Const, Dim, FloorDiv, Mul, Sub};

fn dim(name: &str, low: u64, high: u64, step: u64) -> FreeDim {
    FreeDim { name: name.to_owned(), low, high, step }
}

fn size(terms: &[SizeTerm]) -> SizeExpression {
    SizeExpression(terms.to_vec())
}

/// The first entry of the sample with dims.
fn free(m: &mut Manifest) -> &mut Entry {
    sample::set_free(&mut m.entries[0]);
    &mut m.entries[0]
}

/// The same with a change.
fn refused(expected: &str, change: impl FnOnce(&mut Entry)) {
    check(expected, |m| change(free(m)));
}

#[test]
fn a_program_with_free_sizes_is_valid() {
    let found = verdict(|m| {
        free(m);
    });
    assert_eq!(found, "");
}

#[test]
fn dims_have_names_and_sizes() {
    refused("name of a dim is empty", |entry| entry.dims[0].name.clear());
    refused("names of the dims are not in ascending order", |entry| entry.dims[0].name = "x".to_owned());
    refused("names of the dims are not in ascending order", |entry| entry.dims[0].name = "n".to_owned());
    let bounds = [(2, 1, 1), (0, 3, 0), (9, 15, 8), (0, 1 << 32, 1), (u64::MAX, u64::MAX, 1)];
    for (low, high, step) in bounds {
        refused(&format!("dim `n` is a multiple of {step} from {low} to {high}, which no size"), |entry| {
            entry.dims[1] = dim("n", low, high, step);
        });
    }
    refused("65 dims where at most 64", |entry| entry.dims = vec![dim("n", 0, 1, 1); limits::DIMS + 1]);
}

#[test]
fn sizes_are_numbers_whatever_the_dims_are() {
    let cases: &[(&[SizeTerm], &str)] = &[
        (&[], "is not one expression"),
        (&[Dim(1), Add], "is not one expression"),
        (&[Dim(1), Dim(0)], "is not one expression"),
        (&[Dim(2)], "takes dim 2, which the entry does not have"),
        (&[Dim(1), Const(u32::MAX as u64), Add], "overflows"),
        (&[Const(u64::MAX), Dim(1), Mul], "overflows"),
        (&[Dim(1), Dim(0), Sub], "is below zero"),
        (&[Const(7), Dim(1), FloorDiv], "divides by zero"),
    ];
    for (terms, said) in cases {
        refused(&format!("entry `main` for vulkan: size 3 {said}"), |entry| entry.sizes.push(size(terms)));
    }
    refused("1025 terms of a size where at most 1024", |entry| {
        entry.sizes.push(size(&[Const(0); limits::TERMS + 1]));
    });
    refused("65537 sizes where at most 65536", |entry| {
        entry.sizes = vec![size(&[Const(0)]); limits::SIZES + 1];
    });
    let large = verdict(|m| free(m).sizes.push(size(&[Dim(1), Const((u32::MAX - 3) as u64), Add])));
    assert_eq!(large, "", "the largest size is that of a word");
}

#[test]
fn maxima_are_what_is_stated() {
    refused("axis 0 of `logits` is stated to be at most 3, its size 1 is 2", |entry| {
        entry.outputs[0].free[0].size = 1;
    });
    refused(
        "axis 0 of `logits` is stated to be at most 3, its size 3 is 0 at the largest dims and may be up to 3",
        |entry| {
            // Largest where the dim is smallest.
            entry.sizes.push(size(&[Const(3), Dim(1), Sub]));
            entry.outputs[0].free[0].size = 3;
        },
    );
    refused("size 9 does not exist", |entry| entry.outputs[0].free[0].size = 9);
    refused("axis 2 does not exist, there are 2", |entry| entry.outputs[0].free[0].axis = 2);
    refused("free axes are not in ascending order", |entry| entry.inputs[0].free.reverse());
    refused("free axes are not in ascending order", |entry| entry.inputs[0].free[1].axis = 0);
    let place = "variant `generic`, dispatch 0 `conv_1: conv_tiled`: ";
    refused(&format!("{place}workgroup count 0 is stated to be at most 4, its size 0 is 3"), |entry| {
        entry.variants[0].dispatches[0].workgroups[0] = 4;
    });
    refused(&format!("{place}size 9 does not exist"), |entry| {
        entry.variants[0].dispatches[0].free_workgroups[2] = Some(9);
    });
    refused("init dispatch 0 `derive`: the grid of a dispatch of `init` follows from a dim", |entry| {
        entry.variants[0].init[0].free_workgroups[0] = Some(0);
    });
}

#[test]
fn words_are_sizes_that_there_are() {
    let bind = |m: &mut Manifest, word| {
        free(m);
        let words = vec![Word::Size(1), Word::Const(7), Word::Size(0), word];
        variant(m).regions.push(region(RegionKind::Params(words), 16));
        bound(m)[6] = Resource::bytes(RegionId::Variant(4), 0, 16);
    };
    assert_eq!(verdict(|m| bind(m, Word::Size(2))), "");
    check("variant `generic`: size 3 does not exist, there are 3", |m| bind(m, Word::Size(3)));
    check("slot 6 needs 16 bytes, 12 are bound", |m| {
        bind(m, Word::Const(0));
        bound(m)[6] = Resource::bytes(RegionId::Variant(4), 0, 12);
    });
}
