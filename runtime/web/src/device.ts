/** Opens the browser's GPU, and loads bundles onto it. */

import type { Bundle } from "./bundle.js";
import { type ChooseOptions, choose } from "./choose.js";
import { as, wait } from "./deadline.js";
import { DriftError } from "./error.js";
import { Gpu, type Lost } from "./gpu.js";
import { type DeviceInfo, LIMITS, WANTED, infoOf } from "./info.js";
import { loadProgram } from "./loader.js";
import { Session } from "./session.js";
import { States } from "./states.js";

export interface OpenOptions {
  readonly powerPreference?: GPUPowerPreference;
  /** Milliseconds that opening may take; 30,000 unless told otherwise. */
  readonly timeout?: number;
}

export interface LoadOptions extends ChooseOptions {
  /** Milliseconds that a run, or a read of a result, may take; 60,000 unless told otherwise. */
  readonly timeout?: number;
  /** Milliseconds that each step of loading may take on the device; 600,000 unless told otherwise. Downloads have a timeout of their own. */
  readonly loadTimeout?: number;
  /** Ends the load. */
  readonly signal?: AbortSignal;
}

const NO_INFO: GPUAdapterInfo = Object.assign(Object.create(null), { vendor: "", architecture: "", device: "", description: "" });

/** An opened device, for any number of sessions. */
export class Device {
  private constructor(private readonly gpu: Gpu) {}

  /** Opens the browser's adapter with all that it has of memory, bindings, textures and workgroups. */
  static async open({ powerPreference = "high-performance", timeout = 30_000 }: OpenOptions = {}): Promise<Device> {
    const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
    if (gpu === undefined) {
      const reason = globalThis.isSecureContext ? "this browser has none" : "a page has it in a secure context only: over HTTPS, or from localhost";
      throw new DriftError("no-webgpu", `there is no WebGPU: ${reason}`);
    }
    const doing = "opening the device";
    let adapter: GPUAdapter | null;
    try {
      adapter = await wait(gpu.requestAdapter({ powerPreference }), doing, { within: timeout });
      if (adapter === null) {
        throw new DriftError("no-adapter", "the browser has WebGPU, but no adapter: the GPU may be blocked, or its driver too old");
      }
      const has = adapter;
      const device = await wait(
        has.requestDevice({
          requiredFeatures: WANTED.filter((feature) => has.features.has(feature)),
          requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, has.limits[limit]])),
        }),
        doing,
        { within: timeout },
      );
      return new Device(new Gpu(device, infoOf(device, has.info ?? NO_INFO)));
    } catch (error) {
      throw as("driver", doing, error);
    }
  }

  /** Takes a device that the app has opened: with the limits and features that its bundles need. */
  static from(device: GPUDevice): Device {
    return new Device(new Gpu(device, infoOf(device, device.adapterInfo ?? NO_INFO)));
  }

  /** What variants are chosen by. */
  get info(): DeviceInfo {
    return this.gpu.info;
  }

  /** Settles when the device is lost; its sessions are lost with it. Open a device again and load the bundle again. */
  get lost(): Promise<Lost> {
    return this.gpu.lost;
  }

  /** The browser's own device, for the app's other work. */
  get raw(): GPUDevice {
    return this.gpu.device;
  }

  /** Loads an entry of a bundle: pipelines are compiled while weights come. */
  async load(bundle: Bundle, options: LoadOptions = {}): Promise<Session> {
    const [session] = await this.loadAll(bundle, [options.entry], options);
    return session;
  }

  /**
   * Loads several entries of a bundle, one after another, which share states of one name: what a run of one session leaves there, the next run of
   * another finds. Their runs take turns. The sessions come in the order of `entries`; `options.entry` is not looked at.
   */
  async loadEntries(bundle: Bundle, entries: readonly string[], options: LoadOptions = {}): Promise<Session[]> {
    return this.loadAll(bundle, entries, options);
  }

  private async loadAll(bundle: Bundle, entries: readonly (string | undefined)[], options: LoadOptions): Promise<Session[]> {
    const doing = "loading";
    this.gpu.check(doing);
    const chosen = entries.map((entry) => choose(bundle, this.gpu.info, { ...options, entry }));
    const { loadTimeout = 600_000, timeout = 60_000, signal } = options;
    const programs = chosen.map(({ program }) => program);
    const deadline = this.gpu.deadline(loadTimeout, signal);
    const states = await this.gpu.scoped("allocating memory", () => new States(this.gpu.device, programs), deadline);
    const sessions: Session[] = [];
    try {
      for (const { program, declined } of chosen) {
        const loaded = await loadProgram(this.gpu, program, states, { loadTimeout, signal });
        sessions.push(new Session(this.gpu, program, loaded, declined, timeout));
      }
    } catch (error) {
      sessions.forEach((session) => session.destroy());
      chosen.slice(sessions.length).forEach(() => states.release());
      throw error;
    }
    return sessions;
  }

  /** Gives all of it back. */
  destroy(): void {
    this.gpu.isClosed = true;
    this.gpu.device.destroy();
  }
}
