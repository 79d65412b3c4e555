/** Replays bundles in headless Chromium on SwiftShader: models and their stored outputs, downloads that go wrong, lost devices. */

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type CDPSession, type Page, chromium } from "playwright-core";
import type { Case, Outcome, harness } from "./page.js";
import { type Served, serve } from "./server.js";

type Harness = typeof harness;

interface Large {
  readonly all: number[];
  readonly two: number[];
  readonly dispatches: number;
  readonly weights: number;
  readonly bytes: number;
}

/** Most of a page's heap while a bundle of any size is loaded. */
const HEAP_BYTES = 64 * 2 ** 20;

/** What the browser may keep of memory after sessions of more than a gigabyte are gone. */
const KEPT_BYTES = 300 * 2 ** 20;

/** No sandbox, since tests run as root in containers; WebGPU on the CPU; nothing fetched in the background. */
const FLAGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--disable-vulkan-surface",
  "--enable-precise-memory-info",
];

const HTML = `<!doctype html><meta charset="utf-8"><title>drift</title><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"drift-web": "/drift.min.js"}}</script><script type="module" src="/page.js"></script>`;

const executable = (): string => {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  assert.ok(found !== undefined, "chromium is not installed; `cargo xtask test` installs it");
  return found;
};

const folder = process.argv[2];
const read = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), "utf8")) as T;

/** Calls a function of the page's harness. */
const call = async <N extends keyof Harness>(page: Page, name: N, ...args: Parameters<Harness[N]>): Promise<Awaited<ReturnType<Harness[N]>>> =>
  page.evaluate(
    ([name, args]) => {
      const functions = (globalThis as unknown as { harness: Record<string, (...args: unknown[]) => unknown> }).harness;
      return functions[name as string](...(args as unknown[]));
    },
    [name, args] as const,
  ) as never;

const open = async (browser: Browser, url: string): Promise<Page> => {
  const page = await browser.newPage();
  // Downloads that fail are part of the tests.
  const isExpected = (text: string): boolean => text.startsWith("Failed to load resource") || text.includes("Instance reference");
  page.on("console", (message) => isExpected(message.text()) || console.log(`page: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`page: ${error.message}`));
  await page.goto(`${url}/test.html`);
  await page.waitForFunction(() => "harness" in globalThis);
  return page;
};

const replays = async (browser: Browser, page: Page, cases: readonly Case[]): Promise<void> => {
  const { f16 } = await call(page, "about");
  for (const [index, one] of cases.entries()) {
    // In turns, so that all servers are tried on something small.
    const way = ["ranges", "plain", "chunked", "flaky"][index % 4];
    if (one.f16 && !f16) {
      const { code, message } = await call(page, "load", one.bundle, {}, {});
      console.log(`${one.name}: declined, as the device has no 16-bit floats`);
      assert.ok(code === "unsupported" && message.includes("needs 16-bit floats"), message);
      continue;
    }
    const before = await processorTime(browser);
    const { worst, wrong, dispatches, after, bytes } = await call(page, "replay", way, one, { anyVendor: true });
    const time = `${((await processorTime(browser)) - before).toFixed(1)} s`;
    console.log(`${one.name} (${way}): ${dispatches} dispatches, largest error ${worst.toExponential(1)}, ${time}`);
    assert.equal(wrong, 0, one.name);
    assert.equal(after, "destroyed");
    if (one.name === "an init program") {
      assert.ok(bytes.derived > 0, "nothing is derived");
    }
    if (one.name.includes("textures") && !one.name.startsWith("weights")) {
      assert.ok(bytes.textures > 0, `${one.name}: no textures`);
    }
  }
};

const processes = async (browser: Browser) => {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  await cdp.detach();
  return processInfo;
};

/** Memory of all of the browser's processes, as the system counts it. */
const resident = async (browser: Browser): Promise<number> => {
  const of = (id: number): number => {
    try {
      const found = /^RssAnon:\s+(\d+) kB$|^RssShmem:\s+(\d+) kB$/gm;
      const status = readFileSync(`/proc/${id}/status`, "utf8");
      return [...status.matchAll(found)].reduce((sum, [, anon, shared]) => sum + 1024 * Number(anon ?? shared), 0);
    } catch {
      // It has ended since.
      return 0;
    }
  };
  return (await processes(browser)).reduce((sum, { id }) => sum + of(id), 0);
};

/** Loads the large bundle, and watches the page's heap meanwhile, with the memory of its buffers. */
const heapOf = async <T>(cdp: CDPSession, body: Promise<T>): Promise<[T, number]> => {
  let most = 0;
  let [used, backing] = [0, 0];
  let done = false;
  const watch = async (): Promise<void> => {
    while (!done) {
      const heap = (await cdp.send("Runtime.getHeapUsage")) as { usedSize: number; backingStorageSize?: number };
      used = Math.max(used, heap.usedSize);
      backing = Math.max(backing, heap.backingStorageSize ?? 0);
      most = Math.max(most, heap.usedSize + (heap.backingStorageSize ?? 0));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const watching = watch();
  const value = await body.finally(() => (done = true));
  await watching;
  console.log(`at most ${megabytes(used)} of objects and ${megabytes(backing)} of buffers`);
  return [value, most];
};

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

const streams = async (browser: Browser, page: Page, served: Served, sums: Large): Promise<void> => {
  const before = await resident(browser);
  const cdp = await page.context().newCDPSession(page);
  const x = [1, 2, 3, 4];
  const plus = (sum: readonly number[], times: number): number[] => sum.map((word, index) => (word + times * x[index]) >>> 0);
  const weights = sums.weights * sums.bytes;
  const both = 2 * sums.bytes;
  // All of it without ranges; a part of it with them.
  const tries = [
    { way: "plain", entry: "main", sum: plus(sums.all, sums.dispatches), least: weights - sums.bytes, most: weights + 2 ** 20 },
    { way: "ranges", entry: "two", sum: plus(sums.two, 1), least: both, most: both + 2 ** 20 },
  ];
  for (const { way, entry, sum, least, most } of tries) {
    served.counts.bytes = 0;
    await cdp.send("HeapProfiler.collectGarbage");
    const [found, heap] = await heapOf(cdp, call(page, "large", `${way}/large.drift`, entry, {}));
    const speed = megabytes((1_000 * found.loaded) / found.ms);
    console.log(`${way}: ${megabytes(found.loaded)} at ${speed}/s, JS heap at most ${megabytes(heap)}`);
    assert.deepEqual(found.y, sum, way);
    assert.ok(heap < HEAP_BYTES, `${way}: a heap of ${megabytes(heap)}`);
    assert.ok(served.counts.bytes >= least && served.counts.bytes <= most, `${way}: ${served.counts.bytes} bytes were sent`);
    assert.ok(found.loaded >= least && found.loaded <= found.total, `${way}: ${found.loaded} of ${found.total}`);
  }
  // Destroyed sessions have given their weights back.
  let after = await resident(browser);
  for (let wait = 0; wait < 50 && after > before + KEPT_BYTES; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    after = await resident(browser);
  }
  console.log(`the browser's memory: ${megabytes(before)} before, ${megabytes(after)} after`);
  assert.ok(after <= before + KEPT_BYTES, `${megabytes(after - before)} are kept`);
};

const failures = async (page: Page, one: Case): Promise<void> => {
  const expect = (what: string, { code, message }: Outcome, codes: readonly string[], words = ""): void => {
    assert.ok(code !== null && codes.includes(code), `${what}: ${code}: ${message}`);
    assert.ok(message.includes(words), `${what}: ${message}`);
  };
  expect("cut", await call(page, "load", `cut/${one.bundle}`, {}, {}), ["network", "truncated"]);
  expect("ended early", await call(page, "load", `ended/${one.bundle}`, {}, {}), ["truncated"], "cut short");
  expect("stalled", await call(page, "load", `stalled/${one.bundle}`, { stallTimeout: 300 }, {}), ["timeout"]);
  expect("nothing there", await call(page, "load", "plain/nothing.drift", {}, {}), ["network"], "404");
  expect("no bundle", await call(page, "load", "test.html", {}, {}), ["damaged"], "DRIFT");
  expect("aborted", await call(page, "abort", "plain/large.drift", 300), ["aborted"]);
  const bytes = readFileSync(join(folder, one.bundle));
  writeFileSync(join(folder, "short.drift"), bytes.subarray(0, -100));
  writeFileSync(join(folder, "longer.drift"), Buffer.concat([bytes, Buffer.from([0])]));
  for (const way of ["ranges", "plain", "chunked"]) {
    expect(`too short, ${way}`, await call(page, "load", `${way}/short.drift`, {}, {}), ["truncated"], "cut short");
    expect(`too long, ${way}`, await call(page, "load", `${way}/longer.drift`, {}, {}), ["damaged"], "follow the last section");
  }
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(join(folder, "damaged.drift"), bytes);
  const damaged = await call(page, "load", `plain/damaged.drift`, {}, {});
  expect("a damaged weight", damaged, ["damaged"], "weight `");
  const tooMuch = await call(page, "load", "plain/too-much.drift", {}, {});
  expect("too much", tooMuch, ["unsupported"], "cooperative matrices");
  assert.ok(tooMuch.message.includes("4096 storage buffers in a dispatch"), tooMuch.message);
  const { f16 } = await call(page, "about");
  assert.equal(tooMuch.message.includes("16-bit floats"), !f16);
  expect("broken code", await call(page, "load", "broken.drift", {}, {}), ["driver"], "unheard_of");
  expect("no such entry", await call(page, "load", one.bundle, {}, { entry: "other" }), ["no-entry"], "main");
  assert.equal(await call(page, "without"), "no-webgpu");
  assert.equal(await call(page, "noAdapter"), "no-adapter");
  const codes = ["not-run", "not-written", "no-tensor", "type", "length", null, "busy", null, "no-tensor", "destroyed"];
  assert.deepEqual(await call(page, "misuse", one), codes);
};

const losses = async (browser: Browser, page: Page, one: Case): Promise<void> => {
  const { reason, codes, again } = await call(page, "lose", one);
  assert.equal(reason, "destroyed");
  // What was on its way may have ended before.
  assert.ok(codes[0] === null || codes[0] === "device-lost", String(codes[0]));
  assert.deepEqual(codes.slice(1), ["device-lost", "device-lost", "length", "device-lost"]);
  assert.equal(again, 0, "a device that is opened again computes the same");
  assert.deepEqual(await call(page, "timeout", one), ["timeout", "failed"]);
  // The browser's GPU process ends, as when a driver resets.
  await call(page, "prepareLoss", one);
  const gpu = (await processes(browser)).find(({ type }) => type === "GPU");
  assert.ok(gpu !== undefined);
  process.kill(gpu.id, "SIGKILL");
  const lost = await call(page, "lost", one);
  assert.deepEqual(lost, { reason: "unknown", code: "device-lost", again: 0 });
};

/** The demo's page: the sample, and a circle drawn with the mouse and taken from a file. What it looks like is kept beside the build. */
const demo = async (browser: Browser, url: string): Promise<void> => {
  const page = await browser.newPage({ viewport: { width: 800, height: 720 } });
  await page.goto(`${url}/demo.html`);
  await page.waitForSelector("#check.good, #check.bad, #time.bad", { timeout: 60_000 });
  const text = async (selector: string): Promise<string> => (await page.textContent(selector)) ?? "";
  assert.match(await text("#check"), /^right: 6 logits/, await text("#time"));
  const becomes = (label: string) =>
    page.waitForFunction((label) => document.getElementById("label")?.textContent === label, label, { timeout: 60_000 });
  await becomes("star");
  assert.match(await text("#memory"), /^weights .* KiB, activations .* KiB.*JS heap/);
  await page.click("#clear");
  const box = await page.locator("#drawing").boundingBox();
  assert.ok(box !== null);
  const at = (turn: number): [number, number] => [box.x + 130 + 75 * Math.cos(turn), box.y + 150 + 75 * Math.sin(turn)];
  await page.mouse.move(...at(0));
  await page.mouse.down();
  for (let step = 1; step <= 40; step++) {
    await page.mouse.move(...at((2 * Math.PI * step) / 40));
  }
  await page.mouse.up();
  await becomes("circle");
  assert.match(await text("#time"), /ms from the image to the label/);
  await page.screenshot({ path: "demo.png" });
  // The same as an image's file.
  const drawn = await page.evaluate(() => (document.getElementById("drawing") as HTMLCanvasElement).toDataURL());
  await page.click("#sample");
  await becomes("star");
  const buffer = Buffer.from(drawn.split(",")[1], "base64");
  await page.setInputFiles("#file", { name: "circle.png", mimeType: "image/png", buffer });
  await becomes("circle");
  // The app of the documentation.
  await page.goto(`${url}/app.html`);
  await page.waitForFunction(() => !/^(\d+ %)?$/.test(document.getElementById("label")?.textContent ?? ""), null, { timeout: 60_000 });
  assert.match(await text("#label"), /^class [0-5]$/);
  await page.close();
};

/** Seconds that the browser has taken of the processors so far. */
const processorTime = async (browser: Browser): Promise<number> =>
  (await processes(browser)).reduce((sum, { cpuTime }) => sum + cpuTime, 0);

const say = async (browser: Browser, what: string): Promise<void> =>
  console.log(`after ${what}: ${(performance.now() / 1_000).toFixed(1)} s, ${(await processorTime(browser)).toFixed(1)} s of processor time`);

const main = async (): Promise<void> => {
  const pages = new Map([["test.html", HTML], ["demo.html", readFileSync("demo/index.html", "utf8")]]);
  const served = await serve([folder, "dist", "dist-test"], pages);
  const browser = await chromium.launch({ executablePath: executable(), args: FLAGS, timeout: 60_000 });
  try {
    const cases = read<Case[]>("cases.json");
    // Few pipelines, since software takes long to make them.
    const small = cases.find(({ name }) => name === "textures") as Case;
    const page = await open(browser, served.url);
    page.setDefaultTimeout(300_000);
    console.log(`Chromium ${browser.version()}: ${JSON.stringify(await call(page, "about"))}`);
    await say(browser, "opening");
    await replays(browser, page, cases);
    await say(browser, "replays");
    const after = (runs: number, scale = 1): number[] => [1, 2, 3, 4].map((x) => 2 * runs * scale * x + 100);
    const onFromSaved = [1, 2, 3, 4].map((x) => 102 * x + 100);
    const sums = [after(1), after(2), after(3), after(1), after(2), after(5, 10), onFromSaved, after(1, 11), after(1)];
    assert.deepEqual(await call(page, "accumulate"), sums);
    const sizes: [number, number][] = [[12, 10], [0, 1], [3, 1], [9, 7], [12, 10], [3, 10], [6, 3], [12, 10]];
    assert.deepEqual(await call(page, "resize", sizes), []);
    await demo(browser, served.url);
    await say(browser, "the demo");
    await failures(page, small);
    await say(browser, "failures");
    await streams(browser, page, served, read<Large>("large.json"));
    await say(browser, "streams");
    await losses(browser, page, small);
    await say(browser, "losses");
  } finally {
    await browser.close();
    served.server.closeAllConnections();
    served.server.close();
  }
};

await main();
