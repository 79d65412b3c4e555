/** The fixed bytes at the start of a file: magic, version and section table. Every field has one legal value once sizes are known. */

import { DriftError, damaged } from "./error.js";
import { FORMAT_VERSION, MANIFEST_BYTES, SHADER_BYTES, WEIGHTS } from "./limits.js";

export const HEADER_BYTES = 256;
export const HASH_BYTES = 32;

const MAGIC = new Uint8Array([0x44, 0x52, 0x49, 0x46, 0x54, 0x0d, 0x0a, 0x1a]);
const PAGE_BYTES = 4096;
const SECTION_ALIGNMENT_BYTES = 64;
const ENTRY_BYTES = 48;
const TABLE_END = 16 + 3 * ENTRY_BYTES + 16;

export interface Section {
  readonly offset: number;
  readonly size: number;
  readonly hash: Uint8Array;
}

/** The section table. The weights have hashes of their own. */
export interface Header {
  readonly manifest: Section;
  readonly shaders: Section;
  readonly hashes: Section;
  readonly weights: { readonly offset: number; readonly size: number };
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

export const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Whether these may be the first bytes of a bundle. */
const beginsAsOne = (bytes: Uint8Array): boolean =>
  bytes.length > 0 && bytes.subarray(0, MAGIC.length).every((byte, index) => byte === MAGIC[index]);

export const truncated = (expected: number, found: number): DriftError =>
  new DriftError(
    "truncated",
    `bundle is cut short: ${found} bytes where ${expected} are expected; copy or download it again`,
  );

/** Reads and checks the header, which is `start` or the beginning of it. `fileBytes` is the length of the file, where it is known. */
export const readHeader = (start: Uint8Array, fileBytes: number | null): Header => {
  if (!beginsAsOne(start)) {
    throw new DriftError("damaged", "not a bundle: it does not begin with the magic bytes `DRIFT`");
  }
  if (start.length < HEADER_BYTES) {
    throw truncated(HEADER_BYTES, fileBytes ?? start.length);
  }
  const view = new DataView(start.buffer, start.byteOffset, HEADER_BYTES);
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    const advice = "compile the model again with a driftc of the same release";
    throw new DriftError("version", `bundle format ${version} is not ${FORMAT_VERSION}, the one this build reads; ${advice}`);
  }
  if (view.getUint32(12, true) !== 4 || start.subarray(TABLE_END, HEADER_BYTES).some((byte) => byte !== 0)) {
    throw damaged("bundle header is damaged");
  }
  const number = (at: number): number => {
    const value = view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw damaged("bundle header is damaged: a section is larger than any file");
    }
    return Number(value);
  };
  const section = (index: number): Section => {
    const at = 16 + index * ENTRY_BYTES;
    return { offset: number(at), size: number(at + 8), hash: start.slice(at + 16, at + 16 + HASH_BYTES) };
  };
  const [manifest, shaders, hashes] = [0, 1, 2].map(section);
  const weights = { offset: number(TABLE_END - 16), size: number(TABLE_END - 8) };
  const most: [Section, number][] = [
    [manifest, MANIFEST_BYTES],
    [shaders, SHADER_BYTES],
    [hashes, WEIGHTS * HASH_BYTES],
  ];
  if (most.some(([{ size }, bytes]) => size > bytes)) {
    throw damaged("bundle header is damaged: a section is larger than any reader accepts");
  }
  const after = ({ offset, size }: Section, alignment: number): number => roundUp(offset + size, alignment);
  const follow =
    manifest.offset === HEADER_BYTES &&
    shaders.offset === after(manifest, SECTION_ALIGNMENT_BYTES) &&
    hashes.offset === after(shaders, SECTION_ALIGNMENT_BYTES) &&
    weights.offset === after(hashes, PAGE_BYTES);
  const end = weights.offset + weights.size;
  if (!follow || !Number.isSafeInteger(end)) {
    throw damaged("bundle header is damaged: section offsets do not follow from the section sizes");
  }
  if (fileBytes !== null && fileBytes < end) {
    throw truncated(end, fileBytes);
  }
  if (fileBytes !== null && fileBytes > end) {
    throw damaged(`${fileBytes - end} bytes follow the last section`);
  }
  return { manifest, shaders, hashes, weights, fileBytes: end };
};

/** Bytes between sections, and between weights, are zero: one content has one file. */
export const checkPadding = (bytes: Uint8Array): void => {
  if (bytes.some((byte) => byte !== 0)) {
    throw damaged("bytes between sections or weights are not zero");
  }
};
