/** A loaded entry: named inputs in, run, named outputs out. */

import type { Declined } from "./choose.js";
import { DriftError } from "./error.js";
import { MAP_MODE_READ } from "./flags.js";
import type { Gpu } from "./gpu.js";
import { type Values, checkValues, fromDevice, toDevice, whole } from "./host.js";
import type { LoadTimes, Loaded } from "./loader.js";
import { type DeviceElement, type HostElement, type IoTensor, elementsOf, statesOf } from "./manifest.js";
import { type Bound, encode } from "./pipelines.js";
import { type InputUse, type Program, submissions } from "./program.js";
import type { DeviceBytes } from "./regions.js";
import { type Dim, Sizes } from "./size.js";
import { tensorBytes } from "./validate/variant.js";

/** A named input or output. */
export interface Tensor {
  readonly name: string;
  /** Type of its values. */
  readonly element: HostElement;
  /** Sizes, outermost first; values are row-major. */
  readonly shape: readonly number[];
}

/** What a session keeps from run to run in one of its regions of state. */
export interface StateTensor {
  readonly name: string;
  readonly element: DeviceElement;
  readonly shape: readonly number[];
  /** Bytes on the device, padding included: what is saved and loaded. */
  readonly bytes: number;
}

/** What loading did. */
export interface LoadReport {
  readonly entry: string;
  readonly variant: string;
  /** Variants before it, and why they were passed over. */
  readonly declined: readonly Declined[];
  readonly pipelines: number;
  readonly dispatches: number;
  readonly submissions: number;
  /** Memory on the device. */
  readonly bytes: DeviceBytes;
  /** Milliseconds. */
  readonly times: LoadTimes;
}

type Progress = "loaded" | "run" | "failed" | "destroyed";

interface Input extends InputUse {
  /** As it is now. */
  tensor: IoTensor;
  /** What was written last, as long as a run may have to upload it. */
  bytes: Uint8Array<ArrayBuffer> | null;
  /** Written since the last run. */
  isFresh: boolean;
  /** Written at all. */
  isKnown: boolean;
}

/** A loaded entry. Inputs keep their values between runs; what an output shares with an input goes on from the last run. */
export class Session {
  readonly states: readonly StateTensor[];
  readonly report: LoadReport;
  private readonly held: Input[];
  private readonly sizes: Sizes;
  /** Outputs as they are now. */
  private results: readonly IoTensor[];
  /** What runs encode. */
  private bound: readonly Bound[];
  /** Words of parameters that the next run writes. */
  private isResized = false;
  private readonly parts: { start: number; end: number }[];
  private progress: Progress = "loaded";
  private isBusy = false;

  /** @internal */
  constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    private readonly loaded: Loaded,
    declined: readonly Declined[],
    private readonly timeout: number,
  ) {
    const { entry, variant } = program;
    this.sizes = new Sizes(entry);
    this.results = entry.outputs;
    this.bound = loaded.bound;
    this.states = statesOf(variant.regions).map(({ name, element, shape, size }) => ({
      name,
      element,
      shape: shape.map(Number),
      bytes: size,
    }));
    this.parts = submissions(variant.dispatches);
    this.held = program.inputs().map((use, index) => ({
      ...use,
      tensor: entry.inputs[index],
      bytes: null,
      isFresh: false,
      isKnown: use.size === 0,
    }));
    this.report = {
      entry: entry.name,
      variant: variant.name,
      declined,
      pipelines: loaded.pipelines,
      dispatches: variant.dispatches.length,
      submissions: this.parts.length,
      bytes: loaded.bytes,
      times: loaded.times,
    };
  }

  /** Inputs, as large as the sizes that are set make them. */
  get inputs(): readonly Tensor[] {
    return this.held.map(({ tensor }) => described(tensor));
  }

  /** Outputs, as large as the sizes that are set make them. */
  get outputs(): readonly Tensor[] {
    return this.results.map(described);
  }

  /** The dims of the model whose sizes are free. */
  get dims(): readonly Dim[] {
    return this.sizes.dims();
  }

  /**
   * Sets the size of a dim of the model that was left free; until then it has the largest. It holds from the next run on. An input whose shape
   * follows has to be written again before that, and there are no results until then.
   */
  setDim(name: string, size: number): void {
    const index = this.sizes.find(name, size);
    this.check("setting a size");
    if (this.isBusy) {
      throw new DriftError("busy", "an earlier call of this session has not ended, before setting a size; await it first");
    }
    if (!this.sizes.change(index, size)) {
      return;
    }
    const { entry, variant } = this.program;
    this.held.forEach((input, at) => {
      const tensor = this.sizes.tensor(entry.inputs[at]);
      if (tensor.shape.join() !== input.tensor.shape.join()) {
        Object.assign(input, { tensor, bytes: null, isFresh: false, isKnown: elementsOf(tensor) === 0 });
      }
    });
    this.results = entry.outputs.map((tensor) => this.sizes.tensor(tensor));
    this.bound = this.loaded.bound.map((bound, at) => ({ ...bound, workgroups: this.sizes.grid(variant.dispatches[at]) }));
    this.isResized = true;
    this.progress = "loaded";
  }

  /** Sets an input, row-major, from values of the model's own type. They are used by every later run until they are set again. */
  write(name: string, values: Values | Uint8ClampedArray | ArrayBufferView): void {
    const input = this.held.find(({ tensor }) => tensor.name === name);
    if (input === undefined) {
      throw noTensor("input", name, this.inputs);
    }
    checkValues(input.tensor, values);
    this.check("writing an input");
    // A value that does not fit leaves the input as it was.
    input.bytes = toDevice(input.tensor, input.element, values);
    input.isFresh = true;
    input.isKnown = true;
  }

  /**
   * Runs the program and waits for it. With `times` so many times in a row, without the page between: what changes from run to run is what
   * states hold, and results are those of the last. The timeout of a run is allowed for each of them.
   */
  async run(times = 1): Promise<void> {
    if (!Number.isInteger(times) || times < 0) {
      throw new DriftError("range", `a program runs a whole number of times, not ${times}`);
    }
    const missing = this.held.find(({ isKnown, isState }) => !isKnown && !isState);
    const { states } = this.loaded;
    const { regions } = this.program.variant;
    await this.inTurn("running", async () => {
      if (missing !== undefined) {
        throw new DriftError("not-written", `input \`${missing.tensor.name}\` was never written; call \`write\` before \`run\``);
      }
      if (times === 0) {
        return;
      }
      states.check(regions);
      states.tear(regions);
      const runs = (): void => {
        for (let run = 0; run < times; run++) {
          this.submitRun();
        }
      };
      await this.submit("running", runs, times);
      states.settle(this.states.map(({ name }) => name));
      this.progress = "run";
    });
  }

  private submitRun(): void {
    const { queue } = this.gpu.device;
    if (this.isResized) {
      this.loaded.regions.writeParams(queue, this.program.variant, this.sizes);
      this.isResized = false;
    }
    for (const input of this.held) {
      const { buffer, offset } = this.loaded.regions.place(input.region);
      const again = input.isOverwritten && !input.isState;
      if (input.bytes !== null && input.bytes.length > 0 && (input.isFresh || again)) {
        queue.writeBuffer(buffer, offset + input.offset, input.bytes);
      }
      input.isFresh = false;
      if (!again) {
        input.bytes = null;
      }
    }
    for (const { start, end } of this.parts) {
      const commands = this.gpu.device.createCommandEncoder();
      encode(commands, this.bound.slice(start, end));
      queue.submit([commands.finish()]);
    }
  }

  /** Values of an output after the last run, row-major, in an array of the model's own type. */
  async read(name: string): Promise<Values> {
    const index = this.results.findIndex((tensor) => tensor.name === name);
    if (index < 0) {
      throw noTensor("output", name, this.outputs);
    }
    return this.alone("reading a result", async () => {
      if (this.progress === "loaded") {
        throw new DriftError("not-run", "there are no results yet; call `run` first");
      }
      const { element } = this.program.variant.outputs[index];
      const values = fromDevice(this.results[index], element, await this.fetch(index));
      this.progress = "run";
      return values;
    });
  }

  private async fetch(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const { region, offset } = this.program.variant.outputs[index];
    const size = tensorBytes(this.results[index], this.program.variant.outputs[index]);
    return size === 0 ? new Uint8Array(0) : this.download(region, offset, size);
  }

  /** Copies a range of a region, which is no longer than what results are read through. */
  private async download(region: number, offset: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const { staging, regions } = this.loaded;
    const place = regions.place(region);
    const doing = "reading a result";
    await this.submit(doing, () => {
      const commands = this.gpu.device.createCommandEncoder();
      commands.copyBufferToBuffer(place.buffer, place.offset + offset, staging, 0, whole(size));
      this.gpu.device.queue.submit([commands.finish()]);
    });
    const mapping = staging.mapAsync(MAP_MODE_READ, 0, whole(size));
    mapping.catch(() => undefined);
    try {
      await this.gpu.deadline(this.timeout).wait(mapping, doing);
    } catch (error) {
      throw await this.gpu.blame(doing, error);
    }
    const bytes = new Uint8Array(staging.getMappedRange(0, whole(size))).slice();
    staging.unmap();
    return bytes;
  }

  /** Zeros what runs keep in regions of state, as when the session was loaded, for the sessions that share it as well. Inputs and outputs stay as they are. */
  async resetState(): Promise<void> {
    const before = this.progress;
    await this.inTurn("resetting state", async () => {
      await this.submit("resetting state", () => {
        const commands = this.gpu.device.createCommandEncoder();
        this.loaded.regions.clearState(commands);
        this.gpu.device.queue.submit([commands.finish()]);
      });
      this.loaded.states.settle(this.states.map((state) => state.name));
      this.progress = before;
    });
  }

  /** Copies a state as it is on the device, for `writeState` of a session of the same variant. */
  async readState(name: string): Promise<Uint8Array> {
    const state = this.state(name);
    const before = this.progress;
    return this.inTurn("reading a state", async () => {
      this.loaded.states.check(this.program.variant.regions, name);
      const bytes = new Uint8Array(state.size);
      const part = this.loaded.bytes.staging - (this.loaded.bytes.staging % 4);
      for (let at = 0; at < state.size; at += part) {
        const size = Math.min(part, state.size - at);
        bytes.set((await this.download(state.region, at, size)).subarray(0, size), at);
      }
      this.progress = before;
      return bytes;
    });
  }

  /** Sets a state from what `readState` gave, for the sessions that share it as well. */
  writeState(name: string, bytes: Uint8Array): void {
    const state = this.state(name);
    if (bytes.length !== state.size) {
      throw new DriftError("length", `state \`${name}\` has ${state.size} bytes; ${bytes.length} were given`);
    }
    this.check("writing a state");
    const padded = new Uint8Array(whole(state.size));
    padded.set(bytes);
    const { buffer, offset } = this.loaded.regions.place(state.region);
    this.gpu.device.queue.writeBuffer(buffer, offset, padded);
    this.loaded.states.settle([name]);
  }

  private state(name: string): ReturnType<typeof statesOf>[number] {
    const state = statesOf(this.program.variant.regions).find((one) => one.name === name);
    if (state === undefined) {
      const names = this.states.map((one) => one.name).join(", ");
      throw new DriftError("no-tensor", `the entry has no state \`${name}\`, only: ${names}`);
    }
    return state;
  }

  /** Gives its memory back, weights included. */
  destroy(): void {
    if (this.progress !== "destroyed") {
      this.loaded.states.release();
    }
    this.progress = "destroyed";
    this.held.forEach((input) => (input.bytes = null));
    this.loaded.memory.destroy();
  }

  private check(doing: string): void {
    if (this.progress === "destroyed") {
      throw new DriftError("destroyed", `the session was destroyed by the app, before ${doing}`);
    }
    this.gpu.check(doing);
    // While a call is on its way it has not succeeded yet.
    if (this.progress === "failed" && !this.isBusy) {
      throw new DriftError("failed", "an earlier run of this session failed; load the bundle again");
    }
  }

  /** The same while no session that shares states does anything with them. */
  private inTurn<T>(doing: string, body: () => Promise<T>): Promise<T> {
    const { states } = this.loaded;
    return this.alone(doing, () =>
      states.alone(() => {
        this.check(doing);
        return body();
      }),
    );
  }

  /** Refuses to begin while an earlier call is on its way. */
  private async alone<T>(doing: string, body: () => Promise<T>): Promise<T> {
    this.check(doing);
    if (this.isBusy) {
      throw new DriftError("busy", `an earlier call of this session has not ended, before ${doing}; await it first`);
    }
    this.isBusy = true;
    try {
      return await body();
    } finally {
      this.isBusy = false;
    }
  }

  /** Submits work of so many runs and waits for it. Where that fails the device may still be at it, so that the session cannot go on. */
  private async submit(doing: string, make: () => void, runs = 1): Promise<void> {
    const deadline = this.gpu.deadline(this.timeout * runs);
    const isDestroyed = (): boolean => this.progress === "destroyed";
    if (!isDestroyed()) {
      this.progress = "failed";
    }
    await Promise.all([this.gpu.scoped(doing, make, deadline), this.gpu.finished(doing, deadline)]);
    if (isDestroyed()) {
      throw new DriftError("destroyed", `the session was destroyed by the app, while ${doing}`);
    }
  }
}

const described = ({ name, element, shape }: IoTensor): Tensor => ({ name, element, shape: shape.map(Number) });

const noTensor = (what: string, wanted: string, held: readonly Tensor[]): DriftError => {
  const names = held.map(({ name }) => name).join(", ");
  return new DriftError("no-tensor", `the entry has no ${what} \`${wanted}\`, only: ${names}`);
};
