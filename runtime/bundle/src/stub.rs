//! For tests: code that declares exactly what the manifest says of a shader and does nothing, and files that nothing has
//! checked.

use std::ops::Range;

use crate::contents::encode_manifest;
use crate::error::{BundleError, Section};
use crate::format::{Hash, Header};
use crate::manifest::{
    BindingKind, BindingSlot, DeviceElement, Manifest, Shader, Target, TextureKind, WeightBlob,
};
use crate::writer::Front;

/// The code of `shader` in its target's language. WebGPU and Metal have no texel buffers: those get a 2D texture.
pub fn code(shader: &Shader) -> Vec<u8> {
    let mut slots: Vec<&BindingSlot> = shader.bindings.iter().collect();
    slots.sort_by_key(|slot| (slot.group, slot.binding));
    let ([x, y, z], name) = (shader.workgroup_size, &shader.entry_point);
    let text = match shader.target {
        Target::Vulkan => return spirv(shader).iter().flat_map(|word| word.to_le_bytes()).collect(),
        Target::WebGpu => {
            let variables: String = slots.iter().map(|slot| wgsl(slot)).collect();
            format!("{variables}@compute @workgroup_size({x}, {y}, {z})\nfn {name}() {{}}\n")
        }
        Target::Metal => {
            let (mut buffers, mut textures) = (0.., 0..);
            let mut number = |image| if image { textures.next() } else { buffers.next() };
            let arguments: Vec<String> =
                slots.iter().map(|slot| metal(slot, number(is_image(slot)).unwrap_or(0))).collect();
            let most =
                format!("[[max_total_threads_per_threadgroup({})]]", x.saturating_mul(y).saturating_mul(z));
            format!("{most} kernel void {name}({}) {{}}\n", arguments.join(", "))
        }
        Target::OpenCl => {
            let mut arguments: Vec<String> =
                slots.iter().enumerate().map(|(n, slot)| opencl(slot, n)).collect();
            let ranges =
                slots.iter().filter(|slot| !matches!(slot.kind, BindingKind::Texture { .. })).count();
            arguments.extend((0..ranges).map(|n| format!("const ulong offset_{n}")));
            let size = format!("reqd_work_group_size({x}, {y}, {z})");
            format!("__kernel __attribute__(({size}))\nvoid {name}({}) {{}}\n", arguments.join(", "))
        }
    };
    text.into_bytes()
}

/// A library such as Apple's compiler makes, of one kernel that does nothing.
pub fn metal_library(kernel: &str) -> Vec<u8> {
    let tag = |name: &[u8; 4], data: &[u8]| [&name[..], &(data.len() as u16).to_le_bytes(), data].concat();
    let name = [kernel.as_bytes(), &[0]].concat();
    let tags = [tag(b"NAME", &name), tag(b"TYPE", &[2]), tag(b"HASH", &[7; 32]), b"ENDT".to_vec()].concat();
    let length = (4 + tags.len()) as u32;
    let list = [&1_u32.to_le_bytes()[..], &length.to_le_bytes(), &tags].concat();
    let (header, list_bytes) = (88, list.len() as u64);
    let end = header + list_bytes;
    let mut library = b"MTLB\x01\x80\x02\0\x07\0\0\x81\x0e\0\0\0".to_vec();
    for word in [end, header, list_bytes, end, 0, end, 0, end, 0] {
        library.extend(word.to_le_bytes());
    }
    library.extend(list);
    library
}

/// A file of these sections with right hashes, whatever they hold.
pub fn file(manifest: &Manifest, shaders: &[u8], weights: &[u8]) -> Result<Vec<u8>, BundleError> {
    file_with_hashes(manifest, shaders, manifest.weights.len() as u64, weights)
}

/// The same with so many hashes of weights, which are zero where there is no such weight.
pub fn file_with_hashes(
    manifest: &Manifest,
    shaders: &[u8],
    count: u64,
    weights: &[u8],
) -> Result<Vec<u8>, BundleError> {
    let mut front = Front::new(&encode_manifest(manifest)?, shaders, count, weights.len() as u64)?;
    let mut hashes = weight_hashes(manifest, weights);
    hashes.resize(count as usize, Hash::default());
    front.seal(&hashes);
    Ok([&front.bytes, weights].concat())
}

/// The hash of each weight. What is nowhere has none that is right.
fn weight_hashes(manifest: &Manifest, weights: &[u8]) -> Vec<Hash> {
    let bytes = |blob: &WeightBlob| {
        let start = usize::try_from(blob.offset).ok()?;
        weights.get(start..start.checked_add(usize::try_from(blob.size).ok()?)?)
    };
    let hash = |blob| bytes(blob).map(|bytes| *blake3::hash(bytes).as_bytes()).unwrap_or_default();
    manifest.weights.iter().map(hash).collect()
}

/// Where a section is in a sound file.
pub fn range(file: &[u8], section: Section) -> Result<Range<usize>, BundleError> {
    let entry = *Header::decode(file, Some(file.len() as u64))?.section(section);
    Ok(entry.offset as usize..entry.end() as usize)
}

/// Makes the sections' hashes of a file right whose sections have changed and whose header was sound.
pub fn reseal(file: &mut [u8]) -> Result<(), BundleError> {
    let mut header = Header::decode(file, Some(file.len() as u64))?;
    for entry in [&mut header.manifest, &mut header.shaders, &mut header.hashes] {
        let bytes = &file[entry.offset as usize..][..entry.size as usize];
        entry.hash = Some(*blake3::hash(bytes).as_bytes());
    }
    let start = header.encode();
    file[..start.len()].copy_from_slice(&start);
    Ok(())
}

fn is_image(slot: &BindingSlot) -> bool {
    matches!(slot.kind, BindingKind::Texture { .. } | BindingKind::ImageBuffer { .. })
}

/// Dimensions and channels of an image.
fn image(slot: &BindingSlot) -> Option<(TextureKind, DeviceElement)> {
    match slot.kind {
        BindingKind::Texture { kind, element } => Some((kind, element)),
        BindingKind::ImageBuffer { element } => Some((TextureKind::D2, element)),
        BindingKind::StorageBuffer { .. } | BindingKind::UniformBuffer { .. } => None,
    }
}

fn wgsl(slot: &BindingSlot) -> String {
    let (group, binding) = (slot.group, slot.binding);
    let declared = match (slot.kind, image(slot)) {
        (BindingKind::UniformBuffer { .. }, _) => format!("<uniform> b{group}_{binding}: vec4<u32>"),
        (_, Some((kind, element))) => {
            let shape = match kind {
                TextureKind::D2 => "2d",
                TextureKind::Array => "2d_array",
                TextureKind::D3 => "3d",
            };
            let (read, format) = match element {
                DeviceElement::F32 => ("f32", "rgba32float"),
                DeviceElement::F16 => ("f32", "rgba16float"),
                DeviceElement::I32 => ("i32", "rgba32sint"),
                DeviceElement::U32 => ("u32", "rgba32uint"),
            };
            let ty = if slot.writable {
                format!("texture_storage_{shape}<{format},write>")
            } else {
                format!("texture_{shape}<{read}>")
            };
            format!(" b{group}_{binding}: {ty}")
        }
        (BindingKind::StorageBuffer { min_bytes }, _) => {
            // Whatever is bound in group 0 may share a buffer with what is written.
            let access = if slot.writable || slot.group == 0 { ", read_write" } else { "" };
            format!("<storage{access}> b{group}_{binding}: array<u32, {}>", min_bytes / 4)
        }
        (BindingKind::Texture { .. } | BindingKind::ImageBuffer { .. }, None) => String::new(),
    };
    format!("@group({group}) @binding({binding})\nvar{declared};\n")
}

fn metal(slot: &BindingSlot, number: u32) -> String {
    match (slot.kind, image(slot)) {
        (BindingKind::UniformBuffer { .. }, _) => format!("constant uint4& b{number} [[buffer({number})]]"),
        (_, Some((kind, element))) => {
            let shape = match kind {
                TextureKind::D2 => "2d",
                TextureKind::Array => "2d_array",
                TextureKind::D3 => "3d",
            };
            let of = match element {
                DeviceElement::F32 | DeviceElement::F16 => "float",
                DeviceElement::I32 => "int",
                DeviceElement::U32 => "uint",
            };
            let access = if slot.writable { "write" } else { "sample" };
            format!("metal::texture{shape}<{of}, metal::access::{access}> t{number} [[texture({number})]]")
        }
        _ => {
            let access = if slot.writable { "" } else { " const" };
            format!("device uint{access}& b{number} [[buffer({number})]]")
        }
    }
}

fn opencl(slot: &BindingSlot, number: usize) -> String {
    let access = if slot.writable { "write_only" } else { "read_only" };
    match slot.kind {
        BindingKind::UniformBuffer { .. } => format!("__constant uint *b{number}"),
        BindingKind::StorageBuffer { .. } => {
            let access = if slot.writable { "" } else { "const " };
            format!("__global {access}uint *restrict b{number}")
        }
        BindingKind::Texture { kind: TextureKind::D2, .. } => format!("{access} image2d_t b{number}"),
        BindingKind::Texture { kind: TextureKind::Array, .. } => {
            format!("{access} image2d_array_t b{number}")
        }
        BindingKind::Texture { kind: TextureKind::D3, .. } => format!("{access} image3d_t b{number}"),
        BindingKind::ImageBuffer { .. } => format!("{access} image1d_buffer_t b{number}"),
    }
}

/// A module in the making.
#[derive(Default)]
struct Assembler {
    annotations: Vec<u32>,
    /// Types, constants and variables.
    declarations: Vec<u32>,
    last_id: u32,
}

fn push(words: &mut Vec<u32>, opcode: u32, operands: &[u32]) {
    words.push((operands.len() as u32 + 1) << 16 | opcode);
    words.extend_from_slice(operands);
}

impl Assembler {
    fn id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// A declaration whose only id is its result, which comes first.
    fn declare(&mut self, opcode: u32, operands: &[u32]) -> u32 {
        let id = self.id();
        push(&mut self.declarations, opcode, &[&[id], operands].concat());
        id
    }

    fn variable(&mut self, ty: u32, class: u32) -> u32 {
        let pointer = self.declare(32, &[class, ty]);
        let id = self.id();
        push(&mut self.declarations, 59, &[pointer, id, class]);
        id
    }

    fn decorate(&mut self, operands: &[u32]) {
        push(&mut self.annotations, 71, operands);
    }

    /// A block of as many words as fit `bytes`.
    fn buffer(&mut self, uint: u32, bytes: u64, uniform: bool) -> u32 {
        let (element, stride) = if uniform { (self.vector(uint), 16) } else { (uint, 4) };
        let count = self.id();
        let words = u32::try_from(bytes / u64::from(stride)).unwrap_or(u32::MAX).max(1);
        push(&mut self.declarations, 43, &[uint, count, words]);
        let array = self.declare(28, &[element, count]);
        self.decorate(&[array, 6, stride]);
        let block = self.declare(30, &[array]);
        self.decorate(&[block, 2]);
        push(&mut self.annotations, 72, &[block, 0, 35, 0]);
        block
    }

    fn vector(&mut self, uint: u32) -> u32 {
        self.declare(23, &[uint, 4])
    }
}

fn spirv(shader: &Shader) -> Vec<u32> {
    let mut module = Assembler::default();
    let (void, uint, int) =
        (module.declare(19, &[]), module.declare(21, &[32, 0]), module.declare(21, &[32, 1]));
    let float = module.declare(22, &[32]);
    let mut images = Vec::new();
    let mut vector = None;
    for slot in &shader.bindings {
        let (ty, class) = match (slot.kind, image(slot)) {
            (BindingKind::StorageBuffer { min_bytes }, _) => (module.buffer(uint, min_bytes, false), 12),
            (BindingKind::UniformBuffer { .. }, _) => {
                let block = *vector.get_or_insert_with(|| module.buffer(uint, 16, true));
                (block, 2)
            }
            (_, image) => {
                let (kind, element) = image.unwrap_or((TextureKind::D2, DeviceElement::F32));
                let texels = matches!(slot.kind, BindingKind::ImageBuffer { .. });
                let key = image_words(texels, kind, element, slot.writable, [float, int, uint]);
                let known = images.iter().find(|(known, _)| *known == key).map(|(_, id)| *id);
                let id = known.unwrap_or_else(|| module.declare(25, &key));
                images.push((key, id));
                (id, 0)
            }
        };
        let variable = module.variable(ty, class);
        module.decorate(&[variable, 34, slot.group]);
        module.decorate(&[variable, 33, slot.binding]);
        match (slot.writable, class) {
            (false, 12) => module.decorate(&[variable, 24]),
            (true, 0) => module.decorate(&[variable, 25]),
            _ => {}
        }
    }
    let signature = module.declare(33, &[void]);
    let (main, label) = (module.id(), module.id());
    let mut words = vec![0x0723_0203, 0x0001_0300, 0, module.last_id + 1, 0];
    for capability in [1, 46, 47] {
        push(&mut words, 17, &[capability]);
    }
    push(&mut words, 14, &[0, 1]);
    push(&mut words, 15, &[&[5, main], &string(&shader.entry_point)[..]].concat());
    let [x, y, z] = shader.workgroup_size;
    push(&mut words, 16, &[main, 17, x, y, z]);
    words.extend(module.annotations);
    words.extend(module.declarations);
    push(&mut words, 54, &[void, main, 0, signature]);
    for (opcode, operands) in [(248, &[label][..]), (253, &[]), (56, &[])] {
        push(&mut words, opcode, operands);
    }
    words
}

/// Operands of an image type after its id.
fn image_words(
    texels: bool,
    kind: TextureKind,
    element: DeviceElement,
    writable: bool,
    [float, int, uint]: [u32; 3],
) -> [u32; 7] {
    let (of, format) = match element {
        DeviceElement::F32 => (float, 1),
        DeviceElement::F16 => (float, 2),
        DeviceElement::I32 => (int, 21),
        DeviceElement::U32 => (uint, 30),
    };
    let (dim, arrayed) = match (texels, kind) {
        (true, _) => (5, 0),
        (false, TextureKind::D2) => (1, 0),
        (false, TextureKind::Array) => (1, 1),
        (false, TextureKind::D3) => (2, 0),
    };
    if writable { [of, dim, 0, arrayed, 0, 2, format] } else { [of, dim, 0, arrayed, 0, 1, 0] }
}

fn string(text: &str) -> Vec<u32> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize((bytes.len() / 4 + 1) * 4, 0);
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}
