/**
 * Every rule that a manifest must keep, as in `runtime/bundle/src/validate`: afterwards all indices exist, all ranges are in what
 * they index, and no dispatch writes what it should wait for. Code is read where it is WGSL; shaders for other targets are
 * never used here.
 */

import { invalid } from "../error.js";
import * as limits from "../limits.js";
import type { Entry, IoTensor, Manifest, Shader, WeightBlob } from "../manifest.js";
import { roundUp } from "../header.js";
import { type Place, aligned, check, count, elements, length, named, nonzero, range, shown, unique } from "./rules.js";
import { Sizes } from "./size.js";
import { checkVariant } from "./variant.js";
import { type Declared, compare, declarations } from "./wgsl.js";

/** Checks `manifest` against the shader section and the size of the weights section, which it points into. */
export const validate = (manifest: Manifest, shaders: Uint8Array, weightBytes: number): void => {
  const { compiler, flags, model, model_hash, profiles } = manifest.provenance;
  [compiler, model, model_hash, ...flags, ...profiles].forEach((text) => length("provenance", "a text", text));
  count("provenance", "flags", flags.length, limits.FLAGS);
  count("provenance", "profiles", profiles.length, limits.FLAGS);
  checkWeights(manifest.weights, weightBytes);
  const declared = checkShaders(manifest.shaders, shaders);
  checkEntries(manifest, declared);
};

const checkWeights = (blobs: readonly WeightBlob[], sectionBytes: number): void => {
  count("weights", "weights", blobs.length, limits.WEIGHTS);
  unique("weights", "weights", blobs.map(({ name }) => name));
  let end = 0;
  blobs.forEach(({ name, offset, size }, index) => {
    const place = `weight ${index} \`${shown(name)}\``;
    named(place, "name", name);
    const expected = roundUp(end, limits.ALIGNMENT_BYTES);
    check(offset === expected, place, `starts at ${offset} in the weights section, ${expected} follows from the weights before it`);
    range(place, offset, size, "weights section", sectionBytes);
    end = offset + size;
  });
  check(end === sectionBytes, "weights", `the weights take ${end} bytes of a section of ${sectionBytes}`);
};

/** Returns what the code of each shader declares; null for targets that are not ours. */
const checkShaders = (shaders: readonly Shader[], section: Uint8Array): (Declared | null)[] => {
  count("shaders", "shaders", shaders.length, limits.SHADERS);
  const at = (index: number): Place => `shader ${index} \`${shown(shaders[index].name)}\``;
  shaders.forEach((shader, index) => checkShader(at(index), shader, section.length));
  const order = shaders.map((_, index) => index).sort((a, b) => shaders[a].offset - shaders[b].offset || shaders[a].size - shaders[b].size);
  order.slice(1).forEach((index, before) => {
    const [first, second] = [shaders[order[before]], shaders[index]];
    const end = first.offset + first.size;
    const apart = second.offset >= end || (second.offset === first.offset && second.size === first.size);
    check(apart, at(index), `the code overlaps that of shader ${order[before]} without being the same range`);
  });
  // Shaders that share code differ in the rest, and their code is read once.
  const read = new Map<number, Declared>();
  return shaders.map((shader, index) => {
    if (shader.target !== "WebGpu") {
      return null;
    }
    const code = read.get(shader.offset) ?? declarations(at(index), codeOf(at(index), shader, section));
    read.set(shader.offset, code);
    compare(at(index), code, shader);
    return code;
  });
};

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const codeOf = (place: Place, { offset, size }: Shader, section: Uint8Array): string => {
  try {
    return UTF8.decode(section.subarray(offset, offset + size));
  } catch {
    throw invalid(place, "code is not UTF-8 text");
  }
};

const checkShader = (place: Place, shader: Shader, sectionBytes: number): void => {
  named(place, "name", shader.name);
  named(place, "entry point", shader.entry_point);
  aligned(place, "offset", shader.offset, 4);
  range(place, shader.offset, shader.size, "shader section", sectionBytes);
  nonzero(place, "workgroup size", shader.workgroup_size);
  const invocations = shader.workgroup_size.reduce((product, side) => product * side, 1);
  check(invocations <= limits.INVOCATIONS, place, `a workgroup of ${invocations} invocations is too large`);
  const lanes = shader.subgroup_size;
  const holds = lanes === null || (lanes > 0 && lanes <= limits.SUBGROUP && Number.isInteger(Math.log2(lanes)));
  check(holds, place, "subgroup size is no power of two, or too large");
  count(place, "bindings", shader.bindings.length, limits.BINDINGS);
  const seen = new Set<number>();
  shader.bindings.forEach(({ group, binding, kind, writable }, slot) => {
    check(group < limits.GROUPS && binding < limits.BINDING, place, `group ${group} binding ${binding} is too large`);
    const number = group * limits.BINDING + binding;
    check(!seen.has(number), place, `group ${group} binding ${binding} is declared twice`);
    seen.add(number);
    check(!writable || !("UniformBuffer" in kind), place, `slot ${slot} is a uniform buffer and cannot be writable`);
  });
};

const checkEntries = (manifest: Manifest, declared: readonly (Declared | null)[]): void => {
  count("entries", "entries", manifest.entries.length, limits.ENTRIES);
  unique("entries", "entries of one target", manifest.entries.map(({ name, target }) => `${target} ${name}`));
  for (const entry of manifest.entries) {
    const place = `entry \`${shown(entry.name)}\` for ${entry.target}`;
    const sizes = checkInterface(place, entry);
    for (const variant of entry.variants) {
      checkVariant(manifest, declared, entry, sizes, variant, `${place}, variant \`${shown(variant.name)}\``);
    }
  }
};

/** All but the variants; returns what is known of the sizes. */
const checkInterface = (place: Place, entry: Entry): Sizes => {
  named(place, "name", entry.name);
  const sizes = new Sizes(place, entry);
  for (const [what, tensors] of [["inputs", entry.inputs] as const, ["outputs", entry.outputs] as const]) {
    count(place, what, tensors.length, limits.TENSORS);
    unique(place, what, tensors.map(({ name }) => name));
    tensors.forEach((tensor) => checkTensor(place, tensor, sizes));
  }
  nonzero(place, "the number of variants", [entry.variants.length]);
  count(place, "variants", entry.variants.length, limits.VARIANTS);
  unique(place, "variants", entry.variants.map(({ name }) => name));
  return sizes;
};

const checkTensor = (place: Place, tensor: IoTensor, sizes: Sizes): void => {
  named(place, "name of an input or output", tensor.name);
  elements(place, tensor.shape);
  sizes.axes(tensor);
};
