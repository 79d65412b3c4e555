/** Waits that end: at a deadline, when the app aborts, or when the device is lost. */

import { DriftError, words } from "./error.js";

/** What ends a wait beside what it waits for. */
export interface Ends {
  /** Milliseconds that the wait may take. */
  readonly within: number;
  /** The app's own signal. */
  readonly signal?: AbortSignal | undefined;
  /** Aborted, with an error of ours, when there is no point in waiting any more. */
  readonly lost?: AbortSignal | undefined;
}

/** Waits for `promise`; `doing` says what for. Whatever it settles to later is dropped. */
export const wait = <T>(promise: PromiseLike<T>, doing: string, { within, signal, lost }: Ends): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    const signals = [signal, lost].filter((one) => one !== undefined);
    const end = (how: () => void): void => {
      clearTimeout(timer);
      signals.forEach((one) => one.removeEventListener("abort", aborted));
      how();
    };
    const late = (): void => end(() => reject(new DriftError("timeout", `${doing} did not end within ${within / 1000} s`)));
    const aborted = (): void =>
      end(() => reject(lost?.aborted === true ? lost.reason : new DriftError("aborted", `aborted by the app while ${doing}`)));
    const timer = setTimeout(late, Math.min(Math.max(0, within), LONGEST_MS));
    signals.forEach((one) => one.addEventListener("abort", aborted));
    if (signals.some((one) => one.aborted)) {
      aborted();
    }
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    );
  });

/** What a browser's timers hold: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A deadline that several waits share. */
export class Deadline {
  private readonly until: number;

  constructor(
    private readonly milliseconds: number,
    private readonly ends: Omit<Ends, "within"> = {},
  ) {
    this.until = performance.now() + milliseconds;
  }

  async wait<T>(promise: PromiseLike<T>, doing: string): Promise<T> {
    const within = Math.max(0, this.until - performance.now());
    try {
      return await wait(promise, doing, { ...this.ends, within });
    } catch (error) {
      if (error instanceof DriftError && error.code === "timeout") {
        throw new DriftError("timeout", `${doing} did not end within the ${this.milliseconds / 1000} s that were allowed`);
      }
      throw error;
    }
  }
}

/** Turns what a browser throws into an error of ours. */
export const as = (code: "network" | "driver", doing: string, thrown: unknown): DriftError =>
  thrown instanceof DriftError ? thrown : new DriftError(code, `${doing} failed: ${words(thrown)}`, { cause: thrown });
