//! Numbers of a call's element-wise functions under names: calls that differ in nothing else have one text then.

use super::KernelCall;
use super::literal::Literal;
use super::scalar::ScalarProgram;
use crate::module::columns_of_float;
use std::fmt::Write;

/// The text of a call with overrides in place of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The WGSL.
    pub text: String,
    /// The overrides, each with as many characters as its number has columns.
    pub names: Vec<String>,
    /// What each stands for; no two are equal.
    pub numbers: Vec<f32>,
}

impl KernelCall {
    /// The module's text `text` with names for numbers; nothing if there is no number that could have one.
    pub fn named(&self, text: &str) -> Option<Named> {
        let mut named = Named { text: String::new(), names: Vec::new(), numbers: Vec::new() };
        let numbers = self.prologue.iter().chain(&self.epilogue).flat_map(ScalarProgram::numbers);
        for number in numbers.map(|number| number as f32) {
            let written = if named.text.is_empty() { text } else { &named.text };
            let literal = Literal::F32(number).in_all_lanes();
            if is_special(number) || !written.contains(&literal) {
                continue;
            }
            let name = format!("q{}", named.names.len());
            let columns = columns_of_float(number);
            if name.len() > columns || written.contains(&name) {
                return None;
            }
            let name = format!("{name:_<columns$}");
            named.text = written.replace(&literal, &format!("vec4<f32>({name})"));
            named.names.push(name);
            named.numbers.push(number);
        }
        for name in &named.names {
            // Writing to a String cannot fail.
            let _ = writeln!(named.text, "override {name}: f32;");
        }
        (!named.names.is_empty()).then_some(named)
    }
}

/// Whether passes know something of arithmetic with a number, or have no literal for it.
fn is_special(number: f32) -> bool {
    !number.is_finite() || number == 0.0 || number.abs() == 1.0
}
