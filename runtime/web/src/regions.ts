/** The memory that a variant takes: buffers and textures, and where in them regions and weights begin. */

import { BUFFER, TEXTURE } from "./flags.js";
import { roundUp } from "./header.js";
import { whole } from "./host.js";
import { ALIGNMENT_BYTES } from "./limits.js";
import { type RegionKind, type TextureObject, type Variant, type WeightBlob, nameOf, statesOf, textureBytes } from "./manifest.js";
import { type UsedWeights, type WeightTexture, textureKey } from "./program.js";
import type { Sizes } from "./size.js";
import type { States } from "./states.js";

/** A range of a buffer that begins there. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** Bytes on the device. */
export interface DeviceBytes {
  /** Activations in buffers. */
  arena: number;
  /** Activations in textures. */
  textures: number;
  /** Weights that runs read. */
  weights: number;
  /** What the init program made. */
  derived: number;
  /** What runs keep for the next one. */
  state: number;
  /** Inputs and outputs in buffers of their own. */
  io: number;
  params: number;
  /** What results are read through. */
  staging: number;
}

/** Largest buffer that several weights share: browsers refuse large ones before small ones, and none gains by being larger. */
const SHARED_BYTES = 2 ** 28;

/** Packs ranges of these sizes and alignments into buffers, in order; one larger than `most` gets a buffer of its own. */
export const pack = (
  ranges: readonly { size: number; alignment: number }[],
  most: number,
): { places: { buffer: number; offset: number }[]; sizes: number[] } => {
  const sizes: number[] = [];
  const places = ranges.map(({ size, alignment }) => {
    const start = roundUp(sizes.at(-1) ?? 0, alignment);
    const fits = sizes.length > 0 && start + size <= Math.min(most, SHARED_BYTES);
    const offset = fits ? start : 0;
    if (fits) {
      sizes[sizes.length - 1] = offset + size;
    } else {
      sizes.push(size);
    }
    return { buffer: sizes.length - 1, offset };
  });
  return { places, sizes };
};

/** Makes things of a device, and destroys them together. */
export class Memory {
  private readonly made: { destroy(): void }[] = [];

  constructor(private readonly device: GPUDevice) {}

  buffer(bytes: number, usage: number): GPUBuffer {
    // There are no empty buffers. A new one holds zeros.
    const buffer = this.device.createBuffer({ size: Math.max(4, whole(bytes)), usage });
    this.made.push(buffer);
    return buffer;
  }

  /** A buffer for kernels. */
  kernels(bytes: number): GPUBuffer {
    return this.buffer(bytes, BUFFER.STORAGE | BUFFER.UNIFORM | BUFFER.COPY_SRC | BUFFER.COPY_DST);
  }

  texture(object: TextureObject, filledBy: number): GPUTexture {
    const texture = this.device.createTexture({
      size: object.extent_px,
      dimension: object.kind === "D3" ? "3d" : "2d",
      format: textureFormat(object),
      usage: TEXTURE.TEXTURE_BINDING | filledBy,
    });
    this.made.push(texture);
    return texture;
  }

  destroy(): void {
    this.made.splice(0).forEach((one) => one.destroy());
  }
}

const FORMATS = { F32: "rgba32float", F16: "rgba16float", I32: "rgba32sint", U32: "rgba32uint" } as const;
const DIMENSIONS = { D2: "2d", Array: "2d-array", D3: "3d" } as const;

export const textureFormat = ({ element }: Pick<TextureObject, "element">): GPUTextureFormat => FORMATS[element];
export const viewDimension = ({ kind }: Pick<TextureObject, "kind">): GPUTextureViewDimension => DIMENSIONS[kind];

/** Kinds whose regions share buffers, each kind its own. */
const POOLS = ["Params", "Derived"] as const;

/** The regions of a variant. */
export class Regions {
  private readonly places: (Place | null)[];
  private readonly views: (GPUTextureView | null)[];
  private readonly state: GPUBuffer[] = [];

  constructor(memory: Memory, variant: Variant, states: States, mostBytes: number, bytes: DeviceBytes) {
    const is = (kind: RegionKind, name: string): boolean => nameOf(kind) === name;
    this.places = variant.regions.map(({ kind, size }) => {
      if (!is(kind, "Arena") && !is(kind, "Io")) {
        return null;
      }
      bytes[is(kind, "Io") ? "io" : "arena"] += size;
      return { buffer: memory.kernels(size), offset: 0 };
    });
    this.views = variant.regions.map(({ kind, size }) => {
      if (typeof kind !== "object" || !("Texture" in kind)) {
        return null;
      }
      bytes.textures += size;
      const texture = memory.texture(kind.Texture, TEXTURE.STORAGE_BINDING);
      return texture.createView({ dimension: viewDimension(kind.Texture) });
    });
    for (const pool of POOLS) {
      const indices = variant.regions.map((_, index) => index).filter((index) => is(variant.regions[index].kind, pool));
      const { places, sizes } = pack(indices.map((index) => variant.regions[index]), mostBytes);
      const buffers = sizes.map((size) => memory.kernels(size));
      indices.forEach((index, at) => (this.places[index] = { buffer: buffers[places[at].buffer], offset: places[at].offset }));
      bytes[pool.toLowerCase() as "params" | "derived"] += sizes.reduce((sum, size) => sum + size, 0);
    }
    for (const { name, region, size } of statesOf(variant.regions)) {
      this.places[region] = states.place(name);
      this.state.push(states.place(name).buffer);
      bytes.state += size;
    }
  }

  place(region: number): Place {
    return this.places[region] as Place;
  }

  view(region: number): GPUTextureView {
    return this.views[region] as GPUTextureView;
  }

  /** Gives all parameters the words of these sizes. */
  writeParams(queue: GPUQueue, variant: Variant, sizes: Sizes): void {
    variant.regions.forEach(({ kind }, region) => {
      if (typeof kind === "object" && "Params" in kind) {
        const { buffer, offset } = this.place(region);
        queue.writeBuffer(buffer, offset, Uint32Array.from(kind.Params, (word) => sizes.word(word)));
      }
    });
  }

  /** Encodes zeros in all state. */
  clearState(commands: GPUCommandEncoder): void {
    this.state.forEach((buffer) => commands.clearBuffer(buffer));
  }
}

/** Weights on the device: buffers, and textures that are made of some. */
export class Weights {
  readonly places = new Map<number, Place>();
  readonly views = new Map<string, GPUTextureView>();
  readonly fills = new Map<number, TextureFill[]>();
  bytes = 0;

  constructor(memory: Memory, device: GPUDevice, all: readonly WeightBlob[], used: UsedWeights, mostBytes: number) {
    const blobs = [...used.blobs].sort((a, b) => a - b);
    const { places, sizes } = pack(
      blobs.map((blob) => ({ size: all[blob].size, alignment: ALIGNMENT_BYTES })),
      mostBytes,
    );
    const buffers = sizes.map((size) => memory.kernels(size));
    blobs.forEach((blob, at) => this.places.set(blob, { buffer: buffers[places[at].buffer], offset: places[at].offset }));
    this.bytes = sizes.reduce((sum, size) => sum + size, 0);
    for (const texture of used.textures.values()) {
      const made = memory.texture(texture.object, TEXTURE.COPY_DST);
      this.views.set(textureKey(texture), made.createView({ dimension: viewDimension(texture.object) }));
      const fills = this.fills.get(texture.weight) ?? [];
      fills.push(new TextureFill(device.queue, made, texture));
      this.fills.set(texture.weight, fills);
      this.bytes += textureBytes(texture.object);
    }
  }

  /** Indices of the weights that it is made of. */
  weights(): Set<number> {
    return new Set([...this.places.keys(), ...this.fills.keys()]);
  }
}

/** Fills a texture from pieces of a weight: rows of texels without gaps, then layers. */
export class TextureFill {
  /** A row of which only a part has come. */
  private readonly row: Uint8Array<ArrayBuffer>;
  private held = 0;
  private rows = 0;
  private readonly height: number;
  private readonly allRows: number;

  constructor(
    private readonly queue: GPUQueue,
    private readonly texture: GPUTexture,
    private readonly from: WeightTexture,
  ) {
    const [, height, depth] = from.object.extent_px;
    this.height = height;
    this.allRows = height * depth;
    this.row = new Uint8Array(textureBytes(from.object) / this.allRows);
  }

  /** Takes the piece of the weight that begins at `at`. */
  take(piece: Uint8Array<ArrayBuffer>, at: number): void {
    let rest = piece.subarray(Math.min(piece.length, Math.max(0, this.from.offset - at)));
    while (rest.length > 0 && this.rows < this.allRows) {
      const count = Math.min(Math.floor(rest.length / this.row.length), this.height - (this.rows % this.height));
      if (this.held === 0 && count > 0) {
        this.write(rest, count);
        rest = rest.subarray(count * this.row.length);
        continue;
      }
      const part = rest.subarray(0, this.row.length - this.held);
      this.row.set(part, this.held);
      this.held += part.length;
      rest = rest.subarray(part.length);
      if (this.held === this.row.length) {
        this.held = 0;
        this.write(this.row, 1);
      }
    }
  }

  private write(bytes: Uint8Array<ArrayBuffer>, count: number): void {
    const [width] = this.from.object.extent_px;
    const origin = { x: 0, y: this.rows % this.height, z: Math.floor(this.rows / this.height) };
    const layout = { bytesPerRow: this.row.length, rowsPerImage: count };
    const data = bytes.subarray(0, count * this.row.length);
    this.queue.writeTexture({ texture: this.texture, origin }, data, layout, { width, height: count });
    this.rows += count;
  }
}

/** Fills a range of a buffer from pieces of any size, in whole words. */
export class BufferFill {
  private readonly word = new Uint8Array(4);
  private held = 0;
  private at: number;

  constructor(
    private readonly queue: GPUQueue,
    private readonly place: Place,
  ) {
    this.at = place.offset;
  }

  take(piece: Uint8Array<ArrayBuffer>): void {
    let rest = piece;
    if (this.held > 0) {
      const part = rest.subarray(0, 4 - this.held);
      this.word.set(part, this.held);
      this.held += part.length;
      rest = rest.subarray(part.length);
      if (this.held < 4) {
        return;
      }
      this.write(this.word);
      this.held = 0;
    }
    const words = rest.length - (rest.length % 4);
    if (words > 0) {
      this.write(rest.subarray(0, words));
    }
    this.word.set(rest.subarray(words));
    this.held = rest.length - words;
  }

  /** Writes what is left, with zeros after it: ranges begin at multiples of 256, so that these belong to no other. */
  end(): void {
    if (this.held > 0) {
      this.word.fill(0, this.held);
      this.write(this.word);
      this.held = 0;
    }
  }

  private write(bytes: Uint8Array<ArrayBuffer>): void {
    this.queue.writeBuffer(this.place.buffer, this.at, bytes);
    this.at += bytes.length;
  }
}
