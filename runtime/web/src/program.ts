/** A chosen variant, as the loader looks at it. */

import type { Bundle } from "./bundle.js";
import {
  type Dispatch,
  type Entry,
  type IoBinding,
  type Resource,
  type Shader,
  type TextureObject,
  type Variant,
  placeOf,
} from "./manifest.js";
import { tensorBytes } from "./validate/variant.js";

/** A texture that is filled from a range of a weight. */
export interface WeightTexture {
  readonly weight: number;
  readonly offset: number;
  readonly object: TextureObject;
}

/** What tells textures of weights apart. */
export const textureKey = ({ weight, offset, object }: WeightTexture): string => JSON.stringify([weight, offset, object]);

export const weightTextureOf = ({ region, view }: Resource): WeightTexture | null =>
  "Weight" in region && "Texture" in view ? { weight: region.Weight, ...view.Texture } : null;

/** Weights as dispatches bind them: as buffers, and as textures by their keys. */
export interface UsedWeights {
  readonly blobs: Set<number>;
  readonly textures: Map<string, WeightTexture>;
}

export const usedWeights = (dispatches: readonly Dispatch[]): UsedWeights => {
  const used: UsedWeights = { blobs: new Set(), textures: new Map() };
  for (const resource of dispatches.flatMap(({ bindings }) => bindings)) {
    const texture = weightTextureOf(resource);
    if (texture !== null) {
      used.textures.set(textureKey(texture), texture);
    } else if ("Weight" in resource.region) {
      used.blobs.add(resource.region.Weight);
    }
  }
  return used;
};

/** A range of a region. */
export interface IoRange {
  readonly region: number;
  readonly offset: number;
  readonly size: number;
}

const overlap = (a: IoRange, b: IoRange): boolean =>
  a.region === b.region && a.offset < b.offset + b.size && b.offset < a.offset + a.size;

/** What becomes of the memory of an input. */
export interface InputUse extends IoRange {
  readonly element: IoBinding["element"];
  /** An output is exactly there, so that the device's copy is the newer one after a run. */
  readonly isState: boolean;
  /** The program writes over it, so that it must be uploaded again for each run. */
  readonly isOverwritten: boolean;
}

/** The variant that was chosen, in its bundle. */
export class Program {
  constructor(
    readonly bundle: Bundle,
    readonly entry: Entry,
    readonly variant: Variant,
  ) {}

  /** Init dispatches, then those of each run. */
  get dispatches(): readonly Dispatch[] {
    return [...this.variant.init, ...this.variant.dispatches];
  }

  shader(dispatch: Dispatch): Shader {
    return this.bundle.manifest.shaders[dispatch.shader];
  }

  /** Indices of the shaders in use. */
  shaders(): number[] {
    return [...new Set(this.dispatches.map(({ shader }) => shader))];
  }

  inputs(): InputUse[] {
    const outputs = this.outputs();
    const written = this.written();
    return this.entry.inputs.map((tensor, index) => {
      const { element, ...range } = rangeOf(tensor, this.variant.inputs[index]);
      const same = (other: IoRange): boolean =>
        other.region === range.region && other.offset === range.offset && other.size === range.size;
      const inArena = this.variant.regions[range.region].kind === "Arena";
      const isState = range.size > 0 && inArena && outputs.some(same);
      return { ...range, element, isState, isOverwritten: written.some((other) => overlap(other, range)) };
    });
  }

  outputs(): (IoRange & { readonly element: IoBinding["element"] })[] {
    return this.entry.outputs.map((tensor, index) => rangeOf(tensor, this.variant.outputs[index]));
  }

  /** What a run writes of the regions that inputs are in. */
  private written(): IoRange[] {
    const regions = new Set(this.variant.inputs.map(({ region }) => region));
    const ranges = new Map<string, IoRange>();
    for (const dispatch of this.variant.dispatches) {
      const { bindings } = this.shader(dispatch);
      dispatch.bindings.forEach((resource, slot) => {
        const place = bindings[slot].writable ? placeOf(resource) : null;
        if (place !== null && regions.has(place.region)) {
          const { region, start, end } = place;
          ranges.set(`${region} ${start} ${end}`, { region, offset: start, size: end - start });
        }
      });
    }
    return [...ranges.values()];
  }
}

const rangeOf = (tensor: Entry["inputs"][number], binding: IoBinding): IoRange & { element: IoBinding["element"] } => ({
  ...binding,
  size: tensorBytes(tensor, binding),
});

/** How much goes into one submission: watchdogs, which reset a GPU after some seconds, count per submission. */
const SUBMIT = { dispatches: 1024, flops: 200e9, bytes: 10e9 };

/** Splits a program into submissions, at dispatches. */
export const submissions = (dispatches: readonly Dispatch[]): { start: number; end: number }[] => {
  const parts: { start: number; end: number }[] = [];
  let [start, flops, bytes] = [0, 0, 0];
  dispatches.forEach((dispatch, index) => {
    const own = { flops: Number(dispatch.flops), bytes: Number(dispatch.bytes_read) + Number(dispatch.bytes_written) };
    flops += own.flops;
    bytes += own.bytes;
    const full = index - start >= SUBMIT.dispatches || flops > SUBMIT.flops || bytes > SUBMIT.bytes;
    if (full && index > start) {
      parts.push({ start, end: index });
      [start, flops, bytes] = [index, own.flops, own.bytes];
    }
  });
  if (start < dispatches.length) {
    parts.push({ start, end: dispatches.length });
  }
  return parts;
};
