//! The kernel, the functions it calls, and the variables that live in them.

use naga::back::INDENT;
use naga::proc::TypeResolution;
use naga::valid::FunctionInfo;
use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, GlobalVariable, Handle, ImageClass,
    ImageDimension, LocalVariable, Scalar, ScalarKind, StorageAccess, Type, TypeInner,
};

use super::names::Scopes;
use super::usage::{Usage, usage};
use super::{Error, ModuleWriter};

/// The longest signature that is not broken.
const LINE: usize = 80;

/// Ranges begin at multiples of this.
const OFFSET_ALIGNMENT_BYTES: u32 = 256;

/// How a function sees a variable of the module.
#[derive(Clone, Debug)]
pub(super) struct Global {
    pub(super) name: String,
    /// The name is a C pointer to the variable. Names of arrays never are: indexing reads alike either way.
    pub(super) is_pointer: bool,
    /// The name of the texel at which the bound range of an image buffer begins.
    pub(super) first_texel: Option<String>,
}

/// A loop or switch around the statement at hand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame<'a> {
    Switch,
    Loop {
        /// What `continue` must do before it continues, where C does not do it.
        before_continue: Option<(&'a Block, Option<Handle<Expression>>)>,
    },
}

/// Writes one function.
pub(super) struct FunctionWriter<'a, 'w> {
    pub(super) out: &'w mut ModuleWriter<'a>,
    pub(super) function: &'a Function,
    pub(super) info: &'a FunctionInfo,
    pub(super) usage: Usage<'a>,
    pub(super) names: Scopes,
    pub(super) code: String,
    pub(super) depth: usize,
    pub(super) arguments: Vec<String>,
    pub(super) globals: Vec<Option<Global>>,
    pub(super) locals: Vec<Option<String>>,
    /// The variable that holds the value of an expression, for those that have one.
    pub(super) written: Vec<Option<String>>,
    /// Uses of each expression that are still to be written.
    pub(super) left: Vec<u32>,
    /// Emitted expressions that have no variable so far, oldest first.
    pub(super) pending: Vec<Handle<Expression>>,
    /// The loops and switches around the statement at hand, innermost last.
    pub(super) frames: Vec<Frame<'a>>,
    /// The counter of a `for` loop and its start, which a store has left to the loop after it.
    pub(super) loop_start: Option<(String, String)>,
}

impl<'a> ModuleWriter<'a> {
    /// The kernel with its arguments and work-group variables.
    pub(super) fn kernel(&mut self) -> Result<String, Error> {
        let entry_point = &self.module.entry_points[0];
        let [x, y, z] = entry_point.workgroup_size;
        let name = self.kernel_name.clone();
        let info = self.info.get_entry_point(0);
        let bound = self.bound.clone();
        let mut writer = self.function_writer(&entry_point.function, info);
        let mut parameters = Vec::new();
        for &global in &bound {
            parameters.push(writer.global_parameter(global)?);
        }
        writer.depth = 1;
        for &global in &bound {
            parameters.extend(writer.offset_parameter(global)?);
        }
        writer.module_variables()?;
        writer.builtin_arguments()?;
        writer.block(&entry_point.function.body)?;
        let body = writer.code;
        let signature = signature(&format!("void {name}"), &parameters);
        Ok(format!(
            "__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))\n{signature} {{\n{body}}}\n"
        ))
    }

    /// A function that the kernel calls.
    pub(super) fn function(&mut self, handle: Handle<Function>) -> Result<String, Error> {
        let function = &self.module.functions[handle];
        let name = self.function_names[handle.index()].clone();
        let globals = self.globals_of(handle);
        let info = &self.info[handle];
        let mut writer = self.function_writer(function, info);
        let mut parameters = Vec::new();
        for argument in &function.arguments {
            let name = writer.names.declare(argument.name.as_deref().unwrap_or("argument"));
            parameters.push(writer.out.parameter(argument.ty, &name)?);
            writer.arguments.push(name);
        }
        for global in globals {
            parameters.push(writer.global_parameter(global)?);
            parameters.extend(writer.first_texel_parameter(global));
        }
        writer.depth = 1;
        writer.block(&function.body)?;
        let body = writer.code;
        let result = match &function.result {
            Some(result) => self.types.value(&TypeResolution::Handle(result.ty))?,
            None => "void".to_owned(),
        };
        let signature = signature(&format!("static {result} {name}"), &parameters);
        Ok(format!("{signature} {{\n{body}}}\n\n"))
    }

    fn function_writer<'w>(
        &'w mut self,
        function: &'a Function,
        info: &'a FunctionInfo,
    ) -> FunctionWriter<'a, 'w> {
        let usage = usage(self.module, function, info);
        let mut names = self.names.clone();
        names.enter();
        FunctionWriter {
            function,
            info,
            left: usage.counts.clone(),
            usage,
            names,
            code: String::new(),
            depth: 0,
            arguments: Vec::new(),
            globals: vec![None; self.module.global_variables.len()],
            locals: vec![None; function.local_variables.len()],
            written: vec![None; function.expressions.len()],
            pending: Vec::new(),
            frames: Vec::new(),
            loop_start: None,
            out: self,
        }
    }

    /// The module's variables that `function` and its callees use, bound ones first: they become parameters.
    pub(super) fn globals_of(&self, function: Handle<Function>) -> Vec<Handle<GlobalVariable>> {
        let info = &self.info[function];
        let unbound = self.module.global_variables.iter().filter(|(_, global)| global.binding.is_none());
        let all = self.bound.iter().copied().chain(unbound.map(|(handle, _)| handle));
        all.filter(|&global| !info[global].is_empty()).collect()
    }

    /// A parameter of a called function.
    fn parameter(&self, ty: Handle<Type>, name: &str) -> Result<String, Error> {
        match self.module.types[ty].inner {
            TypeInner::Pointer { base, space } => {
                let pointer = self.types.pointer(base, "", name)?;
                Ok(format!("{}{pointer}", address_space(space)))
            }
            TypeInner::ValuePointer { size, scalar, space } => {
                Ok(format!("{}{} *{name}", address_space(space), self.types.vector(size, scalar)?))
            }
            TypeInner::Image { dim, arrayed, class } => image_parameter(dim, arrayed, class, name),
            _ => self.types.declaration(&TypeResolution::Handle(ty), name),
        }
    }
}

impl FunctionWriter<'_, '_> {
    pub(super) fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.code.push_str(INDENT);
        }
        self.code.push_str(text);
        self.code.push('\n');
    }

    pub(super) fn type_of(&self, handle: Handle<Expression>) -> &TypeInner {
        self.info[handle].ty.inner_with(&self.out.module.types)
    }

    /// The scalar that `handle`'s value is made of.
    pub(super) fn scalar_of(&self, handle: Handle<Expression>) -> Scalar {
        match self.type_of(handle).scalar() {
            Some(scalar) => scalar,
            None => unreachable!("validated: an operand of arithmetic is a scalar or a vector"),
        }
    }

    /// Declares a variable of the module as a parameter of this function.
    fn global_parameter(&mut self, handle: Handle<GlobalVariable>) -> Result<String, Error> {
        let module = self.out.module;
        let variable = &module.global_variables[handle];
        let name = self.names.declare(variable.name.as_deref().unwrap_or("buffer"));
        let is_array = matches!(module.types[variable.ty].inner, TypeInner::Array { .. });
        let is_image = variable.space == AddressSpace::Handle;
        let parameter = match (variable.space, &module.types[variable.ty].inner) {
            (_, &TypeInner::Image { dim, arrayed, class }) => image_parameter(dim, arrayed, class, &name)?,
            (AddressSpace::Handle, _) => {
                return Err(Error::Unsupported { construct: "a sampler or an acceleration structure" });
            }
            (space, _) => {
                // Distinct bindings are distinct ranges of memory; see the module documentation.
                let qualifier = if matches!(space, AddressSpace::Storage { .. }) { "restrict" } else { "" };
                let pointer = self.out.types.pointer(variable.ty, qualifier, &name)?;
                format!("{}{pointer}", address_space(space))
            }
        };
        let is_pointer = !is_array && !is_image;
        self.globals[handle.index()] = Some(Global { name, is_pointer, first_texel: None });
        Ok(parameter)
    }

    /// The parameter that says where the range of a buffer begins, and what the kernel makes of it: a pointer moves on by so
    /// many bytes, and an image buffer is read from that texel on. `None` for what is bound as a whole.
    fn offset_parameter(&mut self, handle: Handle<GlobalVariable>) -> Result<Option<String>, Error> {
        let module = self.out.module;
        let variable = &module.global_variables[handle];
        if variable.space == AddressSpace::Handle {
            return Ok(self.first_texel_parameter(handle));
        }
        let Some(global) = &self.globals[handle.index()] else {
            unreachable!("every bound variable is a parameter")
        };
        let name = global.name.clone();
        let offset = self.names.declare(&format!("{name}_offset"));
        let element_bytes = match module.types[variable.ty].inner {
            TypeInner::Array { stride, .. } => stride,
            ref inner => inner.size(module.to_ctx()),
        };
        if OFFSET_ALIGNMENT_BYTES.is_multiple_of(element_bytes) {
            self.line(&format!("{name} += {offset} / sizeof(*{name});"));
        } else {
            let space = address_space(variable.space);
            let pointer = self.out.types.pointer(variable.ty, "", "")?;
            self.line(&format!("{name} = ({space}{pointer})(({space}uchar *){name} + {offset});"));
        }
        Ok(Some(format!("const ulong {offset}")))
    }

    /// The parameter that says at which texel the range of an image buffer begins.
    fn first_texel_parameter(&mut self, handle: Handle<GlobalVariable>) -> Option<String> {
        let module = self.out.module;
        let ty = &module.types[module.global_variables[handle].ty].inner;
        if !matches!(ty, TypeInner::Image { dim: ImageDimension::D1, .. }) {
            return None;
        }
        let name = self.globals[handle.index()].as_ref()?.name.clone();
        let first = self.names.declare(&format!("{name}_first"));
        let parameter = format!("const ulong {first}");
        self.globals[handle.index()].as_mut()?.first_texel = Some(first);
        Some(parameter)
    }

    /// Declares the work-group and private variables of the module, which C wants inside the kernel.
    fn module_variables(&mut self) -> Result<(), Error> {
        let module = self.out.module;
        for (handle, variable) in module.global_variables.iter() {
            if variable.binding.is_some() || self.info[handle].is_empty() {
                continue;
            }
            let name = self.names.declare(variable.name.as_deref().unwrap_or("shared"));
            let declaration = self.out.types.declaration(&TypeResolution::Handle(variable.ty), &name)?;
            match variable.space {
                AddressSpace::WorkGroup => self.line(&format!("__local {declaration};")),
                AddressSpace::Private => {
                    let value = match variable.init {
                        Some(init) => self.out.constant_initializer(init)?,
                        None => self.out.zero_initializer(variable.ty)?,
                    };
                    self.line(&format!("{declaration} = {value};"));
                }
                _ => return Err(Error::Unsupported { construct: "a variable of this address space" }),
            }
            self.globals[handle.index()] = Some(Global { name, is_pointer: false, first_texel: None });
        }
        Ok(())
    }

    /// Gives the built-in values that the kernel reads the names of its WGSL parameters.
    fn builtin_arguments(&mut self) -> Result<(), Error> {
        let used = |argument: usize| {
            self.function.expressions.iter().any(|(handle, expression)| {
                matches!(*expression, Expression::FunctionArgument(index) if index as usize == argument)
                    && self.usage.counts[handle.index()] > 0
            })
        };
        let used: Vec<_> = (0..self.function.arguments.len()).map(used).collect();
        for (argument, used) in self.function.arguments.iter().zip(used) {
            if !used {
                self.arguments.push(String::new());
                continue;
            }
            let value = match (&argument.binding, &self.out.module.types[argument.ty].inner) {
                (Some(binding), _) => self.builtin(binding)?,
                (None, TypeInner::Struct { members, .. }) => {
                    let mut values = Vec::new();
                    for (index, member) in members.iter().enumerate() {
                        let Some(binding) = &member.binding else {
                            unreachable!("validated: inputs of an entry point are bound")
                        };
                        let name = self.out.types.member(argument.ty, index as u32).to_owned();
                        values.push(format!(".{name} = {}", self.builtin(binding)?));
                    }
                    format!("{{{}}}", values.join(", "))
                }
                (None, _) => unreachable!("validated: inputs of an entry point are bound"),
            };
            let name = self.names.declare(argument.name.as_deref().unwrap_or("id"));
            let declaration = self.out.types.declaration(&TypeResolution::Handle(argument.ty), &name)?;
            self.line(&format!("const {declaration} = {value};"));
            self.arguments.push(name);
        }
        Ok(())
    }

    fn builtin(&mut self, binding: &Binding) -> Result<String, Error> {
        let Binding::BuiltIn(builtin) = *binding else {
            return Err(Error::Unsupported { construct: "an input that is not a built-in value" });
        };
        let three = |function: &str| format!("(uint3)({function}(0), {function}(1), {function}(2))");
        match builtin {
            BuiltIn::GlobalInvocationId => Ok(three("get_global_id")),
            BuiltIn::LocalInvocationId => Ok(three("get_local_id")),
            BuiltIn::WorkGroupId => Ok(three("get_group_id")),
            BuiltIn::NumWorkGroups => Ok(three("get_num_groups")),
            BuiltIn::WorkGroupSize => Ok(three("get_local_size")),
            BuiltIn::LocalInvocationIndex => {
                let [x, y, z] = self.out.module.entry_points[0].workgroup_size;
                let mut terms = vec!["get_local_id(0)".to_owned()];
                if y > 1 {
                    terms.insert(0, format!("get_local_id(1) * {x}"));
                }
                if z > 1 {
                    terms.insert(0, format!("get_local_id(2) * {}", x * y));
                }
                Ok(terms.join(" + "))
            }
            BuiltIn::NumSubgroups => self.subgroup_builtin("num_subgroups", "get_num_sub_groups()"),
            BuiltIn::SubgroupId => self.subgroup_builtin("subgroup_id", "get_sub_group_id()"),
            BuiltIn::SubgroupSize => self.subgroup_builtin("subgroup_size", "get_max_sub_group_size()"),
            BuiltIn::SubgroupInvocationId => {
                self.subgroup_builtin("subgroup_invocation_id", "get_sub_group_local_id()")
            }
            _ => Err(Error::Unsupported { construct: "a built-in value of another stage" }),
        }
    }

    /// Declares a local variable and gives it its first value.
    pub(super) fn declare_local(&mut self, handle: Handle<LocalVariable>) -> Result<(), Error> {
        let variable = &self.function.local_variables[handle];
        let value = match variable.init {
            Some(init) => self.initializer(init)?,
            None => self.out.zero_initializer(variable.ty)?,
        };
        let declaration = self.local_declaration(handle)?;
        self.line(&format!("{declaration} = {value};"));
        Ok(())
    }

    /// `float sum`, and the name is taken.
    pub(super) fn local_declaration(&mut self, handle: Handle<LocalVariable>) -> Result<String, Error> {
        let variable = &self.function.local_variables[handle];
        let name = self.names.declare(variable.name.as_deref().unwrap_or("value"));
        let declaration = self.out.types.declaration(&TypeResolution::Handle(variable.ty), &name)?;
        self.locals[handle.index()] = Some(name);
        Ok(declaration)
    }
}

/// `head(parameters)`, one parameter to a line where they do not fit on one.
fn signature(head: &str, parameters: &[String]) -> String {
    let line = match parameters {
        [] => format!("{head}(void)"),
        _ => format!("{head}({})", parameters.join(", ")),
    };
    if line.len() <= LINE {
        return line;
    }
    format!("{head}(\n{INDENT}{}\n)", parameters.join(&format!(",\n{INDENT}")))
}

/// The qualifiers of a pointer into `space`, with a blank behind them.
pub(super) fn address_space(space: AddressSpace) -> &'static str {
    match space {
        AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => "__global ",
        AddressSpace::Storage { .. } => "__global const ",
        AddressSpace::Uniform => "__constant ",
        AddressSpace::WorkGroup => "__local ",
        AddressSpace::Function
        | AddressSpace::Private
        | AddressSpace::Handle
        | AddressSpace::Immediate
        | AddressSpace::TaskPayload
        | AddressSpace::RayPayload
        | AddressSpace::IncomingRayPayload => "",
    }
}

fn image_parameter(
    dim: ImageDimension,
    arrayed: bool,
    class: ImageClass,
    name: &str,
) -> Result<String, Error> {
    let access = match class {
        ImageClass::Storage { access, .. } if access == StorageAccess::STORE => "write_only",
        ImageClass::Sampled { kind: ScalarKind::Float | ScalarKind::Sint | ScalarKind::Uint, .. }
        | ImageClass::Storage { .. } => "read_only",
        ImageClass::Sampled { .. } | ImageClass::Depth { .. } | ImageClass::External => {
            return Err(Error::Unsupported { construct: "a depth or external texture" });
        }
    };
    let ty = match (dim, arrayed) {
        (ImageDimension::D1, _) => "image1d_buffer_t",
        (ImageDimension::D2, false) => "image2d_t",
        (ImageDimension::D2, true) => "image2d_array_t",
        (ImageDimension::D3, _) => "image3d_t",
        (ImageDimension::Cube, _) => return Err(Error::Unsupported { construct: "a cube texture" }),
    };
    Ok(format!("{access} {ty} {name}"))
}
