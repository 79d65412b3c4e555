//! Every order and storage type against places that are counted up factor by factor.

use super::*;
use crate::physical::{Layout, Recipe};
use drift_ir::Tensor;
use std::borrow::Cow;

/// Filters and, for an output, a tap and an input of the layout, the element of the constant.
type Case = (&'static str, Filters, Box<dyn Fn(u64, u64, u64) -> Option<u64>>);

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (groups, [src, dst], taps) in
        [(1, [7, 5], 2), (1, [1, 1], 1), (1, [4, 8], 9), (2, [8, 24], 3), (3, [6, 9], 4), (2, [8, 6], 1)]
    {
        let [own_src, own_dst] = [src / groups, dst / groups];
        let whole = own_src % 4 == 0 && own_dst % 4 == 0;
        // The input's number in its group, where the output reads it.
        let own = move |o: u64, i: u64| match whole {
            true => Some(i),
            false => (i / own_src == o / own_dst).then_some(i % own_src),
        };
        cases.push((
            "convolution",
            Filters::convolution(groups, [src, dst], taps),
            Box::new(move |o, t, i| own(o, i).map(|i| (o * own_src + i) * taps + t)),
        ));
        cases.push((
            "transposed convolution",
            Filters::transposed_convolution(groups, [src, dst], taps),
            Box::new(move |o, t, i| {
                own(o, i).map(|i| ((o / own_dst * own_src + i) * own_dst + o % own_dst) * taps + t)
            }),
        ));
    }
    for (channels, taps) in [(6, 9), (8, 1), (13, 4)] {
        cases.push((
            "per channel",
            Filters::depthwise(channels, taps),
            Box::new(move |o, t, _| Some(o * taps + t)),
        ));
    }
    for [k, n] in [[7, 9], [8, 12], [1, 4], [70, 25]] {
        cases.push(("k x n", Filters::matrix([k, n], false), Box::new(move |o, _, i| Some(i * n + o))));
        cases.push(("n x k", Filters::matrix([k, n], true), Box::new(move |o, _, i| Some(o * k + i))));
    }
    cases
}

fn elements(filters: &Filters, source: &dyn Fn(u64, u64, u64) -> Option<u64>) -> u64 {
    let inputs = if filters.is_depthwise() { 1 } else { filters.inputs() };
    let all = (0..filters.outputs()).flat_map(|o| {
        (0..filters.taps()).flat_map(move |t| (0..inputs).filter_map(move |i| source(o, t, i)))
    });
    all.max().map_or(0, |last| last + 1)
}

/// All numbers of a layout in the order in which they are stored, counted up factor by factor.
fn counted(layout: &WeightsLayout, source: &dyn Fn(u64, u64, u64) -> Option<u64>) -> Vec<f32> {
    let order = layout.form().order;
    let apart = layout.form().storage == WeightsStorage::FourTextures && layout.size(Factor::Vector) == 4;
    let mut factors: Vec<Factor> = order.factors.to_vec();
    if apart {
        factors.retain(|&factor| factor != Factor::Vector);
        factors.insert(0, Factor::Vector);
    }
    let mut numbers = Vec::new();
    let mut digits = [0_u64; 5];
    loop {
        if apart && digits[1..].iter().all(|&digit| digit == 0) {
            // Each texture begins where one may be bound.
            let aligned = numbers.len().next_multiple_of(256 / layout.element.size_bytes() as usize);
            numbers.resize(aligned, 0.0);
        }
        let digit = |wanted| factors.iter().position(|&factor| factor == wanted).map_or(0, |at| digits[at]);
        for lane in 0..4 {
            let slice = digit(Factor::Group) * layout.size(Factor::OutputSlice) + digit(Factor::OutputSlice);
            let (o4, i4) = match layout.lanes() {
                Lanes::Outputs => (lane, digit(Factor::Vector)),
                Lanes::Inputs => (digit(Factor::Vector), lane),
            };
            let (o, t, i) = (slice * 4 + o4, digit(Factor::Tap), digit(Factor::InputSlice) * 4 + i4);
            let inputs = if layout.filters().is_depthwise() { 1 } else { layout.filters().inputs() };
            let live = o < layout.filters().outputs() && i < inputs;
            let element = if live { source(o, t, i) } else { None };
            numbers.push(element.map_or(0.0, |element| (element + 1) as f32));
        }
        let Some(at) = (0..5).rev().find(|&at| digits[at] + 1 < layout.size(factors[at])) else { break };
        digits[at] += 1;
        digits[at + 1..].fill(0);
    }
    numbers
}

#[test]
fn every_order_and_object_holds_each_weight_where_its_factors_say() {
    let mut checked = 0;
    for (name, filters, source) in cases() {
        let count = elements(&filters, &source);
        let values: Vec<f32> = (1..=count).map(|value| value as f32).collect();
        let constant = Tensor::from_f32([count], &values).expect("as many as there are");
        for order in WeightsOrder::all() {
            for storage in WeightsStorage::ALL {
                for (group, element) in [(1, Element::F32), (2, Element::F16), (3, Element::F32)] {
                    let form = WeightsForm { order, group, storage };
                    let layout = WeightsLayout::new(filters.clone(), form, element);
                    let recipe = Recipe::new(&constant, layout.packing(), Layout::row_major(element, 2));
                    let bytes = recipe.expect("floats").bytes().into_owned();
                    assert_eq!(bytes.len() as u64, layout.size_bytes(), "{name} {form:?}");
                    let mut expected = counted(&layout, &source);
                    // A buffer of a matrix ends with the last vector that holds one of its elements.
                    if name.contains(" x ") && !storage.storage_type().is_texture() {
                        let last = expected.iter().rposition(|&value| value != 0.0).unwrap_or(0);
                        expected.truncate(last / 4 * 4 + 4);
                    }
                    let got: Vec<f32> = match element {
                        Element::F16 => {
                            let (halves, _) = bytes.as_chunks::<2>();
                            halves.iter().map(|half| half::f16::from_le_bytes(*half).to_f32()).collect()
                        }
                        _ => {
                            let (words, _) = bytes.as_chunks::<4>();
                            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
                        }
                    };
                    assert!(got == expected, "{name} {filters:?} {form:?}\n{got:?}\n{expected:?}");
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(checked, 23 * 240 * 4 * 3);
}

/// Section 3.1 of the ML Drift paper: OHWI (5, 2, 1, 7) as four textures of (4, 2).
#[test]
fn the_papers_example() {
    let filters = Filters::convolution(1, [7, 5], 2);
    let form =
        WeightsForm { storage: WeightsStorage::FourTextures, ..WeightsForm::buffer(WeightsOrder::ROWS) };
    let layout = WeightsLayout::new(filters, form, Element::F32);
    assert_eq!((layout.parts(), layout.extent_px()), (4, [4, 2]));
    // Eight vectors of four floats, each texture at a multiple of 256 bytes.
    assert_eq!((layout.part_bytes(), layout.part_offset(3), layout.size_bytes()), (128, 768, 896));
    assert_eq!(layout.describe(), "f32 four texture2d 4x2 HWD S_I I4 G S_O O4");
    // Output 4 is alone in its slice: of the eight texels of texture 2 those of odd columns hold one weight of input 2 or 6.
    let source = |o: u64, t: u64, i: u64| Some((o * 7 + i) * 2 + t);
    let all = counted(&layout, &source);
    let texture = &all[128..160];
    let texel = |x: usize, y: usize| &texture[(y * 4 + x) * 4..][..4];
    let weight = |o: u64, t: u64, i: u64| (source(o, t, i).unwrap_or(0) + 1) as f32;
    assert_eq!(texel(0, 1), [weight(0, 1, 2), weight(1, 1, 2), weight(2, 1, 2), weight(3, 1, 2)]);
    assert_eq!(texel(3, 0), [weight(4, 0, 6), 0.0, 0.0, 0.0]);
}

#[test]
fn textures_are_as_square_as_their_order_allows() {
    let extent = |order, [src, dst]: [u64; 2], taps| {
        let form = WeightsForm { order, group: 2, storage: WeightsStorage::Texture2d };
        WeightsLayout::new(Filters::convolution(1, [src, dst], taps), form, Element::F16).extent_px()
    };
    assert_eq!(extent(WeightsOrder::ROWS, [2560, 1280], 9), [1280, 5760]);
    assert_eq!(extent(WeightsOrder::BLOCKS, [2560, 1280], 9), [2560, 2880]);
    assert_eq!(extent(WeightsOrder::GROUPS, [64, 64], 1), [128, 8]);
}

#[test]
fn a_matrix_that_lies_right_is_not_copied() {
    let constant = Tensor::from_f32([12, 8], &[1.0; 96]).expect("96 floats");
    for (order, transposed, borrowed) in [
        (WeightsOrder::ROWS, false, true),
        (WeightsOrder::ROWS, true, false),
        (WeightsOrder::ROWS_OF_INPUTS, true, true),
        (WeightsOrder::BLOCKS, false, false),
    ] {
        let sizes = if transposed { [8, 12] } else { [12, 8] };
        let layout =
            WeightsLayout::new(Filters::matrix(sizes, transposed), WeightsForm::buffer(order), Element::F32);
        let recipe = Recipe::new(&constant, layout.packing(), Layout::row_major(Element::F32, 2));
        let recipe = recipe.expect("floats");
        assert_eq!(matches!(recipe.bytes(), Cow::Borrowed(_)), borrowed, "{order} {transposed}");
    }
}

/// Whatever makes bytes differ makes labels differ, and textures share the bytes of buffers.
#[test]
fn labels_tell_packings_apart() {
    let label = |order, group, storage, src| {
        let form = WeightsForm { order, group, storage };
        let filters = Filters::convolution(1, [src, 16], 3);
        WeightsLayout::new(filters, form, Element::F16).packing().label().to_owned()
    };
    let base = label(WeightsOrder::GROUPS, 2, WeightsStorage::Buffer, 8);
    assert_eq!(base, label(WeightsOrder::GROUPS, 2, WeightsStorage::Texture2d, 8));
    assert_ne!(base, label(WeightsOrder::GROUPS, 2, WeightsStorage::FourTextures, 8));
    assert_ne!(base, label(WeightsOrder::GROUPS, 3, WeightsStorage::Buffer, 8));
    assert_ne!(base, label(WeightsOrder::GROUPS, 2, WeightsStorage::Buffer, 12));
    let blocks = |group| label(WeightsOrder::BLOCKS, group, WeightsStorage::Buffer, 8);
    assert_eq!(blocks(2), blocks(3), "groups that follow one another are one");
}
