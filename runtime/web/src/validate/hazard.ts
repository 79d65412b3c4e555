/**
 * Barriers: no dispatch may touch what an earlier one, since the last barrier, writes, nor write what it reads. And what `init`
 * leaves in derived blobs.
 */

import { type BindingSlot, type Dispatch, type Resource, type Variant, placeOf } from "../manifest.js";
import { type Place, check } from "./rules.js";

/** Most ranges of a block. */
const BLOCK = 256;

/** Disjoint ranges, merged as they meet; in blocks, so that adding one stays cheap in whatever order they come. */
export class Ranges {
  private blocks: { starts: number[]; ends: number[] }[] = [];

  /** Block and index of the last range that starts before `limit`; -1 where there is none. */
  private before(limit: number): [number, number] {
    const block = lowest(this.blocks.length, (index) => this.blocks[index].starts[0] >= limit) - 1;
    if (block < 0) {
      return [-1, -1];
    }
    const { starts } = this.blocks[block];
    return [block, lowest(starts.length, (index) => starts[index] >= limit) - 1];
  }

  overlap(start: number, end: number): boolean {
    const [block, index] = this.before(end);
    return block >= 0 && this.blocks[block].ends[index] > start;
  }

  /** Whether every byte of a range is in the set. */
  cover(start: number, end: number): boolean {
    const [block, index] = this.before(start + 1);
    return block >= 0 && this.blocks[block].ends[index] >= end;
  }

  insert(start: number, end: number): void {
    for (;;) {
      const [block, index] = this.before(end + 1);
      if (block < 0 || this.blocks[block].ends[index] < start) {
        this.add(block, index + 1, start, end);
        return;
      }
      const { starts, ends } = this.blocks[block];
      [start, end] = [Math.min(start, starts[index]), Math.max(end, ends[index])];
      starts.splice(index, 1);
      ends.splice(index, 1);
      if (starts.length === 0) {
        this.blocks.splice(block, 1);
      }
    }
  }

  private add(block: number, index: number, start: number, end: number): void {
    if (block < 0 && this.blocks.length === 0) {
      this.blocks.push({ starts: [start], ends: [end] });
      return;
    }
    const at = Math.max(block, 0);
    const { starts, ends } = this.blocks[at];
    starts.splice(block < 0 ? 0 : index, 0, start);
    ends.splice(block < 0 ? 0 : index, 0, end);
    if (starts.length > BLOCK) {
      const half = BLOCK / 2;
      this.blocks.splice(at + 1, 0, { starts: starts.splice(half), ends: ends.splice(half) });
    }
  }

  /** All of them, for tests. */
  all(): [number, number][] {
    return this.blocks.flatMap(({ starts, ends }) => starts.map((start, index): [number, number] => [start, ends[index]]));
  }
}

/** The lowest index that `holds`, which holds for all above it; `count` where there is none. */
const lowest = (count: number, holds: (index: number) => boolean): number => {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
};

/** Sets of ranges by region. Weights are left out, since nothing writes them. */
class Touched {
  private readonly regions = new Map<number, Ranges>();

  of(region: number): Ranges | undefined {
    return this.regions.get(region);
  }

  overlaps(resource: Resource): boolean {
    const place = placeOf(resource);
    return place !== null && (this.of(place.region)?.overlap(place.start, place.end) ?? false);
  }

  insert(resource: Resource): void {
    const place = placeOf(resource);
    if (place !== null) {
      const ranges = this.of(place.region) ?? new Ranges();
      this.regions.set(place.region, ranges);
      ranges.insert(place.start, place.end);
    }
  }
}

/** What the dispatches since the last barrier touch. */
export class Hazards {
  private read = new Touched();
  private written = new Touched();

  add(place: Place, slots: readonly BindingSlot[], dispatch: Dispatch): void {
    if (dispatch.barrier) {
      this.read = new Touched();
      this.written = new Touched();
    }
    dispatch.bindings.forEach((resource, slot) => {
      const written = this.written.overlaps(resource);
      const read = slots[slot].writable && this.read.overlaps(resource);
      const problem = `slot ${slot} touches memory that an earlier dispatch ${written ? "writes" : "reads"}, with no barrier between them`;
      check(!written && !read, place, problem);
    });
    dispatch.bindings.forEach((resource, slot) => (slots[slot].writable ? this.written : this.read).insert(resource));
  }
}

/** What an init program leaves in derived blobs. */
export class Derived {
  private readonly touched = new Touched();

  write(slots: readonly BindingSlot[], dispatch: Dispatch): void {
    dispatch.bindings.filter((_, slot) => slots[slot].writable).forEach((resource) => this.touched.insert(resource));
  }

  holdsWhatIsRead(place: Place, variant: Variant, dispatch: Dispatch): void {
    dispatch.bindings.forEach((resource, slot) => {
      const bound = placeOf(resource);
      if (bound !== null && variant.regions[bound.region].kind === "Derived") {
        const written = this.touched.of(bound.region)?.cover(bound.start, bound.end) ?? false;
        check(written, place, `slot ${slot} reads bytes of region ${bound.region}, a derived blob, that \`init\` does not write`);
      }
    });
  }
}
