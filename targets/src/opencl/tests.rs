//! What the writer emits and refuses, from WGSL text. That the text computes the right numbers is tested where there
//! is a device to run it: in the conformance suite.

use super::*;

fn translate(wgsl: &str, options: &Options) -> Result<Output, Error> {
    translate_edited(wgsl, options, |_| ())
}

/// Translates `wgsl` after `edit` has done to the module what a pass might do.
fn translate_edited(wgsl: &str, options: &Options, edit: fn(&mut Module)) -> Result<Output, Error> {
    let mut module =
        naga::front::wgsl::parse_str(wgsl).unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    edit(&mut module);
    let info =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(wgsl)));
    write(&module, &info, options)
}

/// A kernel over `src` and `dst` with `body`.
fn kernel(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read> src: array<f32, 16>;
        @group(0) @binding(1) var<storage, read_write> dst: array<f32, 16>;
        @group(0) @binding(2) var<storage, read_write> ints: array<i32, 16>;
        @compute @workgroup_size(4)
        fn run(@builtin(global_invocation_id) id: vec3<u32>) {{
            {body}
        }}"
    )
}

/// The statements that `body` becomes.
fn check(body: &str, expected: &[&str]) {
    check_edited(body, |_| (), expected);
}

/// The statements that `body` becomes when no value has a name.
fn check_nameless(body: &str, expected: &[&str]) {
    check_edited(body, |module| module.entry_points[0].function.named_expressions.clear(), expected);
}

fn check_edited(body: &str, edit: fn(&mut Module), expected: &[&str]) {
    let output = translate_edited(&kernel(body), &Options::default(), edit).unwrap();
    let (_, found) = output.source.split_once(") {\n").unwrap();
    let found: Vec<_> = found
        .lines()
        .filter(|line| !line.contains("get_global_id") && !line.contains("_offset / ") && *line != "}")
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    assert_eq!(found, expected, "\n{}", output.source);
}

fn check_refused(wgsl: &str, expected: &Error) {
    assert_eq!(translate(wgsl, &Options::default()).as_ref(), Err(expected));
}

#[test]
fn a_whole_kernel_reads_like_the_source() {
    let wgsl = "
        struct Params { width: u32, scale: f32 }
        @group(2) @binding(0) var<uniform> params: Params;
        @group(1) @binding(0) var<storage, read> weights: array<vec4<f32>, 8>;
        @group(0) @binding(0) var<storage, read_write> dst: array<vec4<f32>, 8>;
        @compute @workgroup_size(8, 4)
        fn scale_rows(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < params.width {
                dst[id.x] += weights[id.x] * params.scale;
            }
        }";
    let output = translate(wgsl, &Options::default()).unwrap();
    let expected = "\
typedef struct {
    uint width;
    float scale;
} Params;

__kernel __attribute__((reqd_work_group_size(8, 4, 1)))
void scale_rows(
    __global float4 *restrict dst,
    __global const float4 *restrict weights,
    __constant Params *params,
    const ulong dst_offset,
    const ulong weights_offset,
    const ulong params_offset
) {
    dst += dst_offset / sizeof(*dst);
    weights += weights_offset / sizeof(*weights);
    params += params_offset / sizeof(*params);
    const uint3 id = (uint3)(get_global_id(0), get_global_id(1), get_global_id(2));
    if (id.x < params->width) {
        dst[id.x] += weights[id.x] * params->scale;
    }
}
";
    assert_eq!(output.source, expected);
    assert_eq!(output.entry_point, "scale_rows");
    let kinds: Vec<_> = output.arguments.iter().map(|argument| (argument.group, argument.kind)).collect();
    assert_eq!(
        kinds,
        [
            (0, ArgumentKind::StorageBuffer { read_only: false }),
            (1, ArgumentKind::StorageBuffer { read_only: true }),
            (2, ArgumentKind::UniformBuffer),
        ]
    );
}

#[test]
fn counting_loops_are_for_loops() {
    check(
        "var sum = 0.0;
        for (var y = 0u; y < 4u; y++) {
            for (var x = y; x < 4u; x += 2u) { sum += src[y * 4u + x]; }
        }
        dst[id.x] = sum;",
        &[
            "float sum = 0.0f;",
            "for (uint y = 0u; y < 4u; y++) {",
            "    for (uint x = y; x < 4u; x += 2u) {",
            "        sum += src[y * 4u + x];",
            "    }",
            "}",
            "dst[id.x] = sum;",
        ],
    );
}

#[test]
fn a_counter_that_outlives_its_loop_is_declared_before_it() {
    check(
        "var i = 0u;
        for (; i < 4u && src[i] > 0.0; i++) {}
        dst[i] = 1.0;",
        &["uint i = 0u;", "for (; i < 4u && src[i] > 0.0f; i++) {", "}", "dst[i] = 1.0f;"],
    );
}

#[test]
fn short_circuits_are_operators_again() {
    check(
        "let inside = id.x > 0u && (id.y < 4u || src[id.y] > 0.5);
        if inside && !(src[id.x] < 1.0) { dst[id.x] = 2.0; }",
        &[
            "const bool inside = id.x > 0u && (id.y < 4u || src[id.y] > 0.5f);",
            "if (inside && !(src[id.x] < 1.0f)) {",
            "    dst[id.x] = 2.0f;",
            "}",
        ],
    );
}

#[test]
fn a_short_circuit_with_a_call_keeps_its_if() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> dst: array<u32, 4>;
        fn bump() -> bool { dst[1] += 1u; return true; }
        @compute @workgroup_size(1)
        fn run() { if dst[0] > 0u && bump() { dst[2] = 1u; } }";
    let source = translate(wgsl, &Options::default()).unwrap().source;
    assert!(source.contains("if (dst[0] > 0u) {\n        const bool bump_result = bump(dst);\n"), "{source}");
}

#[test]
fn parentheses_stand_where_a_reader_needs_them() {
    check(
        "let a = src[0]; let b = src[1]; let i = ints[2];
        dst[0] = (a + b) * (a - b) / (a * b);
        dst[1] = a - (b - a) - b;
        ints[0] = (i & 3) << 2u | (i + 1 ^ 5);
        ints[1] = select(-1, -i, (i < 3) == (a < b));",
        &[
            "const float a = src[0];",
            "const float b = src[1];",
            "const int i = ints[2];",
            "dst[0] = (a + b) * (a - b) / (a * b);",
            "dst[1] = a - (b - a) - b;",
            "ints[0] = ((i & 3) << 2u) | ((i + 1) ^ 5);",
            "ints[1] = (i < 3) == (a < b) ? -i : -1;",
        ],
    );
}

#[test]
fn a_variable_is_declared_where_it_is_first_stored() {
    check(
        "if id.x > 2u {
            var x = src[id.x];
            x = x * x;
            dst[id.x] = x;
        } else {
            var x: f32;
            if id.y > 2u { x = 1.0; }
            dst[id.x] = x;
        }",
        &[
            "if (id.x > 2u) {",
            "    float x = src[id.x];",
            "    x *= x;",
            "    dst[id.x] = x;",
            "} else {",
            "    float x = 0.0f;",
            "    if (id.y > 2u) {",
            "        x = 1.0f;",
            "    }",
            "    dst[id.x] = x;",
            "}",
        ],
    );
}

#[test]
fn a_load_keeps_its_value_over_a_later_store() {
    check(
        "let old = ints[0];
        ints[0] = ints[1];
        ints[1] = old + ints[0];",
        &["const int old = ints[0];", "ints[0] = ints[1];", "ints[1] = old + ints[0];"],
    );
}

#[test]
fn a_counter_stands_for_its_loads_within_a_turn() {
    check_nameless(
        "for (var i = 0u; i < 4u; i++) {
            let now = i;
            dst[now] = src[now] + src[now + 4u];
        }",
        &["for (uint i = 0u; i < 4u; i++) {", "    dst[i] = src[i] + src[i + 4u];", "}"],
    );
}

#[test]
fn a_variable_that_changes_within_a_turn_does_not_stand_for_its_loads() {
    check_nameless(
        "var i = 0u;
        while i < 4u {
            let before = i;
            i += 1u;
            dst[before] = src[i] * src[before];
        }",
        &[
            "uint i = 0u;",
            "while (i < 4u) {",
            "    const uint i_value = i;",
            "    i++;",
            "    dst[i_value] = src[i] * src[i_value];",
            "}",
        ],
    );
}

#[test]
fn a_load_that_a_pass_named_after_its_variable_needs_no_name() {
    let name_loads = |module: &mut Module| {
        let function = &mut module.entry_points[0].function;
        let loads = function.expressions.iter().filter_map(|(handle, expression)| match *expression {
            naga::Expression::Load { pointer } => match function.expressions[pointer] {
                naga::Expression::LocalVariable(variable) => {
                    Some((handle, function.local_variables[variable].name.clone()?))
                }
                _ => Some((handle, "src_value".to_owned())),
            },
            _ => None,
        });
        let names: Vec<_> = loads.collect();
        function.named_expressions.extend(names);
    };
    check_edited(
        "var sum = 0.0;
        for (var i = 0u; i < 4u; i++) { sum += src[i]; }
        dst[id.x] = sum;",
        name_loads,
        &[
            "float sum = 0.0f;",
            "for (uint i = 0u; i < 4u; i++) {",
            "    sum += src[i];",
            "}",
            "dst[id.x] = sum;",
        ],
    );
}

#[test]
fn division_is_checked_unless_the_divisor_is_a_harmless_constant() {
    let output = translate(
        &kernel("ints[0] = ints[1] / 4; ints[2] = ints[3] % ints[4]; dst[0] = src[0] / src[1];"),
        &Options::default(),
    )
    .unwrap();
    assert!(output.source.contains("ints[0] = ints[1] / 4;"), "{}", output.source);
    assert!(output.source.contains("ints[2] = wgsl_mod_int(ints[3], ints[4]);"), "{}", output.source);
    assert!(output.source.contains("dst[0] = src[0] / src[1];"), "{}", output.source);
    assert!(
        output.source.starts_with(
            "static int wgsl_mod_int(int a, int b) {\n    return a % (b == 0 || (a == INT_MIN && b == -1) ? (int)(1) : b);\n}\n"
        ),
        "{}",
        output.source
    );
}

#[test]
fn literals_read_back_as_they_were() {
    check(
        "dst[0] = 0.1; dst[1] = 3.4028234e38; dst[2] = -1e-40; dst[3] = 16777216.0;
        ints[0] = -2147483648; ints[1] = i32(4294967295u);",
        &[
            "dst[0] = 0.1f;",
            "dst[1] = 3.4028235e38f;",
            "dst[2] = -1e-40f;",
            "dst[3] = 16777216.0f;",
            "ints[0] = INT_MIN;",
            "ints[1] = -1;",
        ],
    );
}

#[test]
fn same_module_same_text() {
    let wgsl = kernel("for (var i = 0; i < 4; i++) { ints[i] = ints[i] / ints[i + 4] + abs(i); }");
    let first = translate(&wgsl, &Options::default()).unwrap();
    assert_eq!(translate(&wgsl, &Options::default()).unwrap(), first);
}

#[test]
fn half_without_the_extension_names_the_lowering() {
    let wgsl = "
        enable f16;
        @group(0) @binding(0) var<storage, read_write> dst: array<f16, 4>;
        @compute @workgroup_size(1)
        fn run() { dst[0] = dst[1] * 2.0h; }";
    check_refused(wgsl, &Error::NeedsFp16);
    assert!(Error::NeedsFp16.to_string().contains("`f16-storage-only`"));
    let output = translate(wgsl, &Options { fp16: true, ..Options::default() }).unwrap();
    assert_eq!(output.extensions, ["cl_khr_fp16"]);
}

#[test]
fn what_has_no_opencl_form_is_refused_by_name() {
    let with = |declarations: &str, body: &str| {
        format!("{declarations}\n@compute @workgroup_size(1) fn run() {{ {body} }}")
    };
    check_refused(
        &with(
            "@group(0) @binding(0) var<storage, read_write> dst: array<u32>;",
            "dst[0] = arrayLength(&dst);",
        ),
        &Error::RuntimeArray { name: "dst".to_owned() },
    );
    check_refused(
        &with(
            "@group(0) @binding(0) var image: texture_storage_2d<r32float, read_write>;",
            "textureStore(image, vec2(0), textureLoad(image, vec2(1)));",
        ),
        &Error::ReadWriteImage { name: "image".to_owned() },
    );
    check_refused(&with("override size: u32;", "let x = size;"), &Error::Override);
    check_refused(
        "@compute @workgroup_size(1) fn a() {} @compute @workgroup_size(1) fn b() {}",
        &Error::EntryPoints { found: 2 },
    );
    check_refused("@fragment fn shade() {}", &Error::EntryPoints { found: 0 });
}

#[test]
fn subgroups_without_the_extension_are_refused() {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> dst: array<f32, 64>;
        @compute @workgroup_size(64)
        fn run(@builtin(subgroup_invocation_id) lane: u32) { dst[lane] = subgroupAdd(dst[lane]); }";
    check_refused(wgsl, &Error::NeedsSubgroups { operation: "subgroup_invocation_id" });
    let output = translate(wgsl, &Options { subgroups: true, ..Options::default() }).unwrap();
    assert_eq!(output.extensions, ["cl_khr_subgroups"]);
}

/// A struct of 12 bytes does not divide 256, so that the offset is added to the address.
#[test]
fn offsets_are_bytes_whatever_the_type() {
    let wgsl = "
        struct Three { a: f32, b: f32, c: f32 }
        @group(0) @binding(0) var<storage, read_write> dst: Three;
        @compute @workgroup_size(1) fn run() { dst.b = 1.0; }";
    let output = translate(wgsl, &Options::default()).unwrap();
    let line = "dst = (__global Three *)((__global uchar *)dst + dst_offset);";
    assert!(output.source.contains(line), "{}", output.source);
}

#[test]
fn images_are_arguments_of_their_own_kinds() {
    let wgsl = "
        @group(0) @binding(0) var plane: texture_2d<f32>;
        @group(0) @binding(1) var line: texture_1d<f32>;
        @group(0) @binding(2) var written: texture_storage_1d<rgba16float, write>;
        @compute @workgroup_size(1)
        fn run(@builtin(global_invocation_id) id: vec3<u32>) {
            textureStore(written, id.x, textureLoad(plane, id.xy, 0) + textureLoad(line, id.x, 0));
        }";
    let output = translate(wgsl, &Options::default()).unwrap();
    let kinds: Vec<_> = output.arguments.iter().map(|argument| argument.kind).collect();
    assert_eq!(
        kinds,
        [
            ArgumentKind::Image2d(ImageAccess::Read),
            ArgumentKind::ImageBuffer(ImageAccess::Read),
            ArgumentKind::ImageBuffer(ImageAccess::Write),
        ]
    );
    for part in [
        "write_imagef(written, (int)(written_first + id.x), ",
        "read_imagef(plane, texel_sampler, as_int2(id.xy))",
        "read_imagef(line, (int)(line_first + id.x))",
    ] {
        assert!(output.source.contains(part), "{}", output.source);
    }
}
