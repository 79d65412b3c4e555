//! The text of a whole module: what stands before a kernel's own text, and that.

use super::accessor::{self, Accessors};
use super::interface::{ConstantType, SizeOf};
use super::literal::Literal;
use super::words::{self, ModuleText, count};
use super::{Constant, KernelCall, line};
use crate::physical::{Element, Size, StorageType};
use drift_ir::Symbols;
use std::sync::Arc;

impl KernelCall {
    /// The whole WGSL module.
    pub fn module_text(&self) -> String {
        self.module().text
    }

    /// The whole WGSL module with the words that it reads.
    pub fn module(&self) -> ModuleText {
        words::resolve(&self.written(), self.symbols())
    }

    /// The dims of its free sizes.
    fn symbols(&self) -> Option<&Arc<Symbols>> {
        let of_constants = self.constants.iter().filter_map(|(_, constant)| match constant {
            Constant::Free(_, size) => Some(size),
            _ => None,
        });
        let of_slots = self.slots.iter().flat_map(|slot| &slot.shape);
        self.workgroups.iter().chain(of_constants).chain(of_slots).find_map(Size::symbols)
    }

    /// Directives, constants, bindings, accessors, then the kernel's own text.
    fn written(&self) -> String {
        let bindings = self.bindings();
        let (directives, body) = split_directives(self.kernel.text);
        let mut text = String::new();
        let loads = self.kernel.interface.loads();
        let uses_f16 = bindings.iter().any(|b| {
            b.element == Element::F16 && !b.words && (loads || b.storage_type == StorageType::Buffer)
        });
        if uses_f16 && !directives.contains("enable f16;") {
            text.push_str("enable f16;\n");
        }
        text.push_str(&directives);
        text.push('\n');
        self.write_constants(&mut text);
        if let Some(slot) = self.scalar_slot() {
            let element = slot.layout.element;
            line(&mut text, format_args!("alias SCALAR = {};", element.compute_name()));
            line(&mut text, format_args!("const IS_FLOAT: bool = {};", element.is_float()));
        }
        for binding in &bindings {
            accessor::write_binding(&mut text, binding);
        }
        accessor::write_parts(&mut text, &bindings);
        accessor::write_wide(&mut text, &bindings);
        Accessors { call: self, bindings: &bindings }.write(&mut text);
        text.push_str(&body);
        text
    }

    fn write_constants(&self, text: &mut String) {
        for (axis, size) in ["X", "Y", "Z"].iter().zip(self.workgroup_size) {
            line(text, format_args!("const WORKGROUP_{axis}: u32 = {size}u;"));
        }
        for (axis, count) in ["X", "Y", "Z"].iter().zip(&self.workgroups) {
            declare_size(text, &format!("GRID_{axis}"), count);
        }
        for (name, constant) in &self.constants {
            let (ty, literal) = match *constant {
                Constant::Free(ty, ref size) => {
                    declare_free(text, name, ty, size);
                    continue;
                }
                Constant::U32(value) => ("u32", Literal::U32(value)),
                Constant::I32(value) => ("i32", Literal::I32(value)),
                Constant::F32(value) => ("f32", Literal::F32(value)),
                Constant::Bool(value) => ("bool", Literal::Bool(value)),
            };
            line(text, format_args!("const {name}: {ty} = {literal};"));
        }
        for slot in &self.slots {
            let name = slot.name.to_uppercase();
            for of in SizeOf::ALL {
                declare_size(text, &format!("{name}_{}", of.name()), &slot.size(of));
            }
        }
    }
}

/// Declares a size: the one place where sizes enter a module.
fn declare_size(text: &mut String, name: &str, size: &Size) {
    line(text, format_args!("const {name}: u32 = {};", count(size)));
}

/// Declares a constant that follows from free dims.
fn declare_free(text: &mut String, name: &str, ty: ConstantType, size: &Size) {
    match ty {
        ConstantType::I32 => line(text, format_args!("const {name}: i32 = i32({});", count(size))),
        ConstantType::F32 => line(text, format_args!("const {name}: f32 = f32({});", count(size))),
        ConstantType::U32 | ConstantType::Bool | ConstantType::Scalar => declare_size(text, name, size),
    }
}

/// The kernel's `enable` lines, which WGSL wants before all else, and the rest.
fn split_directives(text: &str) -> (String, String) {
    let (directives, body): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("enable "));
    let join = |lines: Vec<&str>| lines.iter().map(|line| format!("{line}\n")).collect();
    (join(directives), join(body))
}
