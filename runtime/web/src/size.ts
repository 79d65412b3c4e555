/** Sizes that the app says at run time, and what follows from them: the arithmetic of `runtime/bundle/src/manifest/size.rs`. */

import { DriftError } from "./error.js";
import type { Dispatch, Entry, FreeDim, IoTensor, SizeExpression, Word } from "./manifest.js";

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

/** A dim of the model whose size is free. */
export interface Dim {
  readonly name: string;
  /** The least size that it may have. */
  readonly low: number;
  /** The greatest, which it has until another one is set. */
  readonly high: number;
  /** What its sizes are multiples of. */
  readonly step: number;
  /** The size that it has. */
  readonly size: number;
}

/** The sizes of an entry's dims, and those that follow from them. */
export class Sizes {
  /** One for each dim: all begin with their largest sizes. */
  private readonly set: bigint[];
  private values: readonly bigint[] = [];

  constructor(private readonly entry: Entry) {
    this.set = entry.dims.map(mostOf);
    this.follow();
  }

  /** What there is to set. */
  dims(): readonly Dim[] {
    return this.entry.dims.map((dim, index) => ({
      name: dim.name,
      low: Number(leastOf(dim)),
      high: Number(mostOf(dim)),
      step: Number(dim.step),
      size: Number(this.set[index]),
    }));
  }

  /** The number of a dim that may have this size. */
  find(name: string, size: number): number {
    const dims = this.dims();
    const index = dims.findIndex((dim) => dim.name === name);
    if (index < 0) {
      const held = dims.length === 0 ? "nor any other" : `only: ${dims.map((dim) => dim.name).join(", ")}`;
      throw new DriftError("no-dim", `entry \`${this.entry.name}\` has no dim \`${name}\` whose size is free, ${held}`);
    }
    const { low, high, step } = dims[index];
    if (!Number.isInteger(size) || size < low || size > high || size % step !== 0) {
      const may = step === 1 ? `${low} to ${high}` : `multiples of ${step} from ${low} to ${high}`;
      throw new DriftError("range", `dim \`${name}\` cannot be ${size}; it may be ${may}`);
    }
    return index;
  }

  /** Sets the size of a dim that may have it, and says whether it had another. */
  change(index: number, size: number): boolean {
    const before = this.set[index];
    this.set[index] = BigInt(size);
    this.follow();
    return before !== this.set[index];
  }

  /** A tensor of the entry as it is now. */
  tensor(tensor: IoTensor): IoTensor {
    const shape = [...tensor.shape];
    tensor.free.forEach(({ axis, size }) => (shape[axis] = this.values[size]));
    return { ...tensor, shape };
  }

  /** The grid of a dispatch as it is now. */
  grid({ workgroups, free_workgroups }: Dispatch): [number, number, number] {
    const count = (axis: 0 | 1 | 2): number => {
      const size = free_workgroups[axis];
      return size === null ? workgroups[axis] : Number(this.values[size]);
    };
    return [count(0), count(1), count(2)];
  }

  /** The value of a word of parameters. */
  word(word: Word): number {
    return "Const" in word ? word.Const : Number(this.values[word.Size]);
  }

  private follow(): void {
    this.values = this.entry.sizes.map((size) => valueOf(size, this.set));
  }
}
