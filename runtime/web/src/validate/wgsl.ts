/**
 * Declarations of WGSL, read from tokens in the forms in which the compiler prints them, and held against what the manifest
 * says of the shader. The browser checks all else. As in `runtime/bundle/src/code`.
 */

import type { BindingSlot, DeviceElement, Requirement, Shader, TextureKind } from "../manifest.js";
import { type Place, check } from "./rules.js";

type Kind =
  | { readonly is: "storage" | "uniform"; readonly bytes: number | null }
  | { readonly is: "texture"; readonly kind: TextureKind; readonly channel: DeviceElement | "float" };

interface Resource {
  readonly group: number;
  readonly binding: number;
  readonly kind: Kind;
  /** Whether the code writes it; null where that cannot be told. */
  readonly writable: boolean | null;
}

/** What a shader's code declares. */
export interface Declared {
  readonly entryPoint: string;
  readonly workgroup: readonly number[];
  readonly resources: readonly Resource[];
  readonly needs: readonly Requirement[];
}

const TOKEN = /[\p{Alphabetic}\p{N}_]+|[^\p{White_Space}]/gu;

/** Words, numbers and single signs, without comments. */
const tokensOf = (place: Place, code: string): string[] =>
  code.split("\n").flatMap((line) => {
    const [before] = line.split("//", 1);
    const strange = ["/*", "\\", "??", "#", "%:"].some((sign) => before.includes(sign));
    check(!strange, place, "the code's declarations cannot be read: there is a line that no writer prints");
    return before.match(TOKEN) ?? [];
  });

/** Whether the tokens at `at` are those of `wanted`. */
const stands = (tokens: readonly string[], at: number, wanted: readonly string[]): boolean =>
  wanted.every((token, index) => tokens[at + index] === token);

const positions = (tokens: readonly string[], ...wanted: string[]): number[] =>
  tokens.flatMap((token, at) => (token === wanted[0] && stands(tokens, at, wanted) ? [at] : []));

const MOST_U32 = 2 ** 32 - 1;

const number = (token: string | undefined): number | null => {
  const digits = /^([0-9]+)u*$/.exec(token ?? "");
  const value = digits === null ? Number.NaN : Number(digits[1]);
  return value <= MOST_U32 ? value : null;
};

/** Reads the declarations of `code`. */
export const declarations = (place: Place, code: string): Declared => {
  const readable = (holds: boolean, problem: string): void =>
    check(holds, place, `the code's declarations cannot be read: ${problem}`);
  const tokens = tokensOf(place, code);
  const header = ["@", "compute", "@", "workgroup_size", "("];
  const starts = positions(tokens, ...header);
  const one = starts.length === 1 && positions(tokens, "@", "compute").length === 1;
  readable(one, "there is not one compute entry point");
  const [x, comma, y, second, z, , fn, name, parenthesis] = tokens.slice(starts[0] + header.length);
  const workgroup = [x, y, z].map(number);
  const three = comma === "," && second === "," && !workgroup.includes(null);
  readable(three, "the workgroup is not three numbers");
  readable(fn === "fn" && parenthesis === "(", "no function follows the workgroup");
  const resources = positions(tokens, "@", "group", "(").map((at) => {
    const found = resourceAt(tokens, at);
    readable(found !== null, "a bound variable is not as any writer prints it");
    return found as Resource;
  });
  readable(positions(tokens, "binding", "(").length === resources.length, "a binding has no group before it");
  const enabled = (what: string): boolean => positions(tokens, "enable", what).length > 0;
  const needs: Requirement[] = [];
  if (enabled("f16")) needs.push("F16");
  if (enabled("subgroups")) needs.push("Subgroups");
  return { entryPoint: name, workgroup: workgroup as number[], resources, needs };
};

const resourceAt = (tokens: readonly string[], at: number): Resource | null => {
  const [, , , first, close, sign, word, open, second, end, variable] = tokens.slice(at, at + 11);
  const asPrinted = close === ")" && sign === "@" && word === "binding" && open === "(" && end === ")" && variable === "var";
  const [group, binding] = [number(first), number(second)];
  if (!asPrinted || group === null || binding === null) {
    return null;
  }
  const found = kindOf(tokens.slice(at + 11, at + 30));
  if (found === null) {
    return null;
  }
  const [kind, writable] = found;
  // All of group 0 is declared to be written, since activations are one buffer: what is only read is not told.
  if (group === 0 && kind.is === "storage") {
    return writable ? { group, binding, kind, writable: null } : null;
  }
  return { group, binding, kind, writable };
};

/** The kind of a variable, after `var`, and whether it is written. */
const kindOf = (rest: readonly string[]): [Kind, boolean] | null => {
  const typed = (before: readonly string[]): string[] | null =>
    stands(rest, 0, before) && rest[before.length + 1] === ":" ? rest.slice(before.length + 2) : null;
  const written = typed(["<", "storage", ",", "read_write", ">"]);
  const read = typed(["<", "storage", ",", "read", ">"]) ?? typed(["<", "storage", ">"]);
  const storage = written ?? read;
  if (storage !== null) {
    return [{ is: "storage", bytes: bytesOf(storage) }, written !== null];
  }
  const uniform = typed(["<", "uniform", ">"]);
  return uniform === null ? textureOf(rest) : [{ is: "uniform", bytes: bytesOf(uniform) }, false];
};

const TEXTURES: Record<string, [TextureKind, boolean] | undefined> = {
  texture_2d: ["D2", false],
  texture_2d_array: ["Array", false],
  texture_3d: ["D3", false],
  texture_storage_2d: ["D2", true],
  texture_storage_2d_array: ["Array", true],
  texture_storage_3d: ["D3", true],
};

const READ: Record<string, DeviceElement | "float" | undefined> = { f32: "float", i32: "I32", u32: "U32" };

const WRITTEN: Record<string, DeviceElement | undefined> = {
  rgba32float: "F32",
  rgba16float: "F16",
  rgba32sint: "I32",
  rgba32uint: "U32",
};

const textureOf = ([, colon, type, open, of, next, access]: readonly string[]): [Kind, boolean] | null => {
  const texture = Object.hasOwn(TEXTURES, type ?? "") ? TEXTURES[type] : undefined;
  if (colon !== ":" || open !== "<" || texture === undefined) {
    return null;
  }
  const [kind, written] = texture;
  const ends = written ? next === "," && access === "write" : next === ">";
  const channels: Record<string, DeviceElement | "float" | undefined> = written ? WRITTEN : READ;
  const channel = Object.hasOwn(channels, of ?? "") ? channels[of] : undefined;
  return ends && channel !== undefined ? [{ is: "texture", kind, channel }, written] : null;
};

const SCALARS: Record<string, number | undefined> = { f32: 4, i32: 4, u32: 4, f16: 2 };
const LANES: Record<string, number | undefined> = { vec2: 2, vec3: 4, vec4: 4 };

const scalar = (name: string | undefined): number | null =>
  Object.hasOwn(SCALARS, name ?? "") ? (SCALARS[name as string] as number) : null;

/** Bytes of `array<T, N>` of scalars or vectors, where they can be read. */
const bytesOf = (type: readonly string[]): number | null => {
  if (!stands(type, 0, ["array", "<"])) {
    return null;
  }
  const [, , of, open, lane, close, comma, many, end] = type;
  if (Object.hasOwn(LANES, of ?? "") && open === "<" && close === ">" && comma === "," && end === ">") {
    const [bytes, items] = [scalar(lane), number(many)];
    return bytes === null || items === null ? null : (LANES[of] as number) * bytes * items;
  }
  const [bytes, items] = [scalar(of), number(lane)];
  return open === "," && close === ">" && bytes !== null && items !== null ? bytes * items : null;
};

/** Holds what the code declares against the manifest's words, both ways. */
export const compare = (place: Place, code: Declared, shader: Shader): void => {
  const names = `the entry point is \`${code.entryPoint}\` in the code and \`${shader.entry_point}\` in the manifest`;
  check(code.entryPoint === shader.entry_point, place, names);
  const sizes = `the workgroup is ${code.workgroup} in the code and ${shader.workgroup_size} in the manifest`;
  check(code.workgroup.every((side, axis) => side === shader.workgroup_size[axis]), place, sizes);
  const key = ({ group, binding }: { group: number; binding: number }): string => `group ${group} binding ${binding}`;
  const left = new Map(shader.bindings.map((slot) => [key(slot), slot]));
  for (const resource of code.resources) {
    const slot = left.get(key(resource));
    const problem = slot === undefined ? "the code declares what the manifest does not, or twice" : differs(resource, slot);
    check(problem === null, place, `${key(resource)}: ${problem}`);
    left.delete(key(resource));
  }
  // An optimiser drops what is never read; what is said to be written must be there.
  for (const slot of left.values()) {
    check(!slot.writable, place, `${key(slot)}: the manifest has this slot, the code does not declare it`);
  }
};

const differs = ({ kind, writable }: Resource, slot: BindingSlot): string | null => {
  const expected = slot.kind;
  if (kind.is === "texture") {
    if (!("Texture" in expected)) {
      return "the code declares a resource of another kind";
    }
    const { kind: dimensions, element } = expected.Texture;
    const held = kind.channel === "float" ? element === "F32" || element === "F16" : kind.channel === element;
    if (kind.kind !== dimensions || !held) {
      return "the code declares another texture";
    }
  } else {
    const buffer =
      kind.is === "storage"
        ? "StorageBuffer" in expected && expected.StorageBuffer
        : "UniformBuffer" in expected && expected.UniformBuffer;
    if (!buffer) {
      return "the code declares a resource of another kind";
    }
    // An odd number of f16 is declared as pairs of them.
    if (kind.bytes !== null && BigInt(Math.ceil(kind.bytes / 4)) > (buffer.min_bytes + 3n) / 4n) {
      return `the code declares ${kind.bytes} bytes, the slot ${buffer.min_bytes}`;
    }
  }
  return writable === null || writable === slot.writable ? null : "code and manifest disagree on whether it is written";
};
