//! Assembly in, assembly out: how the passes over words are tested.

use spirv_tools::TargetEnv;
use spirv_tools::assembler::{self, Assembler as _, AssemblerOptions};

use super::tools::disassemble;
use super::words::Words;

/// The module `assembly` after `pass`, with the names that a disassembler makes up.
pub(super) fn edited(assembly: &str, pass: impl Fn(&mut Words)) -> String {
    let assembler = assembler::create(Some(TargetEnv::Vulkan_1_2));
    let binary =
        assembler.assemble(assembly, AssemblerOptions::default()).expect("the test is valid assembly");
    let mut words = Words::parse(binary.as_words());
    pass(&mut words);
    disassemble(&words.into_words()).expect("a pass writes whole instructions")
}
