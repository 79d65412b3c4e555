/** A device of the browser with its queue: what it makes, whether it is lost, and waits for its work. */

import { Deadline, wait } from "./deadline.js";
import { DriftError, words } from "./error.js";
import type { DeviceInfo } from "./info.js";

/** Why a device can no longer be used. */
export interface Lost {
  /** `destroyed` by whoever holds the device, `unknown` by the browser or its driver, `overdue` where work did not end in its grace time. */
  readonly reason: "destroyed" | "unknown" | "overdue";
  /** The browser's words. */
  readonly message: string;
}

/** How long work may go on after a caller has stopped waiting for it. */
const GRACE_MS = 2_000;

export class Gpu {
  /** Set by the app, which needs no advice then. */
  isClosed = false;
  /** Set once the device is lost. */
  gone: Lost | null = null;
  /** Settles once, when the device is lost. */
  readonly lost: Promise<Lost>;
  /** The same for waits, which it ends. */
  private readonly ended = new AbortController();
  private lose: (lost: Lost) => void = () => undefined;

  constructor(
    readonly device: GPUDevice,
    readonly info: DeviceInfo,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = (lost) => {
        this.gone ??= lost;
        resolve(this.gone);
        this.ended.abort(this.lostError("waiting for the device"));
      };
    });
    void device.lost.then(({ reason, message }) => this.lose({ reason, message }));
  }

  private lostError(doing: string): DriftError {
    if (this.isClosed) {
      return new DriftError("destroyed", `the device was destroyed by the app, while ${doing}`);
    }
    const said = this.gone?.message ?? "";
    return new DriftError("device-lost", `the device was lost while ${doing}: ${said}; open a device again and load the bundle again`);
  }

  /** Refuses to go on with a device that is lost. */
  check(doing: string): void {
    if (this.gone !== null || this.isClosed) {
      throw this.lostError(doing);
    }
  }

  deadline(milliseconds: number, signal?: AbortSignal): Deadline {
    return new Deadline(milliseconds, { lost: this.isLost, signal });
  }

  /** Aborted when the device is lost. */
  get isLost(): AbortSignal {
    return this.ended.signal;
  }

  /** What to tell of an exception: a browser may reject what is on its way before it says that the device is lost. */
  async blame(doing: string, thrown: unknown): Promise<DriftError> {
    if (thrown instanceof DriftError) {
      return thrown;
    }
    await wait(this.lost, doing, { within: 500 }).catch(() => undefined);
    if (this.gone !== null || this.isClosed) {
      return this.lostError(doing);
    }
    return new DriftError("driver", `the browser failed while ${doing}: ${words(thrown)}`, { cause: thrown });
  }

  /** Calls `make` and says what the browser found wrong with it. */
  async scoped<T>(doing: string, make: () => T, deadline: Deadline): Promise<T> {
    this.check(doing);
    const { device } = this;
    const filters = ["validation", "out-of-memory", "internal"] as const;
    filters.forEach((filter) => device.pushErrorScope(filter));
    // Scopes are a stack: they are taken off before anyone else can push.
    const [made, scopes] = attempt(make, () => filters.map(() => device.popErrorScope()));
    const errors = await deadline.wait(Promise.all(scopes), doing).catch(async (thrown: unknown) => {
      throw await this.blame(doing, thrown);
    });
    const error = errors.find((one) => one !== null);
    if (error instanceof GPUOutOfMemoryError) {
      const advice = "close other users of the GPU, or compile a smaller model";
      throw new DriftError("out-of-memory", `out of memory while ${doing}; ${advice}`);
    }
    if (error) {
      throw new DriftError("driver", `the browser failed while ${doing}: ${error.message}`);
    }
    this.check(doing);
    return made();
  }

  /** Waits until all work that was submitted has ended. */
  async finished(doing: string, deadline: Deadline): Promise<void> {
    const done = this.device.queue.onSubmittedWorkDone();
    try {
      await deadline.wait(done, doing);
    } catch (error) {
      if (error instanceof DriftError && error.code === "timeout") {
        this.giveUp(done);
      }
      throw await this.blame(doing, error);
    }
  }

  /** Counts the device as lost where its work does not end in its grace time. */
  private giveUp(done: Promise<unknown>): void {
    const message = `its work did not end within ${GRACE_MS / 1000} s after the deadline`;
    const timer = setTimeout(() => this.lose({ reason: "overdue", message }), GRACE_MS);
    done.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  }
}

/** The result of `make` to be asked for later, where what it throws is thrown, and what `then` returns in any case. */
const attempt = <T, U>(make: () => T, then: () => U): [() => T, U] => {
  try {
    const made = make();
    return [() => made, then()];
  } catch (error) {
    const after = then();
    return [
      () => {
        throw new DriftError("driver", `the browser refused: ${words(error)}`, { cause: error });
      },
      after,
    ];
  }
};
