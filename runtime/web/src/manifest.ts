/**
 * What a bundle says about itself. Types, names and their order are those of `runtime/bundle/src/manifest.rs`, which has the
 * meaning of every field: the format is their order. Sizes are numbers; what may be any 64-bit number is a bigint.
 */

import { type Decoded, flag, list, names, option, size, struct, text, three, u32, variants, wide } from "./decode.js";

const target = names("Vulkan", "Metal", "WebGpu", "OpenCl");
const deviceElement = names("F32", "F16", "I32", "U32");
const hostElement = names("F32", "F16", "I64", "I32", "I8", "U8", "Bool");
const textureKind = names("D2", "Array", "D3");

const textureObject = struct({ kind: textureKind, element: deviceElement, extent_px: three(u32) });

const bindingKind = variants({
  StorageBuffer: struct({ min_bytes: wide }),
  UniformBuffer: struct({ min_bytes: wide }),
  Texture: struct({ kind: textureKind, element: deviceElement }),
  ImageBuffer: struct({ element: deviceElement }),
});

const bindingSlot = struct({ group: u32, binding: u32, kind: bindingKind, writable: flag });

const shader = struct({
  name: text,
  target,
  entry_point: text,
  offset: size,
  size,
  workgroup_size: three(u32),
  shared_bytes: u32,
  subgroup_size: option(u32),
  bindings: list(bindingSlot),
});

const requirement = variants({
  F16: null,
  Subgroups: null,
  SubgroupSize: u32,
  CooperativeMatrix: struct({ m: u32, n: u32, k: u32, ab: deviceElement, c: deviceElement }),
  SharedBytes: u32,
  WorkgroupInvocations: u32,
  StorageBindingBytes: wide,
  BufferBytes: wide,
  Texture2dSize: u32,
  Texture3dSize: u32,
  TextureLayers: u32,
  ImageBufferTexels: u32,
  StorageBuffers: u32,
  Vendor: list(u32),
});

const regionKind = variants({
  Arena: null,
  State: struct({ name: text, element: deviceElement, shape: list(wide) }),
  Io: null,
  Params: list(u32),
  Derived: null,
  Texture: textureObject,
});

const region = struct({ kind: regionKind, size, alignment: size });

const regionId = variants({ Variant: u32, Weight: u32 });

const view = variants({
  Bytes: struct({ offset: size, size }),
  Texels: struct({ element: deviceElement, offset: size, size }),
  Texture: struct({ offset: size, object: textureObject }),
});

const resource = struct({ region: regionId, view });

const dispatch = struct({
  name: text,
  shader: u32,
  bindings: list(resource),
  workgroups: three(u32),
  barrier: flag,
  origins: list(text),
  bytes_read: wide,
  bytes_written: wide,
  flops: wide,
});

const ioTensor = struct({ name: text, element: hostElement, shape: list(wide) });
const ioBinding = struct({ region: u32, offset: size, element: deviceElement });

const variant = struct({
  name: text,
  profile: text,
  requires: list(requirement),
  regions: list(region),
  inputs: list(ioBinding),
  outputs: list(ioBinding),
  init: list(dispatch),
  dispatches: list(dispatch),
  memory: struct({
    naive_bytes: wide,
    planned_bytes: wide,
    lower_bound_bytes: wide,
    strategy: names("GreedyBySize", "GreedyByBreadth", "Search", "GreedyByTime"),
  }),
});

const entry = struct({
  name: text,
  target,
  inputs: list(ioTensor),
  outputs: list(ioTensor),
  variants: list(variant),
});

const weightBlob = struct({ name: text, offset: size, size });

/** The decoder of all of it. */
export const manifest = struct({
  provenance: struct({
    compiler: text,
    flags: list(text),
    model: text,
    model_hash: text,
    profiles: list(text),
  }),
  weights: list(weightBlob),
  shaders: list(shader),
  entries: list(entry),
});

export type Target = Decoded<typeof target>;
export type DeviceElement = Decoded<typeof deviceElement>;
export type HostElement = Decoded<typeof hostElement>;
export type TextureKind = Decoded<typeof textureKind>;
export type TextureObject = Decoded<typeof textureObject>;
export type BindingKind = Decoded<typeof bindingKind>;
export type BindingSlot = Decoded<typeof bindingSlot>;
export type Shader = Decoded<typeof shader>;
export type Requirement = Decoded<typeof requirement>;
export type RegionKind = Decoded<typeof regionKind>;
export type Region = Decoded<typeof region>;
export type View = Decoded<typeof view>;
export type Resource = Decoded<typeof resource>;
export type Dispatch = Decoded<typeof dispatch>;
export type IoTensor = Decoded<typeof ioTensor>;
export type IoBinding = Decoded<typeof ioBinding>;
export type Variant = Decoded<typeof variant>;
export type Entry = Decoded<typeof entry>;
export type WeightBlob = Decoded<typeof weightBlob>;
export type Manifest = Decoded<typeof manifest>;

/** The name of a variant of an enum. */
export const nameOf = (value: string | object): string => (typeof value === "string" ? value : Object.keys(value)[0]);

export const elementBytes = (element: DeviceElement): number => (element === "F16" ? 2 : 4);

const HOST_BYTES: Record<HostElement, number> = { I64: 8, F32: 4, I32: 4, F16: 2, I8: 1, U8: 1, Bool: 1 };

export const hostBytes = (element: HostElement): number => HOST_BYTES[element];

const HOLDS: Record<HostElement, readonly DeviceElement[]> = {
  F32: ["F32", "F16"],
  F16: ["F32", "F16"],
  I64: ["I32"],
  I32: ["I32"],
  I8: ["I32"],
  U8: ["I32", "U32"],
  Bool: ["U32"],
};

/** Whether a device can hold values of `host` as `device`. */
export const fits = (host: HostElement, device: DeviceElement): boolean => HOLDS[host].includes(device);

/** Bytes of all texels of four channels; its sides are at most 2^32, so that this may be rounded and never wraps. */
export const textureBytes = ({ element, extent_px: [width, height, depth] }: TextureObject): number =>
  width * height * depth * 4 * elementBytes(element);

/** Start and length of a view in its region. */
export const rangeOf = (view: View): { offset: number; size: number } => {
  if ("Bytes" in view) {
    return view.Bytes;
  }
  return "Texels" in view ? view.Texels : { offset: view.Texture.offset, size: textureBytes(view.Texture.object) };
};

/** The region of the variant and the bytes of it that a resource is; none for weights, which nothing writes. */
export const placeOf = (resource: Resource): { region: number; start: number; end: number } | null => {
  if (!("Variant" in resource.region)) {
    return null;
  }
  const { offset, size } = rangeOf(resource.view);
  return { region: resource.region.Variant, start: offset, end: offset + size };
};

/** The regions of state, with where they are in the list. */
export const statesOf = (regions: readonly Region[]) =>
  regions.flatMap(({ kind, size }, region) =>
    typeof kind === "object" && "State" in kind ? [{ ...kind.State, region, size }] : [],
  );

/** Elements of a shape of the bundle, whose reader has bounded them. */
export const elementsOf = ({ shape }: { shape: readonly bigint[] }): number =>
  Number(shape.reduce((product, side) => product * side, 1n));
