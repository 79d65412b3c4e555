/** Loads a program: memory, then weights into it while pipelines are compiled, then its init program. */

import { wait } from "./deadline.js";
import { DriftError } from "./error.js";
import { BUFFER } from "./flags.js";
import type { Gpu } from "./gpu.js";
import { type Bound, bind, createPipelines, encode } from "./pipelines.js";
import { statesOf } from "./manifest.js";
import { type Program, submissions, usedWeights } from "./program.js";
import { BufferFill, type DeviceBytes, Memory, Regions, Weights } from "./regions.js";
import { Sizes } from "./size.js";
import type { States } from "./states.js";

export interface Loading {
  readonly loadTimeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Milliseconds of each step. */
export interface LoadTimes {
  /** Until all weights were there, and hashed. */
  weights: number;
  /** Until all pipelines were there; at the same time. */
  pipelines: number;
  init: number;
  total: number;
}

/** What a session runs. */
export interface Loaded {
  readonly memory: Memory;
  readonly regions: Regions;
  /** What runs keep, shared with the sessions that were loaded together. */
  readonly states: States;
  /** What results are read through. */
  readonly staging: GPUBuffer;
  readonly bound: readonly Bound[];
  /** Numbers of pipelines. */
  readonly pipelines: number;
  readonly bytes: DeviceBytes;
  readonly times: LoadTimes;
}

export const loadProgram = async (gpu: Gpu, program: Program, states: States, loading: Loading): Promise<Loaded> => {
  const memory = new Memory(gpu.device);
  const initOnly = new Memory(gpu.device);
  try {
    return await load(gpu, program, states, loading, memory, initOnly);
  } catch (error) {
    memory.destroy();
    throw error;
  } finally {
    initOnly.destroy();
  }
};

const load = async (
  gpu: Gpu,
  program: Program,
  states: States,
  loading: Loading,
  memory: Memory,
  initMemory: Memory,
): Promise<Loaded> => {
  const start = performance.now();
  const since = (): number => performance.now() - start;
  const times: LoadTimes = { weights: 0, pipelines: 0, init: 0, total: 0 };
  const deadline = () => gpu.deadline(loading.loadTimeout, loading.signal);
  const bytes: DeviceBytes = { arena: 0, textures: 0, weights: 0, derived: 0, state: 0, io: 0, params: 0, staging: 0 };
  const { regions, weights, initOnly, staging } = await gpu.scoped(
    "allocating memory",
    () => allocate(gpu, program, states, memory, initMemory, bytes),
    deadline(),
  );
  const upload = new Upload(gpu, [weights, initOnly], loading.loadTimeout);
  const compiling = createPipelines(gpu, program, deadline()).then((made) => {
    times.pipelines = since();
    return made;
  });
  const wanted = new Set([...weights.weights(), ...initOnly.weights()]);
  const filling = program.bundle
    .readWeights(wanted, (weight, piece) => upload.take(weight, piece))
    .then(() => {
      upload.end();
      times.weights = since();
    });
  // Downloads have their own deadline for each piece.
  const all = Promise.all([compiling, wait(filling, "loading weights", { within: Infinity, signal: loading.signal, lost: gpu.isLost })]);
  const [pipelines] = await all.catch((error: unknown) => {
    upload.stop();
    throw error;
  });
  const { init, dispatches } = program.variant;
  const bindAll = (list: typeof init, held: Weights[]): Bound[] => bind(gpu.device, program, pipelines, list, { regions, weights: held });
  const bound = await gpu.scoped("binding kernels", () => bindAll(dispatches, [weights]), deadline());
  const before = since();
  await runInit(gpu, program, () => bindAll(init, [weights, initOnly]), deadline());
  times.total = since();
  times.init = times.total - before;
  return { memory, regions, states, staging, bound, pipelines: pipelines.size, bytes, times };
};

/** Most bytes of a state that are read at once. */
const STATE_PART_BYTES = 2 ** 23;

const allocate = (gpu: Gpu, program: Program, held: States, memory: Memory, initMemory: Memory, bytes: DeviceBytes) => {
  const { device } = gpu;
  const { variant } = program;
  const most = gpu.info.limits.maxBufferSize;
  const all = program.bundle.manifest.weights;
  const regions = new Regions(memory, variant, held, most, bytes);
  const ofRuns = usedWeights(variant.dispatches);
  const ofInit = usedWeights(variant.init);
  ofRuns.blobs.forEach((blob) => ofInit.blobs.delete(blob));
  ofRuns.textures.forEach((_, key) => ofInit.textures.delete(key));
  const weights = new Weights(memory, device, all, ofRuns, most);
  const initOnly = new Weights(initMemory, device, all, ofInit, most);
  bytes.weights = weights.bytes;
  const states = statesOf(variant.regions).map(({ size }) => Math.min(size, STATE_PART_BYTES));
  bytes.staging = Math.max(4, ...program.outputs().map(({ size }) => size), ...states);
  const staging = memory.buffer(bytes.staging, BUFFER.MAP_READ | BUFFER.COPY_DST);
  regions.writeParams(device.queue, variant, new Sizes(program.entry));
  return { regions, weights, initOnly, staging };
};

/** Runs the init program, and waits for it and for all that was uploaded. */
const runInit = async (gpu: Gpu, program: Program, bindAll: () => Bound[], deadline: ReturnType<Gpu["deadline"]>): Promise<void> => {
  const doing = "running the init program";
  const submit = (): void => {
    const bound = bindAll();
    for (const { start, end } of submissions(program.variant.init)) {
      const commands = gpu.device.createCommandEncoder();
      encode(commands, bound.slice(start, end));
      gpu.device.queue.submit([commands.finish()]);
    }
    gpu.device.queue.submit([]);
  };
  await gpu.scoped(doing, submit, deadline);
  await gpu.finished(doing, deadline);
};

/** Bytes after which the device is let catch up: what is written waits in memory of the browser until then. */
const PART_BYTES = 2 ** 23;

/** Parts that may be on their way. */
const PARTS = 2;

/** Brings pieces of weights to the buffers and textures that they are for. */
class Upload {
  private readonly fills = new Map<number, { at: number; buffers: BufferFill[] }>();
  private readonly parts: Promise<unknown>[] = [];
  private waiting = 0;
  private isStopped = false;

  constructor(
    private readonly gpu: Gpu,
    private readonly weights: readonly Weights[],
    private readonly timeout: number,
  ) {}

  async take(weight: number, piece: Uint8Array): Promise<void> {
    this.gpu.check("loading weights");
    if (this.isStopped) {
      throw new DriftError("aborted", "the load has ended");
    }
    const { queue } = this.gpu.device;
    const places = this.weights.flatMap(({ places }) => places.get(weight) ?? []);
    const fill = this.fills.get(weight) ?? { at: 0, buffers: places.map((place) => new BufferFill(queue, place)) };
    this.fills.set(weight, fill);
    const bytes = piece as Uint8Array<ArrayBuffer>;
    fill.buffers.forEach((buffer) => buffer.take(bytes));
    for (const { fills } of this.weights) {
      fills.get(weight)?.forEach((texture) => texture.take(bytes, fill.at));
    }
    fill.at += piece.length;
    await this.catchUp(piece.length);
  }

  private async catchUp(bytes: number): Promise<void> {
    this.waiting += bytes;
    if (this.waiting < PART_BYTES) {
      return;
    }
    this.waiting = 0;
    const { queue } = this.gpu.device;
    queue.submit([]);
    const done = queue.onSubmittedWorkDone();
    done.catch(() => undefined);
    this.parts.push(done);
    if (this.parts.length > PARTS) {
      await this.gpu.deadline(this.timeout).wait(this.parts.shift() as Promise<unknown>, "uploading weights");
    }
  }

  /** Writes what is left of each weight. */
  end(): void {
    for (const { buffers } of this.fills.values()) {
      buffers.forEach((buffer) => buffer.end());
    }
  }

  /** Takes nothing more: the load has failed elsewhere. */
  stop(): void {
    this.isStopped = true;
  }
}
