//! One test for each rule of the walk over SPIR-V: a change of a sound module, and what the reader says of it.

use drift_bundle::manifest::*;
use drift_bundle::{SectionBytes, validate};

/// Sums a row of eight numbers with a loop, and shares it through workgroup memory.
const KERNEL: &str = "
    OpCapability Shader
    %glsl = OpExtInstImport \"GLSL.std.450\"
    OpMemoryModel Logical GLSL450
    OpEntryPoint GLCompute %main \"main\" %id
    OpExecutionMode %main LocalSize 8 1 1
    OpName %main \"main\"
    OpDecorate %array ArrayStride 4
    OpDecorate %block Block
    OpMemberDecorate %block 0 Offset 0
    OpDecorate %src NonWritable
    OpDecorate %src DescriptorSet 0
    OpDecorate %src Binding 0
    OpDecorate %dst DescriptorSet 0
    OpDecorate %dst Binding 1
    OpDecorate %id BuiltIn LocalInvocationIndex
    %void = OpTypeVoid
    %bool = OpTypeBool
    %float = OpTypeFloat 32
    %uint = OpTypeInt 32 0
    %v4float = OpTypeVector %float 4
    %c0 = OpConstant %uint 0
    %c1 = OpConstant %uint 1
    %c2 = OpConstant %uint 2
    %c3 = OpConstant %uint 3
    %c8 = OpConstant %uint 8
    %order = OpConstant %uint 264
    %f0 = OpConstant %float 0
    %array = OpTypeArray %float %c8
    %block = OpTypeStruct %array
    %pblock = OpTypePointer StorageBuffer %block
    %pfloat = OpTypePointer StorageBuffer %float
    %shared_array = OpTypeArray %float %c3
    %pshared_array = OpTypePointer Workgroup %shared_array
    %pshared = OpTypePointer Workgroup %float
    %pin = OpTypePointer Input %uint
    %pfunction = OpTypePointer Function %float
    %src = OpVariable %pblock StorageBuffer
    %dst = OpVariable %pblock StorageBuffer
    %shared = OpVariable %pshared_array Workgroup
    %id = OpVariable %pin Input
    %signature = OpTypeFunction %void
    %unary = OpTypeFunction %float %float
    %square = OpFunction %float None %unary
    %x = OpFunctionParameter %float
    %square_entry = OpLabel
    %xx = OpFMul %float %x %x
    OpReturnValue %xx
    OpFunctionEnd
    %main = OpFunction %void None %signature
    %entry = OpLabel
    %held = OpVariable %pfunction Function
    %lane = OpLoad %uint %id
    OpStore %held %f0
    OpBranch %header
    %header = OpLabel
    %i = OpPhi %uint %c0 %entry %next %continue
    %sum = OpPhi %float %f0 %entry %more %continue
    OpLoopMerge %after %continue None
    OpBranch %test
    %test = OpLabel
    %inside = OpULessThan %bool %i %c8
    OpBranchConditional %inside %body %after
    %body = OpLabel
    %from = OpAccessChain %pfloat %src %c0 %i
    %value = OpLoad %float %from
    %squared = OpFunctionCall %float %square %value
    OpBranch %continue
    %continue = OpLabel
    %more = OpFAdd %float %sum %squared
    %next = OpIAdd %uint %i %c1
    OpBranch %header
    %after = OpLabel
    %slot = OpAccessChain %pshared %shared %c2
    OpStore %slot %sum
    OpControlBarrier %c2 %c2 %order
    %again = OpLoad %float %slot
    %root = OpExtInst %float %glsl Sqrt %again
    %first = OpIEqual %bool %lane %c0
    OpSelectionMerge %done None
    OpBranchConditional %first %write %done
    %write = OpLabel
    %to = OpAccessChain %pfloat %dst %c0 %lane
    OpStore %to %root
    OpBranch %done
    %done = OpLabel
    OpReturn
    OpFunctionEnd";

fn manifest(size: u64) -> Manifest {
    let slot = |binding, writable| BindingSlot {
        group: 0,
        binding,
        kind: BindingKind::StorageBuffer { min_bytes: 32 },
        writable,
    };
    let shader = Shader {
        name: "kernel".to_owned(),
        target: Target::Vulkan,
        entry_point: "main".to_owned(),
        offset: 0,
        size,
        workgroup_size: [8, 1, 1],
        shared_bytes: 12,
        subgroup_size: None,
        bindings: vec![slot(0, false), slot(1, true)],
    };
    Manifest {
        provenance: Provenance {
            compiler: String::new(),
            flags: Vec::new(),
            model: String::new(),
            model_hash: String::new(),
            profiles: Vec::new(),
        },
        weights: Vec::new(),
        shaders: vec![shader],
        entries: Vec::new(),
    }
}

fn said(text: &str) -> String {
    let words = drift_targets::assemble(text).expect("the text assembles");
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sections = SectionBytes { shaders: &code, weights: 0 };
    validate(&manifest(code.len() as u64), sections)
        .map_err(|error| error.to_string())
        .err()
        .unwrap_or_default()
}

/// Replaces `from`, which must be there, by `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert!(KERNEL.contains(from), "`{from}` is not in the kernel");
    let found = said(&KERNEL.replace(from, to));
    assert!(
        if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
        "{to}: expected `{expected}`, found `{found}`"
    );
}

#[test]
fn the_kernel_is_accepted() {
    assert_eq!(said(KERNEL), "");
    let words = drift_targets::assemble(KERNEL).unwrap();
    drift_targets::validate_words(&words).unwrap();
}

#[test]
fn ids_are_defined_once_and_before_use() {
    check("%next = OpIAdd %uint %i %c1", "%next = OpIAdd %uint %i %nothing", "no value");
    check("%next = OpIAdd %uint %i %c1", "%next = OpIAdd %uint %void %c1", "is no value");
    check("%more = OpFAdd %float %sum %squared", "%more = OpFAdd %float %sum %x", "another function");
    // Known in the loop's body only, used after it.
    check("OpStore %slot %sum", "OpStore %slot %value", "not known on every way");
    check("%next %continue", "%lane %continue", "");
    check("%more %continue", "%root %continue", "not known there");
    check("%f0 %entry %more", "%f0 %test %more", "does not name the blocks before");
}

#[test]
fn operands_and_results_have_their_types() {
    for (from, to) in [
        ("OpULessThan %bool %i %c8", "OpULessThan %bool %i %f0"),
        ("OpULessThan %bool %i %c8", "OpFOrdLessThan %bool %i %c8"),
        ("%more = OpFAdd %float", "%more = OpIAdd %float"),
        ("%next = OpIAdd %uint %i %c1", "%next = OpIAdd %uint %i %f0"),
        ("%next = OpIAdd %uint %i %c1", "%next = OpBitcast %uint %inside"),
        ("%next = OpIAdd %uint %i %c1", "%next = OpCompositeExtract %uint %i 0"),
    ] {
        assert_ne!(said(&KERNEL.replace(from, to)), "", "{to}");
    }
    check("OpStore %held %f0", "OpStore %held %c0", "stores another type");
    check("%glsl Sqrt %again", "%glsl FMax %again %lane", "calls a function that takes");
    check("%glsl Sqrt %again", "%glsl SAbs %again", "calls a function that takes");
    check("%square %value", "%square %i", "argument of another type");
    check("%lane = OpLoad %uint %id", "%lane = OpLoad %float %id", "loads another type");
    check("OpBranchConditional %first", "OpBranchConditional %lane", "no truth value");
    check("OpReturnValue %xx", "OpReturn", "returns nothing");
    check("%more = OpFAdd %float %sum %squared", "%more = OpDPdx %float %sum", "must not");
}

#[test]
fn memory_is_reached_as_it_was_declared() {
    check(
        "%to = OpAccessChain %pfloat %dst",
        "%to = OpAccessChain %pfloat %src",
        "writes what may only be read",
    );
    check("OpStore %held %f0", "OpStore %id %c0", "writes what may only be read");
    check("%shared %c2", "%shared %c3", "not there");
    check("%shared %c2", "%shared %lane", "");
    check("%dst %c0 %lane", "%dst %c1 %lane", "not there");
    check("%dst %c0 %lane", "%dst %lane %lane", "not there");
    check("%pshared %shared %c2", "%pfloat %shared %c2", "another pointer");
    check("OpTypePointer Workgroup %float", "OpTypePointer PushConstant %float", "storage class");
    check("OpTypePointer Workgroup %float", "OpTypePointer CrossWorkgroup %float", "storage class");
    check(
        "%held = OpVariable %pfunction Function",
        "%held = OpVariable %pfunction Function %c1",
        "initial value",
    );
}

#[test]
fn control_flow_is_structured() {
    check("OpLoopMerge %after %continue None", "OpNop", "without a merge");
    check("OpSelectionMerge %done None", "OpNop", "without a merge");
    check("OpLoopMerge %after %continue None", "OpLoopMerge %continue %continue None", "its own end");
    check("OpSelectionMerge %done None", "OpSelectionMerge %write None", "leaves its construct");
    check("OpSelectionMerge %done None", "OpSelectionMerge %after None", "share a block");
    check("OpBranch %test\n", "OpBranch %nowhere\n", "no block of it");
    check("OpBranch %done\n", "OpBranch %entry\n", "goes back to its first block");
    check("OpBranch %done\n", "OpBranch %body\n", "leaves its construct");
    check(
        "OpBranch %done\n    %done = OpLabel\n    OpReturn",
        "OpBranch %done\n    %done = OpLabel",
        "within a block",
    );
}

#[test]
fn functions_do_not_call_themselves() {
    check("%xx = OpFMul %float %x %x", "%xx = OpFunctionCall %float %square %x", "running");
    check("%xx = OpFMul %float %x %x", "%xx = OpFunctionCall %float %main %x", "no function before it");
}

#[test]
fn declarations_are_those_of_kernels() {
    check("OpCapability Shader", "OpCapability Shader\nOpCapability Int64", "capability 11");
    check(
        "OpCapability Shader",
        "OpCapability Shader\nOpExtension \"SPV_KHR_ray_query\"",
        "SPV_KHR_ray_query",
    );
    check("GLCompute", "Fragment", "other than compute");
    check("OpName %main", "OpExecutionMode %main LocalSize 1 1 1\nOpName %main", "second workgroup");
    check("BuiltIn LocalInvocationIndex", "BuiltIn FragCoord", "built-in");
    check("BuiltIn LocalInvocationIndex", "BuiltIn WorkgroupId", "built-in");
    check("%c8 = OpConstant %uint 8", "%c8 = OpSpecConstant %uint 8", "outside of functions");
    check("ArrayStride 4", "ArrayStride 2", "stride");
    check("OpMemberDecorate %block 0 Offset 0", "OpMemberDecorate %block 0 Offset 2", "aligned");
    check("OpDecorate %block Block", "", "block with a layout");
    check("OpDecorate %dst Binding 1", "", "binding of a resource");
    check("OpDecorate %dst Binding 1", "OpDecorate %dst Binding 0", "declares it twice");
    check("\"main\" %id", "\"main\"", "interface");
    check("OpTypeArray %float %c3", "OpTypeArray %float %c8", "32 bytes of workgroup memory");
    check("%c8 = OpConstant %uint 8", "%c8 = OpConstant %uint 9", "36 bytes, the slot 32");
    check("%v4float = OpTypeVector %float 4", "%v4float = OpTypeVector %float 8", "no vector of 2 to 4");
    check("%v4float = OpTypeVector %float 4", "%v4float = OpTypeInt 32 0", "second time");
    check("%c2 %c2 %order", "%c0 %c2 %order", "more than a workgroup");
    check("%c2 %c2 %order", "%c2 %lane %order", "no constant");
}

#[test]
fn sizes_beyond_any_memory_are_counted_as_such() {
    for members in ["%a3", "%a3 %float", "%float %a3 %a3"] {
        let types = format!(
            "%big = OpConstant %uint 4294967295
            %a1 = OpTypeArray %float %big
            %a2 = OpTypeArray %a1 %big
            %a3 = OpTypeArray %a2 %big
            %huge = OpTypeStruct {members}
            %phuge = OpTypePointer Workgroup %huge
            %held_by_none = OpVariable %phuge Workgroup
            %shared = OpVariable %pshared_array Workgroup"
        );
        check("%shared = OpVariable %pshared_array Workgroup", &types, "end of workgroup memory");
    }
}
