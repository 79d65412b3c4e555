/** Sizes that the app says at run time, and what follows from them: the arithmetic of `runtime/bundle/src/manifest/size.rs`. */

import type { FreeDim, IoTensor, SizeExpression } from "./manifest.js";

/** The least and the greatest of something. */
export interface Bounds {
  readonly least: bigint;
  readonly most: bigint;
}

/** Why an expression has no value, to follow its name. */
export class SizeFlaw extends Error {}

const OVERFLOW = "overflows for some sizes of the dims";
const MOST = 2n ** 64n - 1n;

/** The smallest size that may be set; more than `mostOf` where there is none. */
export const leastOf = ({ low, step }: FreeDim): bigint => ((low + step - 1n) / step) * step;

/** The largest size that may be set, and the one that a session begins with. */
export const mostOf = ({ high, step }: FreeDim): bigint => high - (high % step);

/** Bounds of the values of an expression where those of the dims are within these. */
export const boundsOf = (terms: SizeExpression, dims: readonly Bounds[]): Bounds => {
  const stack: Bounds[] = [];
  for (const term of terms) {
    if (typeof term === "string") {
      const [b, a] = [stack.pop(), stack.pop()];
      if (a === undefined || b === undefined) {
        throw new SizeFlaw("is not one expression in postfix order");
      }
      stack.push(apply(term, a, b));
    } else if ("Const" in term) {
      stack.push({ least: term.Const, most: term.Const });
    } else if (term.Dim < dims.length) {
      stack.push(dims[term.Dim]);
    } else {
      throw new SizeFlaw(`takes dim ${term.Dim}, which the entry does not have`);
    }
  }
  if (stack.length !== 1) {
    throw new SizeFlaw("is not one expression in postfix order");
  }
  return stack[0];
};

/** The value of an expression where the dims have these sizes. */
export const valueOf = (terms: SizeExpression, sizes: readonly bigint[]): bigint =>
  boundsOf(terms, sizes.map((size) => ({ least: size, most: size }))).least;

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

const apply = (operator: Extract<SizeExpression[number], string>, a: Bounds, b: Bounds): Bounds => {
  const both = (of: (a: bigint, b: bigint) => bigint): Bounds => {
    const most = of(a.most, b.most);
    if (most > MOST) {
      throw new SizeFlaw(OVERFLOW);
    }
    return { least: of(a.least, b.least), most };
  };
  const divided = (by: (a: bigint, b: bigint) => bigint): Bounds => {
    if (b.least === 0n) {
      throw new SizeFlaw("divides by zero for some sizes of the dims");
    }
    return { least: by(a.least, b.most), most: by(a.most, b.least) };
  };
  switch (operator) {
    case "Add":
      return both((a, b) => a + b);
    case "Mul":
      return both((a, b) => a * b);
    case "Sub":
      if (a.least < b.most) {
        throw new SizeFlaw("is below zero for some sizes of the dims");
      }
      return { least: a.least - b.most, most: a.most - b.least };
    case "FloorDiv":
      return divided((a, b) => a / b);
    case "CeilDiv":
      return divided((a, b) => (a + b - 1n) / b);
    case "Max":
      return both(larger);
    case "Min":
      return both(smaller);
  }
};

/** A tensor as it is where `sizes` are those of its entry. */
export const tensorAt = (tensor: IoTensor, sizes: readonly bigint[]): IoTensor => {
  const shape = [...tensor.shape];
  tensor.free.forEach(({ axis, size }) => (shape[axis] = sizes[size]));
  return { ...tensor, shape };
};
