/** Rules of sizes that the app says: what follows from them fits in 32 bits and in what was planned for, whatever they are. */

import { invalid } from "../error.js";
import * as limits from "../limits.js";
import type { Dispatch, Entry, FreeDim, IoTensor, SizeExpression, Word } from "../manifest.js";
import { type Bounds, SizeFlaw, boundsOf, leastOf, mostOf, valueOf } from "../size.js";
import { type Place, check, count, indexed, named, shown } from "./rules.js";

/** A size that follows from the dims. */
interface Known {
  /** Its value where all dims have their largest sizes. */
  readonly largest: bigint;
  /** Bound of its values. */
  readonly most: bigint;
}

const U32 = 2n ** 32n - 1n;
const UTF8 = new TextEncoder();

/** Whether `a` comes before `b` in the order of their bytes. */
const isBefore = (a: string, b: string): boolean => {
  const [first, second] = [UTF8.encode(a), UTF8.encode(b)];
  const at = first.findIndex((byte, index) => byte !== second[index]);
  return at < 0 ? first.length < second.length : at >= second.length ? false : first[at] < second[at];
};

const isSorted = <T>(list: readonly T[], before: (a: T, b: T) => boolean): boolean =>
  list.slice(1).every((item, index) => before(list[index], item));

/** What is known of the sizes of an entry. */
export class Sizes {
  private readonly known: readonly Known[];

  /** Checks the dims and sizes of an entry. */
  constructor(
    private readonly place: Place,
    { dims, sizes }: Entry,
  ) {
    count(place, "dims", dims.length, limits.DIMS);
    count(place, "sizes", sizes.length, limits.SIZES);
    dims.forEach((dim) => checkDim(place, dim));
    check(isSorted(dims, (a, b) => isBefore(a.name, b.name)), place, "names of the dims are not in ascending order");
    const bounds = dims.map((dim) => ({ least: leastOf(dim), most: mostOf(dim) }));
    this.known = sizes.map((size, index) => knownOf(place, size, index, bounds));
  }

  /** Checks the free axes of an input or output. */
  axes(tensor: IoTensor): void {
    check(isSorted(tensor.free, (a, b) => a.axis < b.axis), this.place, "free axes are not in ascending order");
    for (const { axis, size } of tensor.free) {
      const stated = indexed(this.place, "axis", tensor.shape, axis);
      this.isAtMost(this.place, size, stated, `axis ${axis} of \`${shown(tensor.name)}\``);
    }
  }

  /** Checks the grid of a dispatch. */
  grid(place: Place, { workgroups, free_workgroups }: Dispatch): void {
    free_workgroups.forEach((size, axis) => {
      if (size !== null) {
        this.isAtMost(place, size, BigInt(workgroups[axis]), `workgroup count ${axis}`);
      }
    });
  }

  /** Checks words of parameters. */
  words(place: Place, words: readonly Word[]): void {
    for (const word of words) {
      if ("Size" in word) {
        indexed(place, "size", this.known, word.Size);
      }
    }
  }

  /** A size is what is stated at the largest dims, and never more. */
  private isAtMost(place: Place, size: number, stated: bigint, what: string): void {
    const { largest, most } = indexed(place, "size", this.known, size);
    const said = `its size ${size} is ${largest} at the largest dims and may be up to ${most}`;
    check(largest === stated && most === stated, place, `${what} is stated to be at most ${stated}, ${said}`);
  }
}

const checkDim = (place: Place, dim: FreeDim): void => {
  const { name, low, high, step } = dim;
  named(place, "name of a dim", name);
  const holds = step > 0n && leastOf(dim) <= mostOf(dim) && high <= U32;
  const said = `is a multiple of ${step} from ${low} to ${high}, which no size of 32 bits is`;
  check(holds, place, `dim \`${shown(name)}\` ${said}`);
};

const knownOf = (place: Place, size: SizeExpression, index: number, bounds: readonly Bounds[]): Known => {
  count(place, "terms of a size", size.length, limits.TERMS);
  try {
    const { most } = boundsOf(size, bounds);
    if (most > U32) {
      throw new SizeFlaw("overflows for some sizes of the dims");
    }
    return { largest: valueOf(size, bounds.map((dim) => dim.most)), most };
  } catch (error) {
    throw error instanceof SizeFlaw ? invalid(place, `size ${index} ${error.message}`) : error;
  }
};
