/**
 * Replays driftc's WebGPU bundles in a browser.
 *
 *     const bundle = await Bundle.load("model.drift");
 *     const device = await Device.open();
 *     const session = await device.load(bundle);
 *     session.write("image", pixels);
 *     await session.run();
 *     const logits = await session.read("logits");
 */

export { Bundle, type BundleOptions, type Progress } from "./bundle.js";
export type { ChooseOptions, Declined } from "./choose.js";
export { Device, type LoadOptions, type OpenOptions } from "./device.js";
export { DriftError, type DriftErrorCode } from "./error.js";
export type { Lost } from "./gpu.js";
export { floatOf, halfOf, type Values } from "./host.js";
export type { DeviceInfo } from "./info.js";
export { FORMAT_VERSION } from "./limits.js";
export type { LoadTimes } from "./loader.js";
export type { DeviceElement, HostElement, Manifest } from "./manifest.js";
export type { DeviceBytes } from "./regions.js";
export type { Dim } from "./size.js";
export { type LoadReport, Session, type StateTensor, type Tensor } from "./session.js";
