/**
 * Reads each bundle of a folder as the Rust reader did, whose verdicts are beside them in `verdicts.json`: both accept it and
 * find the same manifest, or both refuse it.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Blake3, blake3 } from "../src/blake3.js";
import { Bundle } from "../src/bundle.js";
import { decode } from "../src/decode.js";
import { DriftError } from "../src/error.js";
import { floatOf, halfOf } from "../src/host.js";
import { manifest } from "../src/manifest.js";
import { Ranges } from "../src/validate/hazard.js";

interface Verdict {
  /** Where the file is in `bundles.bin`. */
  readonly offset: number;
  readonly size: number;
  readonly name: string;
  /** The manifest as serde prints it, where the bundle is sound. */
  readonly manifest: string | null;
  /** Why the Rust reader refuses it, otherwise. */
  readonly error: string | null;
  /** What is wrong is code for another target, which this reader does not look at. */
  readonly isForeign: boolean;
}

/** JSON with bigints as plain numbers, as serde has them. */
const canonical = (value: unknown): string => {
  const mark = "\u0001wide";
  const marked = JSON.stringify(value, (_, field: unknown) => (typeof field === "bigint" ? `${mark}${field}` : field));
  return marked.replace(/"\\u0001wide(\d+)"/g, "$1");
};

/** Reads all of a bundle, weights included. */
const read = async (bytes: Uint8Array): Promise<string> => {
  const bundle = await Bundle.load(bytes);
  await bundle.readWeights(new Set(bundle.manifest.weights.keys()), () => undefined);
  return canonical(bundle.manifest);
};

/** Each value in a manifest, in order, as `PATH = JSON`. */
const leaves = (value: unknown, path: string): string[] => {
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => leaves(item, `${path}[${index}]`));
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([name, field]) => leaves(field, path === "" ? name : `${path}.${name}`));
  }
  return [`${path} = ${canonical(value)}`];
};

/** Reads the manifest that is written down byte by byte, and finds each value that stands there. */
const written = (file: string): void => {
  const lines = readFileSync(file, "utf8")
    .split(/\r?\n/)
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("  ")), line.slice(line.indexOf("  ") + 2)]);
  const bytes = lines.flatMap(([hex]) => hex.split(" ").map((byte) => Number.parseInt(byte, 16)));
  const values = lines.map(([, meaning]) => meaning).filter((meaning) => / = /.test(meaning));
  assert.deepEqual(leaves(decode(manifest, Uint8Array.from(bytes)), ""), values);
  assert.ok(values.length > 300, `${values.length} values`);
};

const agree = async (folder: string): Promise<void> => {
  const verdicts = JSON.parse(readFileSync(join(folder, "verdicts.json"), "utf8")) as Verdict[];
  const bundles = new Uint8Array(readFileSync(join(folder, "bundles.bin")));
  const [counts, wrong] = [{ accepted: 0, refused: 0, foreign: 0 }, [] as string[]];
  for (const { name, offset, size, manifest, error, isForeign } of verdicts) {
    const found = await read(bundles.subarray(offset, offset + size)).then(
      (dump) => ({ dump, refused: null }),
      (thrown: unknown) => ({ dump: null, refused: thrown }),
    );
    if (found.refused !== null && !(found.refused instanceof DriftError)) {
      wrong.push(`${name}: not an error of ours: ${String(found.refused)}`);
    } else if (isForeign) {
      counts.foreign += 1;
    } else if ((found.dump === null) !== (manifest === null)) {
      wrong.push(`${name}: Rust says ${error ?? "it is sound"}, the browser's reader ${String(found.refused ?? "accepts it")}`);
    } else if (found.dump !== manifest) {
      wrong.push(`${name}: the manifests differ`);
    } else {
      counts[found.dump === null ? "refused" : "accepted"] += 1;
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(counts.accepted > 20 && counts.refused > 100, JSON.stringify(counts));
  console.log(`readers agree: ${JSON.stringify(counts)}`);
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The first bytes of hashes of 0, 1, .. 250, 0, 1, .., by the algorithm's own test vectors, and pieces of any size. */
const hashes = (): void => {
  const input = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index % 251);
  const expected: [number, string][] = [
    [0, "af1349b9f5f9a1a6"],
    [1, "2d3adedff11b61f1"],
    [1023, "10108970eeda3eb9"],
    [1024, "42214739f095a406"],
    [1025, "d00278ae47eb27b3"],
    [2048, "e776b6028c7cd22a"],
    [2049, "5f4d72f40d7a5f82"],
    [31744, "62b6960e1a44bcc1"],
    [102400, "bc3e3d41a1146b06"],
  ];
  for (const [length, start] of expected) {
    assert.equal(hex(blake3(input(length))).slice(0, 16), start, `${length} bytes`);
  }
  const bytes = input(9_000);
  for (const step of [1, 63, 1_000, 1_024, 5_000]) {
    const pieces = new Blake3();
    for (let at = 0; at < bytes.length; at += step) {
      pieces.update(bytes.subarray(at, at + step));
    }
    assert.equal(hex(pieces.digest()), hex(blake3(bytes)), `pieces of ${step}`);
  }
};

/** Every half survives the way to a float and back, and floats between two halves go to the nearer one. */
const halves = (): void => {
  for (let bits = 0; bits < 0x1_0000; bits++) {
    const value = floatOf(bits);
    assert.ok(Number.isNaN(value) ? (halfOf(value) & 0x7fff) > 0x7c00 : halfOf(value) === bits, `${bits}`);
    if (bits < 0x7bff) {
      const next = floatOf(bits + 1);
      const middle = (value + next) / 2;
      assert.equal(halfOf(middle), bits + (bits % 2), `the middle after ${bits}`);
      assert.equal(halfOf(-Math.fround(middle + (next - value) / 8)), 0x8000 | (bits + 1), `beyond the middle after ${bits}`);
    }
  }
  assert.deepEqual([65519.99, 65520, -1e30, Infinity].map(halfOf), [0x7bff, 0x7c00, 0xfc00, 0x7c00]);
};

/** Ranges in blocks are what a plain list of bytes says. */
const ranges = (): void => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed % below;
  };
  for (let round = 0; round < 20; round++) {
    const [ranges, bytes] = [new Ranges(), new Uint8Array(4_000)];
    for (let count = 0; count < 1_500; count++) {
      const start = random(3_990);
      const end = start + 1 + random(round % 4 === 0 ? 9 : 2);
      const [overlap, cover] = [bytes.subarray(start, end).includes(1), !bytes.subarray(start, end).includes(0)];
      assert.equal(ranges.overlap(start, end), overlap);
      assert.equal(ranges.cover(start, end), cover);
      ranges.insert(start, end);
      bytes.fill(1, start, end);
    }
    const all = ranges.all();
    assert.ok(all.every(([start], index) => index === 0 || start > all[index - 1][1]), "apart and in order");
  }
};

hashes();
halves();
ranges();
written(join(process.argv[2], "manifest.txt"));
await agree(process.argv[2]);
