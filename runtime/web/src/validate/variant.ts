/** Rules of one variant: its predicates, its memory, where inputs and outputs are, its programs. */

import * as limits from "../limits.js";
import {
  type Dispatch,
  type Entry,
  type IoBinding,
  type IoTensor,
  type Manifest,
  type Region,
  type TextureObject,
  type Variant,
  elementBytes,
  fits,
  nameOf,
  statesOf,
  textureBytes,
} from "../manifest.js";
import { checkDispatch } from "./dispatch.js";
import { Derived, Hazards } from "./hazard.js";
import { type Place, aligned, check, count, elements, indexed, length, named, nonzero, shown, span, unique } from "./rules.js";
import type { Sizes } from "./size.js";
import type { Declared } from "./wgsl.js";

export const checkVariant = (
  manifest: Manifest,
  declared: readonly (Declared | null)[],
  entry: Entry,
  sizes: Sizes,
  variant: Variant,
  place: Place,
): void => {
  const inputs = checkOutline(place, entry, sizes, variant);
  const derived = new Derived();
  const textures = new Set<string>();
  for (const [program, dispatches] of [["init", variant.init] as const, ["run", variant.dispatches] as const]) {
    const hazards = new Hazards();
    dispatches.forEach((dispatch, index) => {
      const what = program === "init" ? "init dispatch" : "dispatch";
      const at = `${place}, ${what} ${index} \`${shown(dispatch.name)}\``;
      described(at, dispatch);
      const slots = checkDispatch(at, { manifest, target: entry.target, variant, inputs, program }, dispatch);
      const unmet = declared[dispatch.shader]?.needs.find((need) => !variant.requires.includes(need));
      check(unmet === undefined, at, `its code needs ${String(unmet)}, which the variant does not require`);
      const isFree = dispatch.free_workgroups.some((size) => size !== null);
      check(program === "run" || !isFree, at, "the grid of a dispatch of `init` follows from a dim");
      sizes.grid(at, dispatch);
      hazards.add(at, slots, dispatch);
      countTextures(at, textures, dispatch);
      if (program === "init") {
        derived.write(slots, dispatch);
      } else {
        derived.holdsWhatIsRead(at, variant, dispatch);
      }
    });
  }
};

/** The textures that weights are uploaded to: each is an object of the device. */
const countTextures = (place: Place, textures: Set<string>, dispatch: Dispatch): void => {
  for (const { region, view } of dispatch.bindings) {
    if ("Weight" in region && "Texture" in view) {
      textures.add(JSON.stringify([region.Weight, view.Texture]));
    }
  }
  count(place, "textures of weights", textures.size, limits.TEXTURES);
};

const described = (place: Place, dispatch: Dispatch): void => {
  named(place, "name", dispatch.name);
  count(place, "origins", dispatch.origins.length, limits.ORIGINS);
  dispatch.origins.forEach((origin) => length(place, "origin", origin));
};

/** All but the dispatches; returns the indices of the regions of their own that inputs are in. */
const checkOutline = (place: Place, entry: Entry, sizes: Sizes, variant: Variant): ReadonlySet<number> => {
  named(place, "name", variant.name);
  length(place, "profile", variant.profile);
  count(place, "requirements", variant.requires.length, limits.REQUIREMENTS);
  for (const requirement of variant.requires) {
    if (typeof requirement === "object" && "Vendor" in requirement) {
      count(place, "vendor ids", requirement.Vendor.length, limits.REQUIREMENTS);
    }
  }
  checkRegions(place, variant.regions, sizes);
  placed(place, "inputs", entry.inputs, variant.inputs, variant.regions);
  placed(place, "outputs", entry.outputs, variant.outputs, variant.regions);
  inputsAreDisjoint(place, entry, variant);
  count(place, "init dispatches", variant.init.length, limits.DISPATCHES);
  count(place, "dispatches", variant.dispatches.length, limits.DISPATCHES);
  const own = (bindings: readonly IoBinding[]): Set<number> =>
    new Set(bindings.map(({ region }) => region).filter((region) => variant.regions[region].kind === "Io"));
  const [inputs, outputs] = [own(variant.inputs), own(variant.outputs)];
  variant.regions.forEach(({ kind }, region) => {
    const used = kind !== "Io" || inputs.has(region) || outputs.has(region);
    check(used, place, `region ${region} is for an input or output and holds none`);
  });
  return inputs;
};

const checkRegions = (place: Place, regions: readonly Region[], sizes: Sizes): void => {
  count(place, "regions", regions.length, limits.REGIONS);
  count(place, "arenas", regions.filter(({ kind }) => kind === "Arena").length, limits.ARENAS);
  count(place, "textures", regions.filter(({ kind }) => nameOf(kind) === "Texture").length, limits.TEXTURES);
  unique(place, "states", statesOf(regions).map(({ name }) => name));
  let bytes = 0;
  for (const region of regions) {
    checkRegion(place, region, sizes);
    bytes += region.size;
    check(bytes <= limits.REGION_BYTES, place, "the sum of all regions is too large");
  }
};

const checkRegion = (place: Place, { kind, size, alignment }: Region, sizes: Sizes): void => {
  const isPower = alignment > 0 && Number.isInteger(Math.log2(alignment));
  check(isPower && alignment <= limits.REGION_ALIGNMENT, place, "alignment of a region is no power of two, or too large");
  aligned(place, "alignment of a region", alignment);
  const isOf = (expected: number): void =>
    check(size === expected, place, `region of kind \`${nameOf(kind)}\` has ${expected} bytes, ${size} are stated`);
  if (typeof kind === "object" && "Texture" in kind) {
    checkTexture(place, kind.Texture);
    isOf(textureBytes(kind.Texture));
    return;
  }
  // A program may keep nothing in buffers, and a tensor may have no elements.
  if (kind === "Arena" || kind === "Io") {
    return;
  }
  nonzero(place, "size of a region", [size]);
  if (typeof kind === "object" && "State" in kind) {
    const { name, element, shape } = kind.State;
    named(place, "name of a state", name);
    span(place, 0, elements(place, shape) * elementBytes(element), "state", size);
  } else if (typeof kind === "object") {
    count(place, "words of parameters", kind.Params.length, limits.PARAMS);
    sizes.words(place, kind.Params);
    isOf(4 * kind.Params.length);
  }
};

/** Sides that some device may have. */
export const checkTexture = (place: Place, { kind, extent_px }: TextureObject): void => {
  nonzero(place, "a side of a texture", extent_px);
  const most = Math.max(...extent_px);
  check(most <= limits.TEXTURE_PX, place, `a texture has a side of ${most} pixels`);
  check(kind !== "D2" || extent_px[2] === 1, place, "a 2D texture has a depth");
};

const placed = (
  place: Place,
  what: string,
  tensors: readonly IoTensor[],
  bindings: readonly IoBinding[],
  regions: readonly Region[],
): void => {
  const counts = `${bindings.length} ${what} are placed, the entry declares ${tensors.length}`;
  check(tensors.length === bindings.length, place, counts);
  tensors.forEach((tensor, index) => {
    const binding = bindings[index];
    const name = shown(tensor.name);
    const types = `tensor \`${name}\` is ${tensor.element} for the caller and cannot be ${binding.element} on the device`;
    check(fits(tensor.element, binding.element), place, types);
    const { kind, size } = indexed(place, "region", regions, binding.region);
    const held = kind === "Arena" || kind === "Io";
    check(held, place, `tensor \`${name}\` is in a region of kind \`${nameOf(kind)}\``);
    aligned(place, "offset of an input or output", binding.offset);
    span(place, binding.offset, tensorBytes(tensor, binding), nameOf(kind), size);
  });
};

/** Bytes on the device; the number of elements is bounded by now. */
export const tensorBytes = (tensor: IoTensor, { element }: IoBinding): number =>
  Number(tensor.shape.reduce((product, side) => product * side, 1n)) * elementBytes(element);

/** Inputs are all written before a run starts. Outputs may share memory with inputs (state) and with each other. */
const inputsAreDisjoint = (place: Place, entry: Entry, variant: Variant): void => {
  const ranges = entry.inputs
    .map((tensor, index) => {
      const { region, offset } = variant.inputs[index];
      return { region, offset, end: offset + tensorBytes(tensor, variant.inputs[index]), name: tensor.name };
    })
    .filter(({ offset, end }) => end > offset)
    .sort((a, b) => a.region - b.region || a.offset - b.offset);
  ranges.slice(1).forEach((next, index) => {
    const before = ranges[index];
    const apart = next.region !== before.region || next.offset >= before.end;
    check(apart, place, `inputs \`${shown(before.name)}\` and \`${shown(next.name)}\` share memory`);
  });
};
