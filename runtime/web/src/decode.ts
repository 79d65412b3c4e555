/**
 * Decoders of bincode 2 in its standard configuration: variable-length little-endian integers. A type of the manifest is a
 * decoder, put together of those of its parts; its TypeScript type follows from it.
 */

import { DriftError } from "./error.js";

/** Reads a value off the front of what is left. */
export type Decoder<T> = (from: Cursor) => T;

/** What a decoder reads. */
export type Decoded<D> = D extends Decoder<infer T> ? T : never;

const undecodable = (reason: string): DriftError => new DriftError("invalid", `manifest cannot be decoded: ${reason}`);

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes and how far they are read. */
export class Cursor {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Steps over `count` bytes and returns where they begin. */
  private skip(count: number): number {
    if (count > this.left) {
      throw undecodable("it ends too early");
    }
    this.at += count;
    return this.at - count;
  }

  byte(): number {
    return this.bytes[this.skip(1)];
  }

  take(count: number): Uint8Array {
    const at = this.skip(count);
    return this.bytes.subarray(at, at + count);
  }

  u32(): number {
    const first = this.byte();
    if (first < 251) {
      return first;
    }
    if (first === 251) {
      return this.view.getUint16(this.skip(2), true);
    }
    if (first === 252) {
      return this.view.getUint32(this.skip(4), true);
    }
    throw undecodable("a number is wider than its type");
  }

  u64(): bigint {
    if (this.left > 0 && this.bytes[this.at] === 253) {
      return this.view.getBigUint64(this.skip(9) + 1, true);
    }
    return BigInt(this.u32());
  }

  /** A 64-bit number that is refused where JavaScript's numbers do not hold it: whatever it counts cannot be that large. */
  size(): number {
    if (this.left > 0 && this.bytes[this.at] !== 253) {
      return this.u32();
    }
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw undecodable(`${value} is too large`);
    }
    return Number(value);
  }
}

export const u32: Decoder<number> = (from) => from.u32();

/** A 64-bit number that is a size or an offset. */
export const size: Decoder<number> = (from) => from.size();

/** A 64-bit number that may be any. */
export const wide: Decoder<bigint> = (from) => from.u64();

export const flag: Decoder<boolean> = (from) => {
  const byte = from.byte();
  if (byte > 1) {
    throw undecodable("a truth value is neither 0 nor 1");
  }
  return byte === 1;
};

export const text: Decoder<string> = (from) => {
  const bytes = from.take(from.size());
  try {
    return UTF8.decode(bytes);
  } catch {
    throw undecodable("a name is not UTF-8");
  }
};

export const list =
  <T>(item: Decoder<T>): Decoder<T[]> =>
  (from) => {
    const count = from.size();
    // Each item takes a byte at least, so that a forged length claims no memory.
    if (count > from.left) {
      throw undecodable("it ends too early");
    }
    const items: T[] = [];
    for (let index = 0; index < count; index++) {
      items.push(item(from));
    }
    return items;
  };

export const option =
  <T>(item: Decoder<T>): Decoder<T | null> =>
  (from) =>
    flag(from) ? item(from) : null;

export const three =
  <T>(item: Decoder<T>): Decoder<[T, T, T]> =>
  (from) => [item(from), item(from), item(from)];

/** A struct: its fields in their order. */
export const struct = <F extends Record<string, Decoder<unknown>>>(
  fields: F,
): Decoder<{ [K in keyof F]: Decoded<F[K]> }> => {
  const entries = Object.entries(fields);
  return (from) => Object.fromEntries(entries.map(([name, field]) => [name, field(from)])) as never;
};

const chosen = <T>(from: Cursor, variants: readonly T[]): T => {
  const index = from.u32();
  if (index >= variants.length) {
    throw undecodable("an enum has a variant that there is not");
  }
  return variants[index];
};

/** An enum of names alone. */
export const names =
  <const N extends readonly string[]>(...variants: N): Decoder<N[number]> =>
  (from) =>
    chosen(from, variants);

/** An enum some of whose variants hold something: a name alone, or an object of one field. */
export const variants = <V extends Record<string, Decoder<unknown> | null>>(
  held: V,
): Decoder<{ [K in keyof V]: V[K] extends null ? K : { [P in K]: Decoded<V[K]> } }[keyof V]> => {
  const entries = Object.entries(held);
  return (from) => {
    const [name, decoder] = chosen(from, entries);
    return (decoder === null ? name : { [name]: decoder(from) }) as never;
  };
};

/** Reads all of `bytes`. */
export const decode = <T>(decoder: Decoder<T>, bytes: Uint8Array): T => {
  const from = new Cursor(bytes);
  const value = decoder(from);
  if (from.left > 0) {
    throw undecodable(`${from.left} bytes are left over`);
  }
  return value;
};
