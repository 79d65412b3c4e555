//! Kernels whose texts differ in numbers alone: they go through the passes once.

use crate::kernel::{KernelCall, Named};
use indexmap::IndexMap;

/// Fewer kernels are made one by one: the first of a family is made both ways, to see that they agree.
const LEAST: usize = 4;

/// What a text says beside its numbers.
type Digest = [u8; 32];

/// A kernel's text without its numbers, and these.
pub(super) struct Numbered {
    digest: Digest,
    numbers: Vec<f32>,
}

impl Numbered {
    /// Of a call's text, if it has numbers that can be told from it.
    pub(super) fn of(call: &KernelCall, text: &str) -> Option<Self> {
        let Named { text, numbers, .. } = call.named(text)?;
        Some(Self { digest: *blake3::hash(text.as_bytes()).as_bytes(), numbers })
    }
}

/// Kernels of which several differ in numbers alone.
pub(super) struct Families {
    /// The family of each kernel, and its numbers.
    members: Vec<Option<(usize, Vec<f32>)>>,
    /// The first kernel of each family.
    firsts: Vec<usize>,
}

impl Families {
    /// Those of some kernels, in order.
    pub(super) fn of(kernels: Vec<Option<Numbered>>) -> Self {
        let mut alike: IndexMap<Digest, Vec<usize>> = IndexMap::new();
        for (kernel, numbered) in kernels.iter().enumerate() {
            if let Some(Numbered { digest, .. }) = numbered {
                alike.entry(*digest).or_default().push(kernel);
            }
        }
        alike.retain(|_, members| members.len() >= LEAST);
        let firsts = alike.values().map(|members| members[0]).collect();
        let family = |Numbered { digest, numbers }| Some((alike.get_index_of(&digest)?, numbers));
        let members = kernels.into_iter().map(|numbered| numbered.and_then(family)).collect();
        Self { members, firsts }
    }

    /// The first kernel of each.
    pub(super) fn firsts(&self) -> &[usize] {
        &self.firsts
    }

    /// The family of a kernel, and its numbers.
    pub(super) fn member(&self, kernel: usize) -> Option<(usize, &[f32])> {
        self.members[kernel].as_ref().map(|(family, numbers)| (*family, &numbers[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shaders::{KernelKey, emit, shared, specialized_text};
    use crate::kernel::ModuleText;
    use crate::layout::{self, LayoutChoice};
    use crate::program::Program;
    use crate::{profile, select};
    use drift_bundle::manifest::Target;

    fn program([a, b, c, d]: [f32; 4]) -> Program {
        let text = format!(
            "%x: f32[2,18]\n@w: f32[18,5] = random(1)\n@k: f32[] = {b}\n%a = softmax %x {{axis=1}} epilogue(mul {a}; pow {b})\n\
             %b = matmul %a, @w epilogue(relu; clip {{min=-{c}, max={d}}}; add {a})\n%c = div %b, @k\nreturn %c"
        );
        let graph = drift_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let profile = profile::find("generic").expect("a profile");
        let layouts = layout::assign(&graph, profile, LayoutChoice::Buffer, None).expect("layouts");
        select::choose(&graph, &layouts, profile, None).expect("a program")
    }

    fn key(program: &Program, at: usize, target: Target) -> KernelKey {
        let ModuleText { text, .. } = program.steps[at].call.module();
        let dispatched = program.steps[at].call.grid().map(|count| count as u32);
        KernelKey { target, loops: None, dispatched, text, words: Vec::new() }
    }

    /// What kernels have in common gives each of them as it is by itself.
    #[test]
    fn a_kernel_comes_out_as_it_does_by_itself() {
        let first = program([0.2539, 1.53, 0.7713, 6.51]);
        let others = [program([0.3539, 2.53, 0.8713, 7.51]), program([5.2539, 3.73, 5.5513, 9.51])];
        for target in Target::ALL {
            let mut compared = Vec::new();
            for (at, step) in first.steps.iter().enumerate() {
                let Some(common) = shared(&key(&first, at, target), step, false) else { continue };
                for other in &others {
                    let (key, step) = (key(other, at, target), &other.steps[at]);
                    let alone = specialized_text(&key.text, &step.call).expect("a module");
                    let numbers = step.call.named(&key.text).expect("numbers").numbers;
                    let made = emit(&key, step, common.with(&numbers).expect("a module"), false);
                    let alone = emit(&key, step, alone, false).expect("a kernel");
                    assert_eq!(made.expect("a kernel"), alone, "{} {target:?}", step.name);
                }
                compared.push(step.call.kernel.name);
            }
            assert!(compared.contains(&"elementwise") && compared.len() > 1, "{target:?}: {compared:?}");
        }
    }
}
