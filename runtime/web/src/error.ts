/** Everything that can go wrong, as one class whose `code` says what an app can do about it. */

/** What went wrong. */
export type DriftErrorCode =
  /** The browser has no WebGPU, or the page is no secure context. */
  | "no-webgpu"
  /** There is WebGPU and no adapter. */
  | "no-adapter"
  /** The bundle could not be fetched; `load` may be called again. */
  | "network"
  /** Something did not finish within its deadline. */
  | "timeout"
  /** The app's own signal. */
  | "aborted"
  /** The download ended before the bundle did. */
  | "truncated"
  /** Bytes that are not those that were written, or no bundle at all. */
  | "damaged"
  /** A bundle of another version of the format. */
  | "version"
  /** A manifest that says something that does not hold. */
  | "invalid"
  /** The file is another than the one whose manifest was read. */
  | "changed"
  /** The bundle holds nothing for WebGPU, or not the entry or variant that was asked for. */
  | "no-entry"
  /** No variant runs on this device; the message says what is missing. */
  | "unsupported"
  /** The device is lost: open another and load the bundle again. */
  | "device-lost"
  | "out-of-memory"
  /** The browser refused something that the device's limits allow. */
  | "driver"
  /** There is no input or output of this name. */
  | "no-tensor"
  /** The bundle leaves no dim of this name free. */
  | "no-dim"
  /** Values of another type than the model declares. */
  | "type"
  /** More or fewer values than the shape takes. */
  | "length"
  /** A 64-bit value that devices, which compute with 32 bits, do not hold; or a size that a dim may not have. */
  | "range"
  /** A run without all inputs. */
  | "not-written"
  /** Results before the first run, or the first after a size was set. */
  | "not-run"
  /** A session that is still at an earlier call. */
  | "busy"
  /** A session whose earlier run failed: load the bundle again. */
  | "failed"
  /** A session or device that was destroyed by the app. */
  | "destroyed";

/** The only class of errors that this package throws on purpose. */
export class DriftError extends Error {
  override readonly name = "DriftError";

  constructor(
    readonly code: DriftErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A manifest that says something that does not hold. */
export const invalid = (place: string, problem: string): DriftError =>
  new DriftError("invalid", `${place}: ${problem}`);

/** Bytes that are not those that were written. */
export const damaged = (problem: string): DriftError =>
  new DriftError("damaged", `${problem}; copy or download the bundle again`);

/** The words of whatever was thrown. */
export const words = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
