/**
 * BLAKE3, written from its paper: chunks of 1,024 bytes are hashed by themselves, and their chaining values pairwise up a
 * binary tree. State is 64 bits by 55 levels, whatever the length.
 */

const CHUNK_BYTES = 1024;
const BLOCK_BYTES = 64;

const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

const IV = new Int32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);

/** Compresses a block of sixteen words into the chaining value `cv`, in place. Written out, which is three times as fast as loops. */
// prettier-ignore
const compress = (cv: Int32Array, words: Int32Array, at: number, counter: number, bytes: number, flags: number): void => {
  let m0 = words[at + 0], m1 = words[at + 1], m2 = words[at + 2], m3 = words[at + 3];
  let m4 = words[at + 4], m5 = words[at + 5], m6 = words[at + 6], m7 = words[at + 7];
  let m8 = words[at + 8], m9 = words[at + 9], m10 = words[at + 10], m11 = words[at + 11];
  let m12 = words[at + 12], m13 = words[at + 13], m14 = words[at + 14], m15 = words[at + 15];
  let v0 = cv[0], v1 = cv[1], v2 = cv[2], v3 = cv[3];
  let v4 = cv[4], v5 = cv[5], v6 = cv[6], v7 = cv[7];
  let v8 = IV[0], v9 = IV[1], v10 = IV[2], v11 = IV[3];
  let v12 = counter | 0, v13 = Math.floor(counter / 2 ** 32) | 0, v14 = bytes, v15 = flags;
  let t = 0;
  for (let round = 0; round < 7; round++) {
    v0 = (v0 + v4 + m0) | 0; v12 ^= v0; v12 = (v12 >>> 16) | (v12 << 16);
    v8 = (v8 + v12) | 0; v4 ^= v8; v4 = (v4 >>> 12) | (v4 << 20);
    v0 = (v0 + v4 + m1) | 0; v12 ^= v0; v12 = (v12 >>> 8) | (v12 << 24);
    v8 = (v8 + v12) | 0; v4 ^= v8; v4 = (v4 >>> 7) | (v4 << 25);
    v1 = (v1 + v5 + m2) | 0; v13 ^= v1; v13 = (v13 >>> 16) | (v13 << 16);
    v9 = (v9 + v13) | 0; v5 ^= v9; v5 = (v5 >>> 12) | (v5 << 20);
    v1 = (v1 + v5 + m3) | 0; v13 ^= v1; v13 = (v13 >>> 8) | (v13 << 24);
    v9 = (v9 + v13) | 0; v5 ^= v9; v5 = (v5 >>> 7) | (v5 << 25);
    v2 = (v2 + v6 + m4) | 0; v14 ^= v2; v14 = (v14 >>> 16) | (v14 << 16);
    v10 = (v10 + v14) | 0; v6 ^= v10; v6 = (v6 >>> 12) | (v6 << 20);
    v2 = (v2 + v6 + m5) | 0; v14 ^= v2; v14 = (v14 >>> 8) | (v14 << 24);
    v10 = (v10 + v14) | 0; v6 ^= v10; v6 = (v6 >>> 7) | (v6 << 25);
    v3 = (v3 + v7 + m6) | 0; v15 ^= v3; v15 = (v15 >>> 16) | (v15 << 16);
    v11 = (v11 + v15) | 0; v7 ^= v11; v7 = (v7 >>> 12) | (v7 << 20);
    v3 = (v3 + v7 + m7) | 0; v15 ^= v3; v15 = (v15 >>> 8) | (v15 << 24);
    v11 = (v11 + v15) | 0; v7 ^= v11; v7 = (v7 >>> 7) | (v7 << 25);
    v0 = (v0 + v5 + m8) | 0; v15 ^= v0; v15 = (v15 >>> 16) | (v15 << 16);
    v10 = (v10 + v15) | 0; v5 ^= v10; v5 = (v5 >>> 12) | (v5 << 20);
    v0 = (v0 + v5 + m9) | 0; v15 ^= v0; v15 = (v15 >>> 8) | (v15 << 24);
    v10 = (v10 + v15) | 0; v5 ^= v10; v5 = (v5 >>> 7) | (v5 << 25);
    v1 = (v1 + v6 + m10) | 0; v12 ^= v1; v12 = (v12 >>> 16) | (v12 << 16);
    v11 = (v11 + v12) | 0; v6 ^= v11; v6 = (v6 >>> 12) | (v6 << 20);
    v1 = (v1 + v6 + m11) | 0; v12 ^= v1; v12 = (v12 >>> 8) | (v12 << 24);
    v11 = (v11 + v12) | 0; v6 ^= v11; v6 = (v6 >>> 7) | (v6 << 25);
    v2 = (v2 + v7 + m12) | 0; v13 ^= v2; v13 = (v13 >>> 16) | (v13 << 16);
    v8 = (v8 + v13) | 0; v7 ^= v8; v7 = (v7 >>> 12) | (v7 << 20);
    v2 = (v2 + v7 + m13) | 0; v13 ^= v2; v13 = (v13 >>> 8) | (v13 << 24);
    v8 = (v8 + v13) | 0; v7 ^= v8; v7 = (v7 >>> 7) | (v7 << 25);
    v3 = (v3 + v4 + m14) | 0; v14 ^= v3; v14 = (v14 >>> 16) | (v14 << 16);
    v9 = (v9 + v14) | 0; v4 ^= v9; v4 = (v4 >>> 12) | (v4 << 20);
    v3 = (v3 + v4 + m15) | 0; v14 ^= v3; v14 = (v14 >>> 8) | (v14 << 24);
    v9 = (v9 + v14) | 0; v4 ^= v9; v4 = (v4 >>> 7) | (v4 << 25);
    t = m0; m0 = m2; m2 = m3; m3 = m10; m10 = m12; m12 = m9; m9 = m11; m11 = m5; m5 = t;
    t = m1; m1 = m6; m6 = m4; m4 = m7; m7 = m13; m13 = m14; m14 = m15; m15 = m8; m8 = t;
  }
  cv[0] = v0 ^ v8; cv[1] = v1 ^ v9; cv[2] = v2 ^ v10; cv[3] = v3 ^ v11;
  cv[4] = v4 ^ v12; cv[5] = v5 ^ v13; cv[6] = v6 ^ v14; cv[7] = v7 ^ v15;
};

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Takes bytes in pieces of any size. */
export class Blake3 {
  /** The chunk that is being filled. It is hashed when a byte comes after it, since the last is treated apart. */
  private readonly chunk = new Uint8Array(CHUNK_BYTES);
  private readonly words = new Int32Array(this.chunk.buffer);
  private filled = 0;
  private chunks = 0;
  /** Chaining values of whole subtrees, largest first; there is one for each set bit of `chunks`. */
  private readonly stack: Int32Array[] = [];

  update(bytes: Uint8Array): this {
    let at = 0;
    while (at < bytes.length) {
      if (this.filled === CHUNK_BYTES) {
        this.push(this.chunkValue(0));
      }
      const count = Math.min(CHUNK_BYTES - this.filled, bytes.length - at);
      this.chunk.set(bytes.subarray(at, at + count), this.filled);
      this.filled += count;
      at += count;
    }
    return this;
  }

  /** The 32 bytes of the hash. Nothing can be added afterwards. */
  digest(): Uint8Array {
    let value = this.chunkValue(this.stack.length === 0 ? ROOT : 0);
    while (this.stack.length > 0) {
      const left = this.stack.pop() as Int32Array;
      value = parent(left, value, this.stack.length === 0 ? ROOT : 0);
    }
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    value.forEach((word, index) => view.setInt32(4 * index, word, true));
    return bytes;
  }

  /** The chaining value of the chunk, which may be short. */
  private chunkValue(flags: number): Int32Array {
    this.chunk.fill(0, this.filled);
    if (!LITTLE_ENDIAN) {
      const view = new DataView(this.chunk.buffer);
      this.words.forEach((_, index) => (this.words[index] = view.getInt32(4 * index, true)));
    }
    const value = IV.slice();
    const blocks = Math.max(1, Math.ceil(this.filled / BLOCK_BYTES));
    for (let block = 0; block < blocks; block++) {
      const last = block + 1 === blocks;
      const bytes = last ? this.filled - block * BLOCK_BYTES : BLOCK_BYTES;
      const ends = (block === 0 ? CHUNK_START : 0) | (last ? CHUNK_END | flags : 0);
      compress(value, this.words, block * 16, this.chunks, bytes, ends);
    }
    return value;
  }

  /** Adds the value of a whole chunk, and of each subtree that it completes. */
  private push(value: Int32Array): void {
    this.filled = 0;
    this.chunks += 1;
    for (let left = this.chunks; left % 2 === 0; left /= 2) {
      value = parent(this.stack.pop() as Int32Array, value, 0);
    }
    this.stack.push(value);
  }
}

const PAIR = new Int32Array(16);

const parent = (left: Int32Array, right: Int32Array, flags: number): Int32Array => {
  PAIR.set(left);
  PAIR.set(right, 8);
  const value = IV.slice();
  compress(value, PAIR, 0, 0, BLOCK_BYTES, PARENT | flags);
  return value;
};

/** The hash of some bytes. */
export const blake3 = (bytes: Uint8Array): Uint8Array => new Blake3().update(bytes).digest();

/** Whether two hashes are the same. */
export const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);
