/** Picks an entry, and the first of its variants whose predicates hold and whose needs the device meets. */

import type { Bundle } from "./bundle.js";
import { DriftError } from "./error.js";
import type { DeviceInfo } from "./info.js";
import { type BindingKind, type Dispatch, type Entry, type Requirement, type TextureObject, nameOf } from "./manifest.js";
import { Program, usedWeights } from "./program.js";

export interface ChooseOptions {
  /** Entry to load; `main`, or else the first, where none is named. */
  readonly entry?: string | undefined;
  /** Variant to load, if its predicates hold; otherwise the first whose predicates hold. */
  readonly variant?: string | undefined;
  /** Whether variants that name vendors may run on all devices. */
  readonly anyVendor?: boolean | undefined;
}

/** A variant that was passed over, and why. */
export interface Declined {
  readonly variant: string;
  readonly reasons: readonly string[];
}

export const choose = (
  bundle: Bundle,
  info: DeviceInfo,
  options: ChooseOptions,
): { program: Program; declined: Declined[] } => {
  const entry = findEntry(bundle, options.entry);
  const wanted = entry.variants.filter(({ name }) => options.variant === undefined || name === options.variant);
  if (wanted.length === 0) {
    const held = entry.variants.map(({ name }) => name).join(", ");
    throw new DriftError("no-entry", `entry \`${entry.name}\` has no variant \`${options.variant}\`, only: ${held}`);
  }
  const declined: Declined[] = [];
  for (const variant of wanted) {
    const program = new Program(bundle, entry, variant);
    const reasons = reasonsAgainst(program, info, options.anyVendor ?? false);
    if (reasons.length === 0) {
      return { program, declined };
    }
    declined.push({ variant: variant.name, reasons });
  }
  const said = declined.map(({ variant, reasons }) => `\`${variant}\` declined (${reasons.join("; ")})`).join("; ");
  throw new DriftError("unsupported", `no variant of entry \`${entry.name}\` runs on \`${info.name}\`: ${said}`);
};

const findEntry = (bundle: Bundle, wanted: string | undefined): Entry => {
  const { entries } = bundle.manifest;
  const ours = entries.filter(({ target }) => target === "WebGpu");
  if (ours.length === 0) {
    const held = entries.map(({ name, target }) => `\`${name}\` for ${target}`).join(", ");
    throw new DriftError("no-entry", `the bundle holds nothing for WebGPU, only: ${held}; compile it with \`--target webgpu\``);
  }
  const found = ours.find(({ name }) => name === (wanted ?? "main")) ?? (wanted === undefined ? ours[0] : undefined);
  if (found === undefined) {
    const held = ours.map(({ name }) => name).join(", ");
    throw new DriftError("no-entry", `the bundle has no entry \`${wanted}\` for WebGPU, only: ${held}`);
  }
  return found;
};

const reasonsAgainst = (program: Program, info: DeviceInfo, anyVendor: boolean): string[] => {
  const isVendor = (requirement: Requirement): boolean => nameOf(requirement) === "Vendor";
  const held = program.variant.requires.filter((requirement) => !(anyVendor && isVendor(requirement)));
  const unmet = held.map((requirement) => lacking(requirement, info)).filter((reason) => reason !== null);
  const exceeded = firstExceeded(program, info);
  return exceeded === null ? unmet : [...unmet, exceeded];
};

/** What is missing where the device does not meet `requirement`. */
const lacking = (requirement: Requirement, info: DeviceInfo): string | null => {
  const { limits } = info;
  const atLeast = (needs: number | bigint, what: string, has: number): string | null =>
    has < needs ? `needs ${needs} ${what}, the device has ${has}` : null;
  if (requirement === "F16") {
    return info.f16 ? null : "needs 16-bit floats, the device has no 16-bit floats (`shader-f16`)";
  }
  if (requirement === "Subgroups") {
    return info.subgroups ? null : "needs subgroup operations, the device has no such operations (`subgroups`)";
  }
  if ("SubgroupSize" in requirement) {
    const size = requirement.SubgroupSize;
    return info.subgroupSize === size ? null : `needs subgroups of ${size}, the device has ${info.subgroupSize}`;
  }
  if ("CooperativeMatrix" in requirement) {
    return "needs cooperative matrices, the device has none";
  }
  if ("SharedBytes" in requirement) {
    return atLeast(requirement.SharedBytes, "bytes of workgroup memory", limits.maxComputeWorkgroupStorageSize);
  }
  if ("WorkgroupInvocations" in requirement) {
    const has = limits.maxComputeInvocationsPerWorkgroup;
    return atLeast(requirement.WorkgroupInvocations, "invocations in a workgroup", has);
  }
  if ("StorageBindingBytes" in requirement) {
    const has = limits.maxStorageBufferBindingSize;
    return atLeast(requirement.StorageBindingBytes, "bytes in a storage buffer binding", has);
  }
  if ("BufferBytes" in requirement) {
    return atLeast(requirement.BufferBytes, "bytes in a buffer", limits.maxBufferSize);
  }
  if ("Texture2dSize" in requirement) {
    return atLeast(requirement.Texture2dSize, "pixels a side of a 2D texture", limits.maxTextureDimension2D);
  }
  if ("Texture3dSize" in requirement) {
    return atLeast(requirement.Texture3dSize, "pixels a side of a 3D texture", limits.maxTextureDimension3D);
  }
  if ("TextureLayers" in requirement) {
    return atLeast(requirement.TextureLayers, "texture layers", limits.maxTextureArrayLayers);
  }
  if ("ImageBufferTexels" in requirement) {
    return atLeast(requirement.ImageBufferTexels, "texels in an image buffer", 0);
  }
  if ("StorageBuffers" in requirement) {
    return atLeast(requirement.StorageBuffers, "storage buffers in a dispatch", limits.maxStorageBuffersPerShaderStage);
  }
  const hex = (id: number): string => `0x${id.toString(16).padStart(4, "0")}`;
  const ids = requirement.Vendor.map(hex).join(" or ");
  const waived = "(`anyVendor` waives that)";
  return requirement.Vendor.includes(info.vendor)
    ? null
    : `needs a device of vendor ${ids}, the device has ${hex(info.vendor)} ${waived}`;
};

/** Says so where `needed` is more than there is. */
const over = (place: string, what: string, needed: number, available: number): string | null =>
  needed > available ? `${place} needs ${needed} ${what}, the device allows ${available}` : null;

/** The first limit that the program exceeds. */
const firstExceeded = (program: Program, info: DeviceInfo): string | null => {
  const { limits } = info;
  const { weights } = program.bundle.manifest;
  const regions = program.variant.regions.map(({ kind, size }, index) => {
    const place = `region ${index} (${nameOf(kind)})`;
    return typeof kind === "object" && "Texture" in kind
      ? textureSize(place, kind.Texture, limits)
      : over(place, "bytes in a buffer", size, limits.maxBufferSize);
  });
  const used = usedWeights(program.dispatches);
  const blobs = [...used.blobs].map((index) =>
    over(`weight \`${weights[index].name}\``, "bytes in a buffer", weights[index].size, limits.maxBufferSize),
  );
  const textures = [...used.textures.values()].map(({ weight, object }) =>
    textureSize(`weight \`${weights[weight].name}\``, object, limits),
  );
  const found = [...regions, ...blobs, ...textures].find((reason) => reason !== null);
  if (found !== undefined) {
    return found;
  }
  for (const dispatch of program.dispatches) {
    const reason = ofDispatch(program, dispatch, info);
    if (reason !== null) {
      return reason;
    }
  }
  return null;
};

const textureSize = (place: string, { kind, extent_px }: TextureObject, limits: GPUSupportedLimits): string | null => {
  const [width, height, depth] = extent_px;
  const side = Math.max(width, height);
  if (kind === "D3") {
    return over(place, "pixels a side", Math.max(side, depth), limits.maxTextureDimension3D);
  }
  const sides = over(place, "pixels a side", side, limits.maxTextureDimension2D);
  return sides ?? over(place, "layers", depth, limits.maxTextureArrayLayers);
};

const ofDispatch = (program: Program, dispatch: Dispatch, { limits, subgroupSize }: DeviceInfo): string | null => {
  const shader = program.shader(dispatch);
  const place = `dispatch \`${dispatch.name}\``;
  const [x, y, z] = shader.workgroup_size;
  const slots = (kind: string, isWritten?: boolean): number =>
    shader.bindings.filter((slot) => nameOf(slot.kind) === kind && slot.writable === (isWritten ?? slot.writable)).length;
  const checks: [string, number, number][] = [
    ["workgroups along an axis", Math.max(...dispatch.workgroups), limits.maxComputeWorkgroupsPerDimension],
    ["invocations along the first axis", x, limits.maxComputeWorkgroupSizeX],
    ["invocations along the second axis", y, limits.maxComputeWorkgroupSizeY],
    ["invocations along the third axis", z, limits.maxComputeWorkgroupSizeZ],
    ["invocations in a workgroup", x * y * z, limits.maxComputeInvocationsPerWorkgroup],
    ["bytes of workgroup memory", shader.shared_bytes, limits.maxComputeWorkgroupStorageSize],
    ["storage buffers", slots("StorageBuffer"), limits.maxStorageBuffersPerShaderStage],
    ["uniform buffers", slots("UniformBuffer"), limits.maxUniformBuffersPerShaderStage],
    ["sampled textures", slots("Texture", false), limits.maxSampledTexturesPerShaderStage],
    ["storage textures", slots("Texture", true), limits.maxStorageTexturesPerShaderStage],
    ["resources", shader.bindings.length, limits.maxBindingsPerBindGroup],
    ["image buffers", slots("ImageBuffer"), 0],
    ...dispatch.bindings.map((resource, slot) => rangeCheck(shader.bindings[slot].kind, resource.view, limits)),
  ];
  const lanes = shader.subgroup_size;
  if (lanes !== null && lanes !== subgroupSize) {
    return `${place} needs ${lanes} lanes in a subgroup, exactly, the device allows ${subgroupSize}`;
  }
  const exceeded = checks.find(([, needed, available]) => needed > available);
  return exceeded === undefined ? null : over(place, ...exceeded);
};

const rangeCheck = (
  kind: BindingKind,
  view: Dispatch["bindings"][number]["view"],
  limits: GPUSupportedLimits,
): [string, number, number] => {
  const size = "Bytes" in view ? view.Bytes.size : 0;
  return "UniformBuffer" in kind
    ? ["bytes in a uniform buffer", size, limits.maxUniformBufferBindingSize]
    : ["bytes in a storage buffer", size, limits.maxStorageBufferBindingSize];
};
