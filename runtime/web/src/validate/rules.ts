/** The simplest rules, which all others are made of. */

import { invalid } from "../error.js";
import { ALIGNMENT_BYTES, ELEMENTS, NAME_BYTES, RANK } from "../limits.js";

/** Where in a manifest something is. */
export type Place = string;

/** A name short enough for a message, whatever the file says. */
export const shown = (name: string): string => (name.length > 120 ? `${name.slice(0, 120)}...` : name);

export const check = (holds: boolean, place: Place, problem: string): void => {
  if (!holds) {
    throw invalid(place, problem);
  }
};

export const count = (place: Place, what: string, found: number, most: number): void => {
  if (found > most) {
    throw invalid(place, `${found} ${what} where at most ${most} are accepted`);
  }
};

const UTF8 = new TextEncoder();

export const length = (place: Place, what: string, text: string): void => {
  // A unit of JavaScript's strings is three bytes of UTF-8 at most.
  if (3 * text.length > NAME_BYTES && UTF8.encode(text).length > NAME_BYTES) {
    throw invalid(place, `${what} is longer than the ${NAME_BYTES} bytes that are accepted`);
  }
};

export const named = (place: Place, what: string, text: string): void => {
  check(text !== "", place, `${what} is empty`);
  length(place, what, text);
};

export const unique = (place: Place, what: string, names: Iterable<string>): void => {
  const seen = new Set<string>();
  for (const name of names) {
    check(!seen.has(name), place, `two ${what} are named \`${shown(name)}\``);
    seen.add(name);
  }
};

export const indexed = <T>(place: Place, what: string, list: readonly T[], index: number): T => {
  check(index < list.length, place, `${what} ${index} does not exist, there are ${list.length}`);
  return list[index];
};

export const aligned = (place: Place, what: string, value: number, of: number = ALIGNMENT_BYTES): void =>
  check(value % of === 0, place, `${what} is ${value}, not a multiple of ${of}`);

export const nonzero = (place: Place, what: string, sizes: readonly number[]): void =>
  check(!sizes.includes(0), place, `${what} is zero`);

/** A range that may be empty. */
export const span = (place: Place, offset: number, size: number, within: string, available: number): void =>
  check(offset + size <= available, place, `bytes ${offset} + ${size} leave the ${within} of ${available} bytes`);

/** A range of at least one byte: no API binds an empty one. */
export const range = (place: Place, offset: number, size: number, within: string, available: number): void => {
  nonzero(place, "size", [size]);
  span(place, offset, size, within, available);
};

/** The number of elements of a shape, which is not absurd. */
export const elements = (place: Place, shape: readonly bigint[]): number => {
  count(place, "axes", shape.length, RANK);
  let product = 1n;
  for (const side of shape) {
    product *= side;
    check(product < 2n ** 64n, place, "an element count is too large");
  }
  check(product <= BigInt(ELEMENTS), place, "an element count is too large");
  return Number(product);
};
