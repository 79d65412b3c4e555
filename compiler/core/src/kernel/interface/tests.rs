//! Interfaces held against the texts of their kernels, and calls against interfaces.

use super::*;
use crate::kernel::scalar::{Kind, Operand, ScalarProgram};
use crate::kernel::{ALL, AddressMap, KernelCall, KernelSource, Shift, Slot, Source, source, words};
use crate::module;
use crate::physical::size::sizes;
use crate::physical::weights::{Filters, PackedRows, WeightsForm, WeightsLayout, WeightsOrder};
use crate::physical::{Layout, Size, View};
use drift_ir::Symbols;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Names in a WGSL text, comments left out.
fn names(text: &str) -> BTreeSet<&str> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).collect()
}

fn slot(name: &str, access: Access, element: Element, storage: u32) -> Slot {
    let layout = Layout::row_major(element, 4);
    Slot::new(name, access, Source::Activation(storage), sizes(&[1, 8, 8, 16]), layout)
}

/// A call that gives what the kernel's interface declares.
fn call(kernel: &'static KernelSource) -> KernelCall {
    let interface = &kernel.interface;
    let element = if interface.loads() { Element::F16 } else { Element::F32 };
    let mut slots: Vec<Slot> = Vec::new();
    for (spec, storage) in interface.slots.iter().zip(0..) {
        let mut slot = slot(spec.name, spec.access(), element, storage);
        if spec.calls(Accessor::Block) {
            let form = WeightsForm::buffer(WeightsOrder::BLOCKS);
            slot.weights = Some(WeightsLayout::new(Filters::matrix([16, 16], false), form, element));
        }
        if spec.calls(Accessor::Words) {
            slot.rows = PackedRows::floats([16, 16], element);
        }
        slot.layout.element = spec.element.unwrap_or(element);
        slots.push(slot);
    }
    let value = |spec: &ConstantSpec| match spec.ty {
        // Tiles that invocations cover.
        ConstantType::U32 if matches!(spec.name, "TILE_M" | "TILE_N") => Constant::U32(64),
        ConstantType::U32 if spec.name == "OUTPUTS" => Constant::U32(4),
        ConstantType::U32
            if matches!(spec.name, "COLUMN_SLICES" | "UNROLL" | "SPANS" | "SPAN_SLICES" | "PRODUCTS") =>
        {
            Constant::U32(1)
        }
        ConstantType::U32 => Constant::U32(16),
        ConstantType::I32 => Constant::I32(16),
        ConstantType::F32 | ConstantType::Scalar => Constant::F32(0.5),
        ConstantType::Bool => Constant::Bool(true),
    };
    let constants = interface.constants().map(|spec| (spec.name, value(spec))).collect();
    let prologue = match interface.prologue {
        Prologue::None | Prologue::FinishesReads(_) => None,
        Prologue::MakesResult => {
            slots.push(slot("input_0", Access::Read, element, 90));
            let operand = Operand { slot: "input_0".to_owned(), kind: Kind::Float };
            Some(ScalarProgram::new(Kind::Float, Vec::new(), vec![operand]))
        }
        Prologue::FinishesValue => Some(ScalarProgram::new(Kind::Float, Vec::new(), Vec::new())),
    };
    let workgroups = [Size::Const(2), Size::Const(3), Size::Const(1)];
    let workgroup_size = [64, 1, 1];
    KernelCall { kernel, constants, slots, prologue, epilogue: None, workgroup_size, workgroups, join: None }
}

/// How the interface of a kernel and its text disagree.
fn disagreement(kernel: &'static KernelSource) -> Option<String> {
    let interface = &kernel.interface;
    let call = call(kernel);
    if let Err(mismatch) = call.check_interface() {
        return Some(format!("the call: {mismatch}"));
    }
    // What the text names and nothing declares, and what it uses as another type.
    if let Err(error) = module::parse(&call.module_text()) {
        return Some(error.to_string());
    }
    let names = names(kernel.text);
    let accessors = interface.slots.iter().flat_map(|slot| {
        let suffix = |accessor: &Accessor| match accessor {
            Accessor::Read => "read",
            Accessor::Load => "load",
            Accessor::Packed => "packed",
            Accessor::Scalar => "scalar",
            Accessor::Block => "block",
            Accessor::Words => "words",
            Accessor::Write => "write",
        };
        slot.accessors.iter().map(move |accessor| (format!("{}_{}", slot.name, suffix(accessor)), true))
    });
    let constants = interface.constants().map(|constant| (constant.name.to_owned(), constant.in_text));
    let splices = [
        ("SCALAR", interface.scalar.is_some()),
        ("value_read", interface.prologue == Prologue::MakesResult),
        ("value_of", interface.prologue == Prologue::FinishesValue),
    ];
    let splices = splices.map(|(name, is_named)| (name.to_owned(), is_named));
    let mut declared = accessors.chain(constants).chain(splices);
    let (name, is_named) = declared.find(|(name, is_named)| names.contains(name.as_str()) != *is_named)?;
    Some(format!(
        "`{name}` is {}",
        if is_named { "declared and not named" } else { "named and not declared" }
    ))
}

#[test]
fn every_kernel_is_as_its_interface_says() {
    let wrong = ALL.iter().filter_map(|kernel| Some(format!("{}: {}", kernel.name, disagreement(kernel)?)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the module of a call passes where a size is free.
fn passes_without(text: &str, size: &str) -> bool {
    let mut symbols = Symbols::default();
    symbols.intern("n");
    let known = text.lines().find(|line| line.starts_with(&format!("const {size}: u32 = ")));
    let free = format!("const {size}: u32 = $n0$;");
    let text = text.replace(known.unwrap_or_else(|| panic!("{size} is declared")), &free);
    let module = words::resolve(&text, Some(&Arc::new(symbols)));
    module::parse(&module.text).and_then(module::specialize).is_ok()
}

/// Sizes that are known when a program runs can take the place of all others.
#[test]
fn sizes_that_must_be_constants_are_marked() {
    let mut wrong = Vec::new();
    for kernel in ALL {
        let (call, names) = (call(kernel), names(kernel.text));
        let text = call.module_text();
        for spec in kernel.interface.slots {
            for size in SizeOf::ALL {
                let name = format!("{}_{}", spec.name.to_uppercase(), size.name());
                let fixed = names.contains(name.as_str()) && !passes_without(&text, &name);
                if fixed != spec.fixed.contains(&size) {
                    wrong.push(format!("{}: {name} {fixed}", kernel.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kernel with another interface.
fn with(kernel: &KernelSource, interface: KernelInterface) -> &'static KernelSource {
    Box::leak(Box::new(KernelSource { name: kernel.name, text: kernel.text, interface }))
}

#[test]
fn a_wrong_interface_is_told() {
    for kernel in ALL {
        let interface = kernel.interface;
        let constants: Vec<ConstantSpec> = interface.constants().copied().collect();
        let declares = |constants: Vec<ConstantSpec>| {
            let groups: &'static [&'static [ConstantSpec]] = vec![&*constants.leak()].leak();
            disagreement(with(kernel, KernelInterface { constants: groups, ..interface }))
        };
        let extra = ConstantSpec::new("NOT_THERE", ConstantType::U32);
        assert!(declares([&constants[..], &[extra]].concat()).is_some(), "{}", kernel.name);
        // One of each kernel, since every one takes a parse.
        if let Some(first) = constants.iter().position(|constant| constant.in_text) {
            let mut fewer = constants.clone();
            let removed = fewer.remove(first);
            assert!(declares(fewer).is_some(), "{} without {}", kernel.name, removed.name);
            let mut typed = constants.clone();
            typed[first].ty = match removed.ty {
                ConstantType::Bool => ConstantType::U32,
                ConstantType::U32 | ConstantType::I32 | ConstantType::F32 | ConstantType::Scalar => {
                    ConstantType::Bool
                }
            };
            assert!(declares(typed).is_some(), "{} with another type of {}", kernel.name, removed.name);
        }
        let slots = |slots: Vec<SlotSpec>| {
            disagreement(with(kernel, KernelInterface { slots: slots.leak(), ..interface }))
        };
        assert!(slots(interface.slots[1..].to_vec()).is_some(), "{} without its first slot", kernel.name);
        let mut quiet = interface.slots.to_vec();
        quiet[0].accessors = if quiet[0].access() == Access::Write { &[Accessor::Read] } else { &[] };
        assert!(slots(quiet).is_some(), "{} without accessors of its first slot", kernel.name);
        let scalar = match interface.scalar {
            Some(_) => None,
            None => Some(interface.slots[0].name),
        };
        let other = disagreement(with(kernel, KernelInterface { scalar, ..interface }));
        assert!(other.is_some(), "{} of {scalar:?}", kernel.name);
        let prologue = match interface.prologue {
            Prologue::FinishesValue => Prologue::MakesResult,
            Prologue::None | Prologue::MakesResult | Prologue::FinishesReads(_) => Prologue::FinishesValue,
        };
        let other = disagreement(with(kernel, KernelInterface { prologue, ..interface }));
        assert!(other.is_some(), "{} with {prologue:?}", kernel.name);
    }
}

#[test]
fn a_call_that_is_not_as_the_interface_says_is_refused() {
    let right = call(source("matmul_tiled"));
    assert_eq!(right.check_interface(), Ok(()));
    let changed = |change: &dyn Fn(&mut KernelCall)| {
        let mut call = right.clone();
        change(&mut call);
        call.check_interface()
    };
    let (name, value) = right.constants[0].clone();
    let missing = changed(&|call| call.constants.truncate(0));
    assert_eq!(missing, Err(Mismatch::MissingConstant { name }));
    let twice = changed(&|call| call.constants.push((name, value.clone())));
    assert_eq!(twice, Err(Mismatch::RepeatedConstant { name }));
    let unknown = changed(&|call| call.constants.push(("TILE_Q", value.clone())));
    assert_eq!(unknown, Err(Mismatch::UndeclaredConstant { name: "TILE_Q" }));
    let typed = changed(&|call| call.constants[0].1 = Constant::Bool(true));
    assert!(matches!(typed, Err(Mismatch::ConstantType { declared: ConstantType::U32, .. })), "{typed:?}");

    let missing = changed(&|call| drop(call.slots.remove(1)));
    assert_eq!(missing, Err(Mismatch::MissingSlot { name: "b".to_owned() }));
    let twice = changed(&|call| call.slots.push(call.slots[0].clone()));
    assert_eq!(twice, Err(Mismatch::RepeatedSlot { name: "a".to_owned() }));
    let operand = || slot("operand_0", Access::Read, Element::F32, 7);
    let unknown = changed(&|call| call.slots.push(operand()));
    assert_eq!(unknown, Err(Mismatch::UndeclaredSlot { name: "operand_0".to_owned() }));
    let written = changed(&|call| call.slots[0].access = Access::Write);
    assert_eq!(written, Err(Mismatch::SlotUse { name: "a".to_owned() }));

    let operand_0 = Operand { slot: "operand_0".to_owned(), kind: Kind::Float };
    let program = ScalarProgram::new(Kind::Float, Vec::new(), vec![operand_0]);
    let without = changed(&|call| call.epilogue = Some(program.clone()));
    assert_eq!(without, Err(Mismatch::MissingSlot { name: "operand_0".to_owned() }));
    let read = changed(&|call| {
        call.epilogue = Some(program.clone());
        call.slots.push(operand());
    });
    assert_eq!(read, Ok(()));

    let stats = call(source("attention_stats"));
    let finished = KernelCall { epilogue: Some(ScalarProgram::new(Kind::Float, vec![], vec![])), ..stats };
    let refused = finished.check_interface();
    assert_eq!(refused, Err(Mismatch::Splice { splice: "the epilogue", is_given: true }));
    let elementwise = KernelCall { prologue: None, ..call(source("elementwise")) };
    let refused = elementwise.check_interface();
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn roles_follow_from_interfaces_and_calls() {
    let mut product = call(source("matmul_tiled"));
    let block = slot("block", Access::Read, Element::I32, 8);
    product.slots.push(block.clone());
    assert_eq!(product.role(&block), Role::Operand);
    let shift = Shift { slot: "block".to_owned(), lane: 0, unit: 4, most: 8 };
    product.slots[0].address = AddressMap::WHOLE.block(View::whole(&[1, 8, 8, 16]), shift);
    let roles: Vec<Role> = product.slots.iter().map(|slot| product.role(slot)).collect();
    assert_eq!(roles, [Role::Input, Role::Weights, Role::Result, Role::BlockStart]);
    let next = Slot { source: Source::Activation(9), ..block };
    assert_eq!(product.at_block(&next).slots[3], next);
}

#[test]
fn constants_are_found_by_what_they_mean() {
    let input = call(source("winograd_input"));
    assert_eq!((input.constant(Meaning::Blocks), input.constant(Meaning::SubgroupSize)), (Some(16), None));
    let softmax = call(source("softmax_subgroup"));
    assert_eq!(softmax.constant(Meaning::SubgroupSize), Some(16));
}
