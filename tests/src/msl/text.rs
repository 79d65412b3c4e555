//! The text of kernels as one C++ file, with a function for each that calls it for one invocation.
//!
//! Which resource is which argument is read from the text's attributes, as Metal does, and not from the bundle: the device
//! holds the two against each other when it binds.

use std::fmt::Write as _;

use crate::msl::clang::for_clang;

/// A kernel: its entry point and the text that has it.
pub(super) struct Source<'a> {
    pub(super) entry_point: &'a str,
    pub(super) text: &'a str,
}

/// What a text says of its kernel.
#[derive(Debug, PartialEq)]
pub(super) struct Signature {
    /// Threads of a threadgroup that it is compiled for.
    pub(super) most_threads: u32,
    arguments: Vec<Argument>,
}

#[derive(Debug, PartialEq)]
struct Argument {
    ty: String,
    place: Place,
}

/// What an argument is given.
#[derive(Debug, PartialEq)]
enum Place {
    Buffer(u32),
    Texture(u32),
    /// A position, by its name.
    Position(String),
}

impl Signature {
    /// Of the kernel `entry_point`: one argument a line, each with its attribute, as naga writes them.
    pub(super) fn of(source: &Source<'_>) -> Result<Self, String> {
        let Source { entry_point, text } = *source;
        let begin = format!("kernel void {entry_point}(\n");
        let (before, rest) =
            text.split_once(&begin).ok_or_else(|| format!("the text has no kernel `{entry_point}`"))?;
        let (arguments, _) = rest
            .split_once("\n) {\n")
            .ok_or_else(|| format!("the arguments of `{entry_point}` have no end"))?;
        let most = before.rsplit_once("[[max_total_threads_per_threadgroup(");
        let most_threads = most
            .and_then(|(_, rest)| rest.split_once(")]]")?.0.parse().ok())
            .ok_or_else(|| format!("`{entry_point}` does not say how many threads a threadgroup has"))?;
        let arguments = arguments.lines().map(Argument::of).collect::<Result<_, _>>()?;
        Ok(Self { most_threads, arguments })
    }
}

impl Argument {
    fn of(line: &str) -> Result<Self, String> {
        let wrong = || format!("`{line}` is no argument with a place");
        let (declared, attribute) =
            line.trim_start_matches([',', ' ']).split_once(" [[").ok_or_else(wrong)?;
        let (ty, _name) = declared.rsplit_once(' ').ok_or_else(wrong)?;
        let attribute = attribute.strip_suffix("]]").ok_or_else(wrong)?;
        let index = |of: &str| -> Option<u32> {
            attribute.strip_prefix(of)?.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
        };
        let place = match (index("buffer"), index("texture")) {
            (Some(index), _) => Place::Buffer(index),
            (None, Some(index)) => Place::Texture(index),
            (None, None) if attribute.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                Place::Position(attribute.to_owned())
            }
            (None, None) => return Err(wrong()),
        };
        Ok(Self { ty: ty.to_owned(), place })
    }

    /// The argument, in a function that is given the position `at` and the `memory`.
    fn value(&self) -> String {
        let ty = &self.ty;
        match &self.place {
            // Through a pointer, in the space that the type says: a byte that is cast to a vector that is only read is a vector
            // of that byte.
            Place::Buffer(index) => {
                let space = ty.split(' ').next().unwrap_or_default();
                let object = ty.trim_end_matches('&');
                format!("*({object}*)({space} unsigned char*)memory.buffers[{index}]")
            }
            Place::Texture(index) => format!("{ty}{{{{memory.textures[{index}]}}}}"),
            Place::Position(name) if ty.ends_with('3') => {
                format!("metal::construct<{ty}>(at.{name}[0], at.{name}[1], at.{name}[2])")
            }
            Place::Position(name) => format!("({ty})at.{name}"),
        }
    }

    /// The argument as the host reads it; none where it binds nothing.
    fn description(&self) -> Option<String> {
        let ty = &self.ty;
        match &self.place {
            Place::Buffer(index) => {
                let written = u8::from(!ty.contains("const&") && !ty.starts_with("constant "));
                Some(format!("{{0, {index}, sizeof({ty}), 0, {written}}}"))
            }
            Place::Texture(index) => Some(format!("metal::described<{ty}>::as({index})")),
            Place::Position(_) => None,
        }
    }
}

/// All kernels as one file, each in a namespace, and a table of them.
pub(super) fn translation_unit(sources: &[Source<'_>]) -> Result<(String, Vec<Signature>), String> {
    let (mut text, mut table, mut signatures) = (String::new(), String::new(), Vec::new());
    for (n, source) in sources.iter().enumerate() {
        let signature = Signature::of(source)?;
        let name = source.entry_point;
        let own = for_clang(source.text).replace("#include", "//#include");
        let values: Vec<String> = signature.arguments.iter().map(Argument::value).collect();
        let described: Vec<String> = signature.arguments.iter().filter_map(Argument::description).collect();
        let values = values.join(",\n        ");
        let count = described.len();
        let described = described.join(", ");
        // Whether threads wait for one another: only then do they need stacks of their own.
        let waits =
            u8::from(["_barrier(", "simd_", "quad_", "simdgroup_"].iter().any(|word| own.contains(word)));
        let _ = write!(
            text,
            "namespace shader_{n} {{\n#line 1\n{own}\
             static void enter(const msl::position& at, const msl::bound& memory) {{\n    \
             (void)at, (void)memory;\n    {name}({values});\n}}\n\
             static constexpr msl::argument arguments[] = {{{described}{} {{}}}};\n}}\n",
            if count == 0 { "" } else { "," },
        );
        let _ = writeln!(
            table,
            "    {{\"{name}\", shader_{n}::enter, shader_{n}::arguments, {count}, {waits}}},"
        );
        signatures.push(signature);
    }
    let _ = write!(
        text,
        "extern \"C\" {{\n__attribute__((visibility(\"default\"))) extern const msl::entry msl_entries[];\n\
         const msl::entry msl_entries[] = {{\n{table}}};\n}}\n"
    );
    Ok((text, signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "#include <metal_stdlib>\n[[max_total_threads_per_threadgroup(32)]] kernel void k(\n  metal::uint3 id [[thread_position_in_grid]]\n, device type_2 const& a [[buffer(1)]]\n, metal::texture2d<float, metal::access::write> b [[texture(0)]]\n) {\n}\n";

    #[test]
    fn arguments_are_where_their_attributes_say() {
        let source = Source { entry_point: "k", text: KERNEL };
        let signature = Signature::of(&source).expect("it is one");
        assert_eq!(signature.most_threads, 32);
        let places: Vec<&Place> = signature.arguments.iter().map(|argument| &argument.place).collect();
        let position = Place::Position("thread_position_in_grid".to_owned());
        assert_eq!(places, [&position, &Place::Buffer(1), &Place::Texture(0)]);
        let descriptions: Vec<_> = signature.arguments.iter().filter_map(Argument::description).collect();
        assert_eq!(descriptions[0], "{0, 1, sizeof(device type_2 const&), 0, 0}");
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let text = KERNEL.replace(" [[buffer(1)]]", "");
        assert!(Signature::of(&Source { entry_point: "k", text: &text }).is_err());
        assert!(Signature::of(&Source { entry_point: "other", text: KERNEL }).is_err());
    }
}
