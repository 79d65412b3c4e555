/** Rules of one dispatch: each slot gets what it takes, and nothing is written that another slot touches. */

import { PARAMS_GROUP } from "../limits.js";
import {
  type BindingSlot,
  type Dispatch,
  type Manifest,
  type Resource,
  type Target,
  type Variant,
  elementBytes,
  nameOf,
  placeOf,
  rangeOf,
} from "../manifest.js";
import { type Place, aligned, check, indexed, nonzero, range } from "./rules.js";
import { checkTexture } from "./variant.js";

/** What a dispatch belongs to. */
export interface Context {
  readonly manifest: Manifest;
  readonly target: Target;
  readonly variant: Variant;
  /** Indices of the regions of their own that inputs are in. */
  readonly inputs: ReadonlySet<number>;
  readonly program: "init" | "run";
}

/** Returns the slots of the dispatch's shader. */
export const checkDispatch = (place: Place, context: Context, dispatch: Dispatch): readonly BindingSlot[] => {
  const { manifest, target } = context;
  const shader = indexed(place, "shader", manifest.shaders, dispatch.shader);
  check(shader.target === target, place, `its shader is for ${shader.target}, the entry is for ${target}`);
  nonzero(place, "workgroup count", dispatch.workgroups);
  const [found, expected] = [dispatch.bindings.length, shader.bindings.length];
  check(found === expected, place, `${found} resources are bound, its shader declares ${expected}`);
  dispatch.bindings.forEach((resource, index) => {
    const slot = shader.bindings[index];
    const what = `slot ${index}`;
    exists(place, what, context, resource);
    accepts(place, what, slot, resource);
    mayTouch(place, what, context, slot, resource);
  });
  noOverlap(place, shader.bindings, dispatch.bindings);
  return shader.bindings;
};

/** The resource is in what it points into, and is a texture where that is one. */
const exists = (place: Place, what: string, { manifest, variant }: Context, { region, view }: Resource): void => {
  const held =
    "Variant" in region
      ? indexed(place, "region", variant.regions, region.Variant)
      : { kind: null, size: indexed(place, "weight", manifest.weights, region.Weight).size };
  const name = held.kind === null ? "weight" : nameOf(held.kind);
  const { offset, size } = rangeOf(view);
  aligned(place, "offset of a view", offset);
  const own = typeof held.kind === "object" && held.kind !== null && "Texture" in held.kind ? held.kind.Texture : null;
  const texture = "Texture" in view ? view.Texture.object : null;
  if (texture !== null && held.kind === null) {
    checkTexture(place, texture);
  } else if (texture !== null || own !== null) {
    const same = texture !== null && own !== null && JSON.stringify(texture) === JSON.stringify(own);
    check(same, place, `${what} is bound to a ${nameOf(view)}, its region is of kind \`${name}\``);
  }
  range(place, offset, size, name, held.size);
};

/** The slot may read the region, and write it if it writes. */
const mayTouch = (place: Place, what: string, context: Context, slot: BindingSlot, { region }: Resource): void => {
  const { variant, inputs, program } = context;
  const readOnly = (reason: string): void => check(!slot.writable, place, `${what} is writable and bound to ${reason}`);
  if ("Weight" in region) {
    readOnly("weights, which are read-only");
    return;
  }
  const { kind } = variant.regions[region.Variant];
  const name = nameOf(kind);
  const onlyRuns = name === "State" || name === "Io" || name === "Params";
  check(!onlyRuns || program === "run", place, `${what} is bound to a region of kind \`${name}\`, which \`init\` may not touch`);
  if (name === "Params") {
    check(slot.group === PARAMS_GROUP, place, `${what} is bound to parameters, which slots of group 2 take`);
    readOnly("parameters, which only the host writes");
  } else if (name === "Io" && inputs.has(region.Variant)) {
    readOnly("the memory of an input alone, which only the host writes");
  } else if (name === "Derived" && program === "run") {
    readOnly("a derived blob, which only `init` may write");
  }
};

/** The slot takes this view. */
const accepts = (place: Place, what: string, { kind }: BindingSlot, { view }: Resource): void => {
  const other = `${what} takes a ${nameOf(kind)}, a range as ${nameOf(view)} is bound`;
  if ("Texture" in kind) {
    check("Texture" in view, place, other);
    const object = ("Texture" in view && view.Texture.object) as { kind: string; element: string };
    const same = object.kind === kind.Texture.kind && object.element === kind.Texture.element;
    check(same, place, `${what} takes another texture than the one that is bound`);
  } else if ("ImageBuffer" in kind) {
    check("Texels" in view, place, other);
    const { element, size } = ("Texels" in view && view.Texels) as { element: "F32"; size: number };
    check(element === kind.ImageBuffer.element, place, `${what} takes other channels than those that are bound`);
    aligned(place, "size of a texel range", size, 4 * elementBytes(element));
  } else {
    check("Bytes" in view, place, other);
    const { size } = ("Bytes" in view && view.Bytes) as { size: number };
    const { min_bytes } = "StorageBuffer" in kind ? kind.StorageBuffer : kind.UniformBuffer;
    check(BigInt(size) >= min_bytes, place, `${what} needs ${min_bytes} bytes, ${size} are bound`);
  }
};

const noOverlap = (place: Place, slots: readonly BindingSlot[], resources: readonly Resource[]): void => {
  const places = resources.map(placeOf);
  for (let second = 1; second < places.length; second++) {
    for (let first = 0; first < second; first++) {
      const [a, b] = [places[first], places[second]];
      const written = slots[first].writable || slots[second].writable;
      const meet = a !== null && b !== null && a.region === b.region && a.start < b.end && b.start < a.end;
      check(!written || !meet, place, `slots ${first} and ${second} share memory and one of them writes`);
    }
  }
};
