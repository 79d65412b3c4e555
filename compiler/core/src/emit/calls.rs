//! Kernel calls that differ in nothing but where their tensors are: they have one text, which is then written once.

use crate::kernel::{Constant, KernelCall, Source};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Calls with what is known of each, by what their texts follow from.
#[derive(Default)]
pub(super) struct Calls<T> {
    alike: HashMap<u64, Vec<(KernelCall, T)>>,
}

impl<T: Copy> Calls<T> {
    /// What is known of a call; `make` finds it out for the first of its like.
    pub(super) fn of(&mut self, call: &KernelCall, make: impl FnOnce() -> T) -> T {
        let call = numbered(call);
        let alike = self.alike.entry(hash(&call)).or_default();
        if let Some((_, known)) = alike.iter().find(|(other, _)| *other == call) {
            return *known;
        }
        let made = make();
        alike.push((call, made));
        made
    }
}

/// The call with its sources numbered in order of the slots. A text names none: it only says which are the same.
fn numbered(call: &KernelCall) -> KernelCall {
    let mut sources: Vec<Source> = Vec::new();
    let mut call = call.clone();
    for slot in &mut call.slots {
        let number = sources.iter().position(|&known| known == slot.source).unwrap_or_else(|| {
            sources.push(slot.source);
            sources.len() - 1
        }) as u32;
        slot.source = match slot.source {
            Source::Activation(_) => Source::Activation(number),
            Source::Constant(_) => Source::Constant(number),
        };
    }
    call
}

/// A number that calls of different texts seldom share.
fn hash(call: &KernelCall) -> u64 {
    let mut hasher = DefaultHasher::new();
    (call.kernel.name, call.workgroup_size, &call.workgroups, call.slots.len()).hash(&mut hasher);
    for (name, constant) in &call.constants {
        name.hash(&mut hasher);
        match *constant {
            Constant::Free(ty, ref size) => (ty, size).hash(&mut hasher),
            Constant::U32(value) => value.hash(&mut hasher),
            Constant::I32(value) => value.hash(&mut hasher),
            Constant::F32(value) => value.to_bits().hash(&mut hasher),
            Constant::Bool(value) => value.hash(&mut hasher),
        }
    }
    for slot in &call.slots {
        (&slot.name, &slot.shape, &slot.address).hash(&mut hasher);
    }
    for function in call.prologue.iter().chain(&call.epilogue) {
        format!("{function:?}").hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{self, LayoutChoice};
    use crate::{profile, select};
    use std::collections::HashSet;

    #[test]
    fn calls_of_one_text_are_one() {
        let text = "%x: f32[1,8,8,8]\n@u: f32[8,8,1,1] = random(1)\n@v: f32[8,8,1,1] = random(2)\n%a = conv %x, @u\n\
            %b = conv %a, @v\n%c = conv %b, @v epilogue(add %b)\n%d = conv %c, @u epilogue(add %a)\n%e = add %d, %d\n\
            %f = add %e, %d\nreturn %f";
        let graph = drift_ir::text::parse(text).expect("a graph");
        let profile = profile::find("generic").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        let program = select::choose(&graph, &layouts, profile, None).expect("a program");
        let mut calls = Calls::default();
        let mut next = 0;
        let mut of = |call: &KernelCall| {
            calls.of(call, || {
                next += 1;
                next
            })
        };
        let numbers: Vec<u32> = program.steps.iter().map(|step| of(&step.call)).collect();
        let texts: Vec<String> = program.steps.iter().map(|step| step.call.module_text()).collect();
        for (a, one) in texts.iter().enumerate() {
            for (b, other) in texts.iter().enumerate() {
                assert!(numbers[a] != numbers[b] || one == other, "{a} {b}");
            }
        }
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), texts.iter().collect::<HashSet<_>>().len());
    }
}
