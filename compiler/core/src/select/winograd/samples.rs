//! Errors of layers, sampled once for all variants of a graph.

use super::form::{self, Form};
use crate::physical::Element;
use drift_ir::Tensor;
use std::cell::RefCell;
use std::collections::HashMap;

/// What a sample depends on. Constants with the same bytes in memory are one.
#[derive(PartialEq, Eq, Hash)]
struct Layer {
    bytes: *const u8,
    shape: Vec<u64>,
    form: Form,
    stored: Element,
}

/// Sampled errors of layers in Winograd's forms.
#[derive(Default)]
pub struct Samples {
    /// Looked up, never iterated. A constant is kept, so that its bytes stay where they are.
    known: RefCell<HashMap<Layer, (Tensor, f64)>>,
}

impl Samples {
    /// As [`form::sampled_error`].
    pub(super) fn error(&self, form: Form, weights: &Tensor, stored: Element) -> f64 {
        let layer = Layer { bytes: weights.bytes().as_ptr(), shape: weights.shape().to_vec(), form, stored };
        let mut known = self.known.borrow_mut();
        let sampled = || (weights.clone(), form::sampled_error(form, weights, stored));
        known.entry(layer).or_insert_with(sampled).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_sampled_once_and_another_one_again() {
        let weights = |scale: f32| {
            let values: Vec<f32> = (0..2 * 8 * 9).map(|n| scale * ((n * 7 % 31) as f32 - 15.0)).collect();
            Tensor::from_f32([2, 8, 3, 3], &values).expect("a count for the shape")
        };
        let samples = Samples::default();
        let of = |weights: &Tensor, form| samples.error(form, weights, Element::F16);
        let one = weights(0.013);
        let first = of(&one, Form::Two);
        assert_eq!(first, form::sampled_error(Form::Two, &one, Element::F16));
        assert_eq!(of(&one.clone(), Form::Two), first);
        assert_eq!(samples.known.borrow().len(), 1, "a clone has the same bytes");
        assert_eq!(of(&one, Form::Four), form::sampled_error(Form::Four, &one, Element::F16));
        // What is dropped elsewhere is kept here, so no other constant takes its place in memory.
        drop(one);
        let other = weights(0.0171);
        assert_eq!(of(&other, Form::Two), form::sampled_error(Form::Two, &other, Element::F16));
        assert_eq!(samples.known.borrow().len(), 3);
    }
}
