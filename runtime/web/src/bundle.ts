/** A bundle whose manifest, shaders and hashes are read and checked. Its weights stay where they are until a session is loaded. */

import { Blake3, same } from "./blake3.js";
import { decode } from "./decode.js";
import { DriftError, damaged, invalid } from "./error.js";
import { HASH_BYTES, HEADER_BYTES, type Header, checkPadding, readHeader, truncated } from "./header.js";
import { type Manifest, manifest as manifestDecoder } from "./manifest.js";
import { Memory, type Pieces, Remote, type Source } from "./source.js";
import { validate } from "./validate/index.js";

/** How far a download is. */
export interface Progress {
  /** Bytes that have come. */
  readonly loaded: number;
  /** Bytes that will come in all. */
  readonly total: number;
}

export interface BundleOptions {
  /** Told after each piece, of the bundle's start and of weights. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends all downloads of this bundle. */
  readonly signal?: AbortSignal;
  /** Milliseconds without a byte after which a download has failed; 30,000 unless told otherwise. */
  readonly stallTimeout?: number;
  /** Whether to ask for ranges, where the server has them; true unless told otherwise. */
  readonly ranges?: boolean;
}

/** What is asked for first, where a server has ranges: enough for the manifest and shaders of most models. */
const FIRST_BYTES = 2 ** 18;

/** A bundle that has passed every check that needs neither a device nor its weights. */
export class Bundle {
  private constructor(
    /** What it says about itself. */
    readonly manifest: Manifest,
    private readonly header: Header,
    private readonly start: Uint8Array,
    private readonly shaders: Uint8Array,
    private readonly hashes: Uint8Array,
    private readonly source: Source,
    /** The rest of the download that the manifest came with, where the server has no ranges. */
    private rest: Exact | null,
    private readonly progress: ProgressCount,
  ) {}

  /** Reads and checks all but the weights. */
  static async load(from: string | URL | ArrayBuffer | Uint8Array, options: BundleOptions = {}): Promise<Bundle> {
    const progress = new ProgressCount(options.onProgress);
    const { source, pieces } = await open(from, options);
    const exact = new Exact(pieces, progress);
    try {
      return await Bundle.read(source, exact, progress);
    } catch (error) {
      exact.cancel();
      throw error;
    }
  }

  private static async read(source: Source, exact: Exact, progress: ProgressCount): Promise<Bundle> {
    const start = await exact.upTo(HEADER_BYTES);
    const header = readHeader(start, source.fileBytes);
    progress.total = header.fileBytes;
    if (source.hasRanges) {
      const { offset } = header.weights;
      exact.whatFollows = async (from) => (from < offset ? source.pieces(from, offset) : NOTHING);
    }
    const section = async (what: "manifest" | "shaders" | "hashes"): Promise<Uint8Array> => {
      const { offset, size, hash } = header[what];
      checkPadding(await exact.take(offset - exact.at));
      const bytes = await exact.take(size);
      if (!same(new Blake3().update(bytes).digest(), hash)) {
        throw damaged(`${what} section is damaged: its BLAKE3 hash is not the one in the header`);
      }
      return bytes;
    };
    const encoded = await section("manifest");
    const shaders = await section("shaders");
    const hashes = await section("hashes");
    checkPadding(await exact.take(header.weights.offset - exact.at));
    const manifest = decode(manifestDecoder, encoded);
    validate(manifest, shaders, header.weights.size);
    if (hashes.length !== manifest.weights.length * HASH_BYTES) {
      throw invalid("weights", `${hashes.length} bytes of hashes for ${manifest.weights.length} weights`);
    }
    if (header.weights.size === 0) {
      await exact.ends(header.fileBytes);
    }
    const isUsedUp = source.hasRanges || header.weights.size === 0;
    if (isUsedUp) {
      exact.cancel();
    }
    return new Bundle(manifest, header, start, shaders, hashes, source, isUsedUp ? null : exact, progress);
  }

  /** Size of the whole file in bytes. */
  get fileBytes(): number {
    return this.header.fileBytes;
  }

  /** Ends a download that no session was loaded from. */
  close(): void {
    this.rest?.cancel();
    this.rest = null;
  }

  /** @internal The code of one of its shaders. */
  shaderCode({ offset, size }: { offset: number; size: number }): string {
    return new TextDecoder().decode(this.shaders.subarray(offset, offset + size));
  }

  /**
   * @internal Gives the bytes of these weights to `take`, weight after weight in the order of the file, in pieces of any size,
   * and checks the hash of each. `total` bytes of them are told as progress.
   */
  async readWeights(wanted: ReadonlySet<number>, take: (weight: number, piece: Uint8Array) => void | Promise<void>): Promise<void> {
    if (wanted.size === 0) {
      return;
    }
    const sorted = [...wanted].sort((a, b) => a - b);
    if (!this.source.hasRanges) {
      await this.readInOrder(wanted, sorted[sorted.length - 1], take);
      return;
    }
    const runs = this.runs(sorted);
    this.progress.total = this.progress.loaded + runs.reduce((bytes, run) => bytes + run.end - run.start, 0);
    const worker = async (): Promise<void> => {
      for (let run = runs.shift(); run !== undefined; run = runs.shift()) {
        const offset = this.header.weights.offset;
        const pieces = await this.source.pieces(offset + run.start, offset + run.end);
        await this.readRun(new Exact(pieces, this.progress, run.start), run.weights, wanted, take);
      }
    };
    const workers = Array.from({ length: Math.min(DOWNLOADS, runs.length) }, worker);
    const failed = await Promise.allSettled(
      workers.map((one) =>
        one.catch((error: unknown) => {
          // The others stop after what they are at.
          runs.length = 0;
          throw error;
        }),
      ),
    );
    const first = failed.find((one) => one.status === "rejected");
    if (first !== undefined) {
      throw first.reason;
    }
  }

  /** Weights that are near each other are one request, up to a size. */
  private runs(sorted: readonly number[]): { start: number; end: number; weights: number[] }[] {
    const runs: { start: number; end: number; weights: number[] }[] = [];
    for (const weight of sorted) {
      const { offset, size } = this.manifest.weights[weight];
      const last = runs.at(-1);
      if (last !== undefined && offset - last.end < GAP_BYTES && offset + size - last.start <= RUN_BYTES) {
        last.end = offset + size;
        last.weights.push(weight);
      } else {
        runs.push({ start: offset, end: offset + size, weights: [weight] });
      }
    }
    return runs;
  }

  /** All weights from the first on, as a server without ranges sends them. */
  private async readInOrder(
    wanted: ReadonlySet<number>,
    last: number,
    take: (weight: number, piece: Uint8Array) => void | Promise<void>,
  ): Promise<void> {
    const exact = this.rest ?? (await this.again());
    this.rest = null;
    exact.at = 0;
    const weights = Array.from({ length: last + 1 }, (_, index) => index);
    await this.readRun(exact, weights, wanted, take);
  }

  /** Downloads the file anew, up to its weights. Its header stands for all of it. */
  private async again(): Promise<Exact> {
    this.progress.loaded = 0;
    const exact = new Exact(await this.source.pieces(0, this.fileBytes), this.progress);
    try {
      if (!same(await exact.take(HEADER_BYTES), this.start)) {
        throw new DriftError("changed", "the file is another than the one whose manifest was read; load the bundle again");
      }
      await exact.skip(this.header.weights.offset - HEADER_BYTES);
    } catch (error) {
      exact.cancel();
      throw error;
    }
    return exact;
  }

  private async readRun(
    exact: Exact,
    weights: readonly number[],
    wanted: ReadonlySet<number>,
    take: (weight: number, piece: Uint8Array) => void | Promise<void>,
  ): Promise<void> {
    try {
      for (const weight of weights) {
        const { name, offset, size } = this.manifest.weights[weight];
        await this.between(exact, weight, offset);
        if (!wanted.has(weight)) {
          await exact.skip(size);
          continue;
        }
        const hash = new Blake3();
        await exact.each(size, (piece) => {
          hash.update(piece);
          return take(weight, piece);
        });
        const expected = this.hashes.subarray(weight * HASH_BYTES, (weight + 1) * HASH_BYTES);
        if (!same(hash.digest(), expected)) {
          throw damaged(`weight \`${name}\` is damaged: its BLAKE3 hash is not the one in the bundle`);
        }
      }
      const isWhole = weights.at(-1) === this.manifest.weights.length - 1;
      if (isWhole && !this.source.hasRanges) {
        await exact.ends(this.fileBytes);
      }
    } finally {
      exact.cancel();
    }
  }

  /** Goes on to `offset`; what is between two weights and is none is zero. */
  private async between(exact: Exact, weight: number, offset: number): Promise<void> {
    const before = this.manifest.weights[weight - 1];
    const end = before === undefined ? 0 : before.offset + before.size;
    if (exact.at === end) {
      checkPadding(await exact.take(offset - end));
    } else {
      await exact.skip(offset - exact.at);
    }
  }
}

const NOTHING: Pieces = { next: () => Promise.resolve(null), cancel: () => undefined };

/** Downloads at a time. */
const DOWNLOADS = 4;

/** Bytes that are rather downloaded than left out. */
const GAP_BYTES = 2 ** 16;

/** Most bytes of one request, unless a weight has more. */
const RUN_BYTES = 2 ** 25;

const open = async (
  from: string | URL | ArrayBuffer | Uint8Array,
  { signal, stallTimeout = 30_000, ranges = true }: BundleOptions,
): Promise<{ source: Source; pieces: Pieces }> => {
  if (typeof from === "string" || from instanceof URL) {
    const { source, first } = await Remote.open(String(from), FIRST_BYTES, { signal, stallTimeout, ranges });
    return { source, pieces: first };
  }
  const source = new Memory(from instanceof Uint8Array ? from : new Uint8Array(from));
  return { source, pieces: await source.pieces(0, Math.min(FIRST_BYTES, source.fileBytes)) };
};

class ProgressCount {
  loaded = 0;
  total = 0;

  constructor(private readonly told: ((progress: Progress) => void) | undefined) {}

  add(bytes: number): void {
    this.loaded += bytes;
    this.told?.({ loaded: this.loaded, total: Math.max(this.total, this.loaded) });
  }
}

/** Takes exactly as many bytes as are asked for off pieces of any size. */
class Exact {
  /** The part of the last piece that was not taken. */
  private left: Uint8Array = new Uint8Array(0);
  /** Position after the last byte that is here. */
  private received: number;
  /** Where more comes from once these pieces end. */
  whatFollows: ((from: number) => Promise<Pieces>) | null = null;

  constructor(
    private pieces: Pieces,
    private readonly progress: ProgressCount,
    /** Position of the next byte. */
    public at = 0,
  ) {
    this.received = at;
  }

  cancel(): void {
    this.pieces.cancel();
  }

  private async more(): Promise<boolean> {
    let piece = await this.pieces.next();
    if (piece === null && this.whatFollows !== null) {
      const follows = this.whatFollows;
      this.whatFollows = null;
      this.pieces = await follows(this.received);
      piece = await this.pieces.next();
    }
    if (piece === null) {
      return false;
    }
    this.progress.add(piece.length);
    this.received += piece.length;
    this.left = piece;
    return true;
  }

  /** As many bytes as there are, up to `count`. */
  async upTo(count: number): Promise<Uint8Array> {
    // Memory grows as bytes come, not as a header claims.
    const parts: Uint8Array[] = [];
    let found = 0;
    while (found < count && (this.left.length > 0 || (await this.more()))) {
      // A copy, since a piece is there until the next comes only.
      const part = this.left.slice(0, count - found);
      this.left = this.left.subarray(part.length);
      parts.push(part);
      found += part.length;
    }
    this.at += found;
    const bytes = new Uint8Array(found);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  async take(count: number): Promise<Uint8Array> {
    const start = this.at;
    const bytes = await this.upTo(count);
    if (bytes.length < count) {
      throw truncated(start + count, this.at);
    }
    return bytes;
  }

  /** Gives `count` bytes to `take` as they come. */
  async each(count: number, take: (piece: Uint8Array) => void | Promise<void>): Promise<void> {
    const end = this.at + count;
    while (this.at < end) {
      if (this.left.length === 0 && !(await this.more())) {
        throw truncated(end, this.at);
      }
      const piece = this.left.subarray(0, end - this.at);
      this.left = this.left.subarray(piece.length);
      this.at += piece.length;
      await take(piece);
    }
  }

  skip(count: number): Promise<void> {
    return this.each(count, () => undefined);
  }

  /** Refuses bytes after the end of a file of `fileBytes`. */
  async ends(fileBytes: number): Promise<void> {
    if (this.left.length > 0 || (await this.more())) {
      throw damaged(`bytes follow the last section, which ends at ${fileBytes}`);
    }
  }
}
