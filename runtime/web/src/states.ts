/** What runs keep for the next one: entries that are loaded together share states of one name, and take turns. */

import { DriftError } from "./error.js";
import { type Region, statesOf } from "./manifest.js";
import type { Program } from "./program.js";
import { Memory, type Place } from "./regions.js";

type State = ReturnType<typeof statesOf>[number];

/** The states of programs that are loaded together. */
export class States {
  private readonly memory: Memory;
  private readonly places = new Map<string, Place>();
  /** Those that a run that did not end well may have left half written. */
  private readonly torn = new Set<string>();
  private users: number;
  private last: Promise<void> = Promise.resolve();

  /** Takes a buffer for each state; refuses where two programs keep something else under one name. */
  constructor(device: GPUDevice, programs: readonly Program[]) {
    this.memory = new Memory(device);
    this.users = programs.length;
    const known = new Map<string, { of: State; entry: string }>();
    for (const { entry, variant } of programs) {
      for (const of of statesOf(variant.regions)) {
        const first = known.get(of.name);
        if (first === undefined) {
          known.set(of.name, { of, entry: entry.name });
          this.places.set(of.name, { buffer: this.memory.kernels(of.size), offset: 0 });
        } else if (formOf(first.of) !== formOf(of)) {
          this.memory.destroy();
          throw new DriftError(
            "unsupported",
            `entries \`${first.entry}\` and \`${entry.name}\` cannot share state \`${of.name}\`, which is ${formOf(first.of)} in the one and ` +
              `${formOf(of)} in the other; load each by itself`,
          );
        }
      }
    }
  }

  place(name: string): Place {
    return this.places.get(name) as Place;
  }

  /** Does something while no other session uses the states. All that sessions do has a deadline, and so this has. */
  async alone<T>(body: () => Promise<T>): Promise<T> {
    const before = this.last;
    let end = (): void => undefined;
    this.last = new Promise((resolve) => (end = resolve));
    await before;
    try {
      return await body();
    } finally {
      end();
    }
  }

  /** Refuses to use what may be half written. */
  check(regions: readonly Region[], only?: string): void {
    const torn = statesOf(regions).find(({ name }) => this.torn.has(name) && (only ?? name) === name);
    if (torn !== undefined) {
      throw new DriftError("failed", `state \`${torn.name}\` may be half written, because a run failed; call \`resetState\`, or write it`);
    }
  }

  /** Says that all of these are about to be written. */
  tear(regions: readonly Region[]): void {
    statesOf(regions).forEach(({ name }) => this.torn.add(name));
  }

  /** Says that they are whole. */
  settle(names: readonly string[]): void {
    names.forEach((name) => this.torn.delete(name));
  }

  /** Gives the memory back once the last session has. */
  release(): void {
    this.users -= 1;
    if (this.users === 0) {
      this.memory.destroy();
    }
  }
}

const formOf = ({ element, shape, size }: State): string => `${element} [${shape.join(", ")}] in ${size} bytes`;
