/** What the browser tests do within a page; `test/browser.ts` calls it from outside. */

import { Bundle, type BundleOptions, Device, DriftError, type LoadOptions, type Session, type Values } from "drift-web";

interface Data {
  readonly name: string;
  readonly file: string;
}

/** A line of `cases.json`. */
export interface Case {
  readonly name: string;
  readonly bundle: string;
  readonly inputs: readonly Data[];
  readonly outputs: readonly Data[];
  readonly absolute: number;
  readonly relative: number;
  /** No variant runs without 16-bit floats. */
  readonly f16: boolean;
}

/** What comes of a call that may fail. */
export interface Outcome {
  /** The code of a DriftError, `?` of anything else, nothing where all went well. */
  readonly code: string | null;
  readonly message: string;
}

const outcome = async (body: () => Promise<unknown>): Promise<Outcome> => {
  try {
    const value = await body();
    return { code: null, message: String(value) };
  } catch (error) {
    const code = error instanceof DriftError ? error.code : "?";
    return { code, message: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) };
  }
};

let opened: Promise<Device> | null = null;

const device = (): Promise<Device> => (opened ??= Device.open());

const bytesOf = async (file: string): Promise<ArrayBuffer> => {
  const response = await fetch(file);
  if (!response.ok) {
    throw new Error(`${file}: ${response.status}`);
  }
  return response.arrayBuffer();
};

/** Arrays that a tensor's bytes are values of. */
const ARRAYS = {
  F32: Float32Array,
  F16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I8: Int8Array,
  U8: Uint8Array,
  Bool: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  U32: Uint32Array,
  U64: BigUint64Array,
  Bf16: Uint16Array,
  F8E4M3: Uint8Array,
  F8E4M3Fnuz: Uint8Array,
  F8E5M2: Uint8Array,
  F8E5M2Fnuz: Uint8Array,
  F8E8M0: Uint8Array,
  F4E2M1: Uint8Array,
  I4: Int8Array,
  U4: Uint8Array,
  I2: Int8Array,
  U2: Uint8Array,
};

const writeAll = async (session: Session, one: Case): Promise<void> => {
  for (const { name, file } of one.inputs) {
    const tensor = session.inputs.find((input) => input.name === name);
    session.write(name, new ARRAYS[tensor?.element ?? "F32"](await bytesOf(file)));
  }
};

/** The largest error of an output, and whether one is beyond what is allowed. */
const compare = (one: Case, got: Values, expected: Values): { worst: number; wrong: number } => {
  let [worst, wrong] = [got.length === expected.length ? 0 : Infinity, 0];
  expected.forEach((value: number | bigint, index: number) => {
    const [e, g] = [Number(value), Number(got[index])];
    const error = Object.is(e, g) || e === g || (Number.isNaN(e) && Number.isNaN(g)) ? 0 : Math.abs(e - g);
    worst = Math.max(worst, error);
    wrong += error <= one.absolute + one.relative * Math.abs(e) ? 0 : 1;
  });
  return { worst, wrong };
};

/** Replays a case twice and compares all outputs each time. */
const replay = async (prefix: string, one: Case, options: LoadOptions) => {
  const bundle = await Bundle.load(`${prefix}/${one.bundle}`);
  const session = await (await device()).load(bundle, options);
  const { bytes, dispatches, times } = session.report;
  const found = { worst: 0, wrong: 0, bytes, dispatches, times };
  await writeAll(session, one);
  for (let run = 0; run < 2; run++) {
    await session.run();
    for (const { name, file } of one.outputs) {
      const tensor = session.outputs.find((output) => output.name === name);
      const expected = new ARRAYS[tensor?.element ?? "F32"](await bytesOf(file));
      const { worst, wrong } = compare(one, await session.read(name), expected);
      found.worst = Math.max(found.worst, worst);
      found.wrong += wrong;
    }
  }
  session.destroy();
  const after = await outcome(() => session.run());
  return { ...found, after: after.code };
};

/** What the sum of the accumulator is after each of some runs; a reset between the third and the fourth. */
const accumulate = async (): Promise<number[][]> => {
  const bundle = await Bundle.load(await bytesOf("state.drift"));
  const [session, other] = await Promise.all([device(), device()].map(async (one) => (await one).load(bundle)));
  session.write("x", Float32Array.of(1, 2, 3, 4));
  other.write("x", Float32Array.of(10, 20, 30, 40));
  const sums: number[][] = [];
  for (let run = 0; run < 5; run++) {
    if (run === 3) {
      await session.resetState();
    }
    // Sessions do not touch each other's state.
    await Promise.all([session.run(), other.run()]);
    sums.push([...((await session.read("y")) as Float32Array)]);
  }
  sums.push([...((await other.read("y")) as Float32Array)]);
  // What one session has saved another goes on from.
  const saved = await other.readState("sum");
  session.writeState("sum", saved);
  await session.run();
  sums.push([...((await session.read("y")) as Float32Array)]);
  // Runs in a row leave what runs one by one leave.
  const left = async (runs: readonly number[]): Promise<string> => {
    session.writeState("sum", saved);
    for (const times of runs) {
      await session.run(times);
    }
    return (await session.readState("sum")).join();
  };
  const [inRow, oneByOne, none] = [await left([3]), await left([1, 1, 1]), await left([0])];
  const half = await outcome(() => session.run(1.5));
  if (inRow !== oneByOne || inRow === none || none !== saved.join() || half.code !== "range") {
    throw new Error(`runs in a row: ${inRow}, not ${oneByOne}; ${half.code}`);
  }
  const named = session.states.map(({ name, bytes, shape }) => `${name} ${shape} ${bytes}`).join("; ");
  const codes = [await outcome(() => session.readState("z")), await outcome(async () => session.writeState("sum", saved.subarray(1)))];
  if (named !== "other 5,5 100; sum 2,64 512" || codes.map(({ code }) => code).join() !== "no-tensor,length") {
    throw new Error(`${named}: ${codes.map(({ code }) => code)}`);
  }
  session.destroy();
  other.destroy();
  sums.push(...(await accumulateTogether(bundle)));
  return sums;
};

/** Replays a bundle with free dims at these sizes, one after another, and says which results were wrong. */
const resize = async (sizes: readonly [number, number][]): Promise<string[]> => {
  const bundle = await Bundle.load(await bytesOf("sizes.drift"));
  const [session, other] = await Promise.all([device(), device()].map(async (one) => (await one).load(bundle)));
  const wrong: string[] = [];
  const expect = (what: string, found: unknown, expected: unknown): void => {
    if (String(found) !== String(expected)) {
      wrong.push(`${what}: ${String(found)} where ${String(expected)} is right`);
    }
  };
  const value = (row: number, col: number): number => 100 * row + col + 0.5;
  const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  const check = async (of: Session, rows: number, cols: number): Promise<void> => {
    const what = `${rows} x ${cols}`;
    of.setDim("rows", rows);
    of.setDim("cols", cols);
    expect(what, of.dims.map(({ name, size }) => `${name} ${size}`), `cols ${cols},rows ${rows}`);
    expect(what, of.inputs.map(({ shape }) => shape), `${rows},${cols}`);
    expect(what, of.outputs.map(({ shape }) => shape.join("x")), `${rows},${cols}x${rows},${Math.min(rows, 1)}x${Math.floor(cols / 2)}`);
    of.write("x", Float32Array.from(range(rows).flatMap((row) => range(cols).map((col) => value(row, col)))));
    await of.run();
    const sum = (row: number): number => range(cols).reduce((sum, col) => sum + value(row, col), 0);
    expect(`y of ${what}`, await of.read("y"), range(rows).map(sum));
    expect(`t of ${what}`, await of.read("t"), range(cols).flatMap((col) => range(rows).map((row) => value(row, col))));
    const pairs = range(rows === 0 ? 0 : Math.floor(cols / 2)).map((pair) => value(0, 2 * pair) + value(0, 2 * pair + 1));
    expect(`p of ${what}`, await of.read("p"), pairs);
  };
  for (const [rows, cols] of sizes) {
    await Promise.all([check(session, rows, cols), check(other, 12 - rows, 11 - cols)]);
  }
  const code = async (body: () => unknown): Promise<string | null> => (await outcome(async () => body())).code;
  const codes = [
    await code(() => session.setDim("batch", 1)),
    await code(() => session.setDim("rows", 4)),
    await code(() => session.setDim("cols", 1.5)),
    await code(() => session.setDim("cols", 11)),
    await code(() => session.setDim("rows", 6)),
    await code(() => session.read("y")),
    await code(() => session.run()),
    await code(() => session.write("x", new Float32Array(120))),
  ];
  expect("codes", codes.map(String), "no-dim,range,range,range,null,not-run,not-written,length");
  session.destroy();
  other.destroy();
  return wrong;
};

/** The same sum, which two sessions that are loaded together share and add to in turn. */
const accumulateTogether = async (bundle: Bundle): Promise<number[][]> => {
  const [first, second] = await (await device()).loadEntries(bundle, ["main", "main"]);
  first.write("x", Float32Array.of(1, 2, 3, 4));
  second.write("x", Float32Array.of(10, 20, 30, 40));
  await Promise.all([first.run(), second.run()]);
  const together = [...((await second.read("y")) as Float32Array)];
  if ((await first.readState("sum")).join() !== (await second.readState("sum")).join()) {
    throw new Error("two sessions of one state read it differently");
  }
  await second.resetState();
  // Its memory stays for as long as somebody has it.
  second.destroy();
  await first.run();
  const after = [...((await first.read("y")) as Float32Array)];
  first.destroy();
  return [together, after];
};

const large = async (url: string, entry: string, options: BundleOptions): Promise<{ y: number[]; loaded: number; total: number; ms: number }> => {
  const start = performance.now();
  let told = { loaded: 0, total: 0 };
  const bundle = await Bundle.load(url, { ...options, onProgress: (progress) => (told = progress) });
  const session = await (await device()).load(bundle, { entry });
  const ms = performance.now() - start;
  session.write("x", Int32Array.of(1, 2, 3, 4));
  await session.run();
  const y = [...((await session.read("y")) as Int32Array)].map((value) => value >>> 0);
  session.destroy();
  return { y, ...told, ms };
};

/** Uses of a session that are refused, in order. */
const misuse = async (one: Case): Promise<(string | null)[]> => {
  const session = await (await device()).load(await Bundle.load(one.bundle));
  const [input] = session.inputs;
  const [output] = session.outputs;
  const count = input.shape.reduce((product, side) => product * side, 1);
  const found = [
    await outcome(() => session.read(output.name)),
    await outcome(() => session.run()),
    await outcome(async () => session.write("nothing", new Float32Array(1))),
    await outcome(async () => session.write(input.name, new Int32Array(count))),
    await outcome(async () => session.write(input.name, new Float32Array(count + 1))),
    await outcome(async () => session.write(input.name, new Float32Array(count))),
    await outcome(() => Promise.all([session.run(), session.run()])),
  ];
  // The first of the two runs goes on.
  await new Promise((resolve) => setTimeout(resolve, 500));
  found.push(await outcome(() => session.run()), await outcome(() => session.read("nothing")));
  session.destroy();
  session.destroy();
  found.push(await outcome(() => session.read(output.name)));
  return found.map(({ code }) => code);
};

/** Loads a bundle and says how that ends. */
const load = (url: string, options: BundleOptions, loadOptions: LoadOptions): Promise<Outcome> =>
  outcome(async () => (await (await device()).load(await Bundle.load(url, options), loadOptions)).destroy());

/** Begins to load, and aborts after a while. */
const abort = (url: string, ms: number): Promise<Outcome> => {
  const aborter = new AbortController();
  setTimeout(() => aborter.abort(), ms);
  return load(url, { signal: aborter.signal }, {});
};

/** Loses a device between and during calls; afterwards another one works. `lose` says how, where not by WebGPU's own call. */
const lose = async (one: Case): Promise<{ reason: string; codes: (string | null)[]; again: number }> => {
  const first = await Device.open();
  const bundle = await Bundle.load(one.bundle);
  const session = await first.load(bundle);
  await writeAll(session, one);
  await session.run();
  const running = outcome(() => session.run());
  // Not through `Device.destroy`: as if the browser had done it.
  first.raw.destroy();
  const { reason } = await first.lost;
  const codes = [
    await running,
    await outcome(() => session.run()),
    await outcome(() => session.read(one.outputs[0].name)),
    await outcome(async () => session.write(one.inputs[0].name, new Float32Array(0))),
    await outcome(() => first.load(bundle)),
  ].map(({ code }) => code);
  session.destroy();
  const found = await reload(bundle, one);
  return { reason, codes, again: found };
};

/** Loads a bundle that was loaded before on a device of its own, and counts what is wrong. */
const reload = async (bundle: Bundle, one: Case): Promise<number> => {
  const second = await Device.open();
  const session = await second.load(bundle);
  await writeAll(session, one);
  await session.run();
  let wrong = 0;
  for (const { name, file } of one.outputs) {
    wrong += compare(one, await session.read(name), new Float32Array(await bytesOf(file))).wrong;
  }
  second.destroy();
  const after = await outcome(() => session.run());
  return after.code === "destroyed" ? wrong : Number.NaN;
};

let waiting: { device: Device; session: Session; bundle: Bundle } | null = null;

/** Opens a device whose GPU process the test ends; then `lost` says how it was lost, and whether all works again. */
const prepareLoss = async (one: Case): Promise<void> => {
  const own = await Device.open();
  const bundle = await Bundle.load(one.bundle);
  const session = await own.load(bundle);
  await writeAll(session, one);
  await session.run();
  waiting = { device: own, session, bundle };
};

const lost = async (one: Case): Promise<{ reason: string; code: string | null; again: number }> => {
  if (waiting === null) {
    throw new Error("nothing was prepared");
  }
  const { device: own, session, bundle } = waiting;
  const { reason } = await own.lost;
  const { code } = await outcome(() => session.run());
  return { reason, code, again: await reload(bundle, one) };
};

/** A wait that ends before its work can. */
const timeout = async (one: Case): Promise<(string | null)[]> => {
  const own = await Device.open();
  const session = await own.load(await Bundle.load(one.bundle), { timeout: 0 });
  await writeAll(session, one);
  const codes = [(await outcome(() => session.run())).code, (await outcome(() => session.run())).code];
  own.destroy();
  return codes;
};

/** Without WebGPU. */
const without = async (): Promise<string | null> => {
  const { gpu } = navigator;
  Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
  const { code } = await outcome(() => Device.open());
  Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  return code;
};

const noAdapter = async (): Promise<string | null> => {
  const { gpu } = navigator;
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter: () => Promise.resolve(null) }, configurable: true });
  const { code } = await outcome(() => Device.open());
  Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  return code;
};

const about = async () => {
  const { name, vendor, f16, subgroups, subgroupSize } = (await device()).info;
  return { name, vendor, f16, subgroups, subgroupSize };
};

export const harness = {
  about,
  abort,
  accumulate,
  large,
  load,
  lose,
  lost,
  misuse,
  noAdapter,
  prepareLoss,
  replay,
  resize,
  timeout,
  without,
};

Object.assign(globalThis, { harness });
