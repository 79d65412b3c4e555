//! Moves workgroup memory from the kernel's arguments into its body.
//!
//! naga declares each workgroup variable as a `threadgroup` reference among the kernel's arguments. The host then has to
//! set the size of each, which wgpu does not do for MSL that it takes as it is. Declared in the body, the compiler knows
//! the sizes. Works on naga's text, whose form the exact version in the workspace manifest fixes: one argument a line,
//! commas in front, `) {` at the end.

/// `text` with the `threadgroup` arguments of its kernel as variables of the kernel's body.
pub(super) fn declared_in_kernel(text: &str) -> String {
    let Some(open) = kernel_arguments(text) else { return text.to_owned() };
    let (head, rest) = text.split_at(open);
    let Some(close) = rest.find("\n) {\n") else { return text.to_owned() };
    let (arguments, body) = (&rest[..close], &rest[close..]);
    let (memory, kept): (Vec<&str>, Vec<&str>) =
        arguments.lines().map(|line| line.trim_start_matches([',', ' '])).partition(|line| is_memory(line));
    if memory.is_empty() {
        return text.to_owned();
    }
    let kept: Vec<String> = kept.iter().map(|argument| format!("  {argument}")).collect();
    let variables: String =
        memory.iter().map(|argument| format!("    {};\n", argument.replacen("& ", " ", 1))).collect();
    let body = body.trim_start_matches("\n) {\n");
    format!("{head}{}\n) {{\n{variables}{body}", kept.join("\n").replace("\n  ", "\n, "))
}

/// Where the first argument of the kernel starts.
fn kernel_arguments(text: &str) -> Option<usize> {
    let kernel = text.find("kernel void ")?;
    Some(kernel + text[kernel..].find("(\n")? + 2)
}

fn is_memory(argument: &str) -> bool {
    argument.starts_with("threadgroup ")
}

#[cfg(test)]
mod tests {
    use super::declared_in_kernel;

    fn check(before: &str, after: &str) {
        assert_eq!(declared_in_kernel(before), after);
    }

    #[test]
    fn workgroup_variables_leave_the_arguments_in_order() {
        check(
            "kernel void k(\n  uint i [[x]]\n, device t& a [[buffer(0)]]\n, threadgroup u& p\n, threadgroup v& q\n) {\n    p = q;\n}\n",
            "kernel void k(\n  uint i [[x]]\n, device t& a [[buffer(0)]]\n) {\n    threadgroup u p;\n    threadgroup v q;\n    p = q;\n}\n",
        );
    }

    #[test]
    fn the_next_argument_becomes_the_first() {
        check(
            "kernel void k(\n  threadgroup u& p\n, device t& a [[buffer(0)]]\n) {\n}\n",
            "kernel void k(\n  device t& a [[buffer(0)]]\n) {\n    threadgroup u p;\n}\n",
        );
    }

    #[test]
    fn helper_functions_keep_their_references() {
        let text =
            "void f(\n    threadgroup u& p\n) {\n}\nkernel void k(\n  device t& a [[buffer(0)]]\n) {\n}\n";
        check(text, text);
    }
}
