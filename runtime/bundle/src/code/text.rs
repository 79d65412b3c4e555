//! Declarations of MSL, WGSL and OpenCL C: the entry point, its workgroup and what is bound.
//!
//! Read from tokens, in the forms in which this project's writers print them. Compilers of these languages check all else.

use crate::manifest::{DeviceElement, Target, TextureKind};

use super::declared::{Channel, Declared, Kind, Needs, Numbering, Resource};
use super::flaw::ShaderFlaw;

/// How MSL begins: the math mode, for compilers that have a word for it. Any other condition could hide code.
const METAL_MATH_MODE: &str = "#if __METAL_VERSION__ >= 320\n#pragma METAL fp math_mode(safe)\n#endif\n";

/// Reads the declarations of `code`.
pub(super) fn read(target: Target, code: &str) -> Result<Declared, ShaderFlaw> {
    let begun = if target == Target::Metal { code.strip_prefix(METAL_MATH_MODE) } else { None };
    let tokens = tokens(begun.unwrap_or(code), target)?;
    match target {
        Target::WebGpu => wgsl(&tokens),
        Target::Metal => metal(&tokens),
        Target::OpenCl | Target::Vulkan => opencl(&tokens),
    }
}

const fn unreadable(problem: &'static str) -> ShaderFlaw {
    ShaderFlaw::Unreadable { problem }
}

/// Words, numbers and single signs, without comments. Lines for the preprocessor are left out where they are harmless.
fn tokens(code: &str, target: Target) -> Result<Vec<&str>, ShaderFlaw> {
    const HARMLESS: [&str; 2] = ["#include <metal_stdlib>", "#include <simd/simd.h>"];
    let mut tokens = Vec::new();
    for line in code.split('\n') {
        let line = line.split("//").next().unwrap_or_default();
        if line.contains("/*") || line.contains('\\') || line.contains("??") {
            return Err(unreadable("there is a block comment or a joined line"));
        }
        let directive = line.trim();
        if directive.starts_with('#') {
            let harmless = directive.starts_with("#pragma ") || HARMLESS.contains(&directive);
            if target == Target::WebGpu || !harmless {
                return Err(unreadable("there is a line for the preprocessor that no writer prints"));
            }
            continue;
        }
        if line.contains('#') || line.contains("%:") {
            return Err(unreadable("there is a line for the preprocessor that no writer prints"));
        }
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
            rest = &rest[start..];
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let end = match rest.find(|c| !word(c)) {
                Some(0) => rest.chars().next().map_or(1, char::len_utf8),
                Some(end) => end,
                None => rest.len(),
            };
            tokens.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    Ok(tokens)
}

/// Where the tokens `wanted` stand one after the other, all of them.
fn positions<'a>(tokens: &'a [&str], wanted: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
    tokens.windows(wanted.len()).enumerate().filter(move |(_, window)| *window == wanted).map(|(at, _)| at)
}

/// The one place where `wanted` stands.
fn only(tokens: &[&str], wanted: &[&str], problem: &'static str) -> Result<usize, ShaderFlaw> {
    let mut all = positions(tokens, wanted);
    match (all.next(), all.next()) {
        (Some(at), None) => Ok(at + wanted.len()),
        _ => Err(unreadable(problem)),
    }
}

fn number(token: Option<&&str>) -> Option<u32> {
    token?.trim_end_matches('u').parse().ok()
}

/// `X , Y , Z` at the start.
fn three(tokens: &[&str]) -> Option<[u32; 3]> {
    match tokens {
        [x, ",", y, ",", z, ..] => Some([number(Some(x))?, number(Some(y))?, number(Some(z))?]),
        _ => None,
    }
}

/// What stands between the parenthesis that begins before `tokens` and its end, in parts between commas.
fn arguments<'a>(tokens: &'a [&'a str]) -> Option<Vec<&'a [&'a str]>> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" | "<" | "{" => depth += 1,
            ")" if depth == 0 => {
                if at > start {
                    parts.push(&tokens[start..at]);
                }
                return Some(parts);
            }
            ")" | "]" | ">" | "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn wgsl(tokens: &[&str]) -> Result<Declared, ShaderFlaw> {
    let at =
        only(tokens, &["@", "compute", "@", "workgroup_size", "("], "there is not one compute entry point")?;
    only(tokens, &["@", "compute"], "there is not one compute entry point")?;
    let size = three(&tokens[at..]).ok_or(unreadable("the workgroup is not three numbers"))?;
    let ["fn", name, "(", ..] = tokens[at + 5..].get(1..).unwrap_or_default() else {
        return Err(unreadable("no function follows the workgroup"));
    };
    let mut resources = Vec::new();
    for at in positions(tokens, &["@", "group", "("]) {
        resources.push(
            wgsl_resource(&tokens[at..])
                .ok_or(unreadable("a bound variable is not as any writer prints it"))?,
        );
    }
    if positions(tokens, &["binding", "("]).count() != resources.len() {
        return Err(unreadable("a binding has no group before it"));
    }
    let enabled = |what| positions(tokens, &["enable", what]).next().is_some();
    Ok(Declared {
        entry_point: (*name).to_owned(),
        workgroup_size: Some(size),
        invocations: None,
        shared_bytes: None,
        resources,
        numbering: Numbering::Pairs,
        needs: Needs { f16: enabled("f16"), subgroups: enabled("subgroups"), ..Needs::default() },
    })
}

fn wgsl_resource(tokens: &[&str]) -> Option<Resource> {
    let ["@", "group", "(", group, ")", "@", "binding", "(", binding, ")", "var", rest @ ..] = tokens else {
        return None;
    };
    let (group, binding) = (number(Some(group))?, number(Some(binding))?);
    let (kind, writable) = match rest {
        ["<", "storage", ",", "read_write", ">", _, ":", ty @ ..] => {
            (Kind::Storage { bytes: wgsl_bytes(ty) }, true)
        }
        ["<", "storage", ",", "read", ">", _, ":", ty @ ..] | ["<", "storage", ">", _, ":", ty @ ..] => {
            (Kind::Storage { bytes: wgsl_bytes(ty) }, false)
        }
        ["<", "uniform", ">", _, ":", ty @ ..] => (Kind::Uniform { bytes: wgsl_bytes(ty) }, false),
        [_, ":", ty, "<", of, rest @ ..] => {
            let (kind, written) = match *ty {
                "texture_2d" => (TextureKind::D2, false),
                "texture_2d_array" => (TextureKind::Array, false),
                "texture_3d" => (TextureKind::D3, false),
                "texture_storage_2d" => (TextureKind::D2, true),
                "texture_storage_2d_array" => (TextureKind::Array, true),
                "texture_storage_3d" => (TextureKind::D3, true),
                _ => return None,
            };
            let channel = match (*of, written, rest.first()?, rest.get(1)) {
                ("f32", false, &">", _) => Channel::Float,
                ("i32", false, &">", _) => Channel::Exactly(DeviceElement::I32),
                ("u32", false, &">", _) => Channel::Exactly(DeviceElement::U32),
                ("rgba32float", true, &",", Some(&"write")) => Channel::Exactly(DeviceElement::F32),
                ("rgba16float", true, &",", Some(&"write")) => Channel::Exactly(DeviceElement::F16),
                ("rgba32sint", true, &",", Some(&"write")) => Channel::Exactly(DeviceElement::I32),
                ("rgba32uint", true, &",", Some(&"write")) => Channel::Exactly(DeviceElement::U32),
                _ => return None,
            };
            (Kind::Texture { kind, channel }, written)
        }
        _ => return None,
    };
    // Activations are one buffer on WebGPU, which is read_write in all its ranges or in none: what is only read is not told.
    if group == 0 && matches!(kind, Kind::Storage { .. }) {
        return writable.then_some(Resource { group, binding, kind, writable: None });
    }
    Some(Resource { group, binding, kind, writable: Some(writable) })
}

/// Bytes of `array<T, N>` of scalars or vectors.
fn wgsl_bytes(ty: &[&str]) -> Option<u64> {
    let scalar = |name: &str| match name {
        "f32" | "i32" | "u32" => Some(4),
        "f16" => Some(2),
        _ => None,
    };
    let ["array", "<", rest @ ..] = ty else { return None };
    let (stride, count) = match rest {
        ["vec2", "<", of, ">", ",", count, ">", ..] => (2 * scalar(of)?, count),
        ["vec3" | "vec4", "<", of, ">", ",", count, ">", ..] => (4 * scalar(of)?, count),
        [of, ",", count, ">", ..] => (scalar(of)?, count),
        _ => return None,
    };
    Some(stride * u64::from(number(Some(count))?))
}

fn metal(tokens: &[&str]) -> Result<Declared, ShaderFlaw> {
    let at = only(tokens, &["kernel", "void"], "there is not one kernel")?;
    only(tokens, &["kernel"], "there is not one kernel")?;
    let [name, "(", rest @ ..] = &tokens[at..] else { return Err(unreadable("the kernel has no name")) };
    let arguments = arguments(rest).ok_or(unreadable("the kernel's arguments do not end"))?;
    let mut resources = Vec::new();
    for argument in arguments {
        let place = |what| positions(argument, &["[", "[", what, "("]).next();
        let (place, is_texture) = match (place("buffer"), place("texture")) {
            (Some(at), None) => (at, false),
            (None, Some(at)) => (at, true),
            (None, None) => continue,
            (Some(_), Some(_)) => return Err(unreadable("an argument has two places")),
        };
        let binding = number(argument.get(place + 4)).ok_or(unreadable("a place is no number"))?;
        let resource = if is_texture { metal_texture(argument) } else { metal_buffer(argument) };
        let (kind, writable) = resource.ok_or(unreadable("an argument is not as any writer prints it"))?;
        resources.push(Resource { group: 0, binding, kind, writable: Some(writable) });
    }
    let most = positions(tokens, &["max_total_threads_per_threadgroup", "("]).next();
    let invocations = most.and_then(|at| number(tokens.get(at + 2)));
    Ok(Declared {
        entry_point: (*name).to_owned(),
        workgroup_size: None,
        invocations,
        shared_bytes: None,
        resources,
        numbering: Numbering::ByKind,
        // Every Metal device has f16 and subgroups, and compiles a kernel before it runs.
        needs: Needs::default(),
    })
}

fn metal_buffer(argument: &[&str]) -> Option<(Kind, bool)> {
    match argument {
        ["constant", ..] => Some((Kind::Uniform { bytes: None }, false)),
        ["device", rest @ ..] => Some((Kind::Storage { bytes: None }, !rest.contains(&"const"))),
        ["const", "device", ..] => Some((Kind::Storage { bytes: None }, false)),
        _ => None,
    }
}

fn metal_texture(argument: &[&str]) -> Option<(Kind, bool)> {
    let ["metal", ":", ":", ty, "<", of, ",", "metal", ":", ":", "access", ":", ":", access, ">", ..] =
        argument
    else {
        return None;
    };
    let kind = match *ty {
        "texture2d" => TextureKind::D2,
        "texture2d_array" => TextureKind::Array,
        "texture3d" => TextureKind::D3,
        _ => return None,
    };
    let channel = match *of {
        "float" | "half" => Channel::Float,
        "int" => Channel::Exactly(DeviceElement::I32),
        "uint" => Channel::Exactly(DeviceElement::U32),
        _ => return None,
    };
    let writable = match *access {
        "write" => true,
        "sample" | "read" => false,
        _ => return None,
    };
    Some((Kind::Texture { kind, channel }, writable))
}

fn opencl(tokens: &[&str]) -> Result<Declared, ShaderFlaw> {
    let header = ["__kernel", "__attribute__", "(", "(", "reqd_work_group_size", "("];
    let at = only(tokens, &header, "there is not one kernel with its workgroup")?;
    if tokens.iter().filter(|token| matches!(**token, "__kernel" | "kernel")).count() != 1 {
        return Err(unreadable("there is not one kernel"));
    }
    let size = three(&tokens[at..]).ok_or(unreadable("the workgroup is not three numbers"))?;
    let [")", ")", ")", "void", name, "(", rest @ ..] = tokens.get(at + 5..).unwrap_or_default() else {
        return Err(unreadable("no function follows the workgroup"));
    };
    let arguments = arguments(rest).ok_or(unreadable("the kernel's arguments do not end"))?;
    // Resources, then one offset for each that is a range of a buffer.
    let is_offset = |argument: &&[&str]| argument.starts_with(&["const", "ulong"]);
    let first_offset = arguments.iter().position(is_offset).unwrap_or(arguments.len());
    let (bound, offsets) = arguments.split_at(first_offset);
    let mut resources = Vec::new();
    for (binding, argument) in (0..).zip(bound) {
        let (kind, writable) =
            opencl_argument(argument).ok_or(unreadable("an argument is not as any writer prints it"))?;
        resources.push(Resource { group: 0, binding, kind, writable: Some(writable) });
    }
    let ranges = resources.iter().filter(|resource| !matches!(resource.kind, Kind::Texture { .. })).count();
    if !offsets.iter().all(is_offset) || offsets.len() != ranges {
        return Err(unreadable("there is not one offset for each buffer, after all of them"));
    }
    Ok(Declared {
        entry_point: (*name).to_owned(),
        workgroup_size: Some(size),
        invocations: None,
        shared_bytes: None,
        resources,
        numbering: Numbering::InOrder,
        // What a device lacks, its compiler refuses.
        needs: Needs::default(),
    })
}

fn opencl_argument(argument: &[&str]) -> Option<(Kind, bool)> {
    let (access, rest) = argument.split_first()?;
    let writable = match *access {
        "__constant" => return Some((Kind::Uniform { bytes: None }, false)),
        "__global" => return Some((Kind::Storage { bytes: None }, rest.first() != Some(&"const"))),
        "read_only" => false,
        "write_only" => true,
        _ => return None,
    };
    let texture = |kind| Kind::Texture { kind, channel: Channel::Any };
    let kind = match *rest.first()? {
        "image2d_t" => texture(TextureKind::D2),
        "image2d_array_t" => texture(TextureKind::Array),
        "image3d_t" => texture(TextureKind::D3),
        "image1d_buffer_t" => Kind::Texels { channel: Channel::Any },
        _ => return None,
    };
    Some((kind, writable))
}
