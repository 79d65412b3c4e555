/** What an adapter or device says of itself. */

/** What variants are chosen by. */
export interface DeviceInfo {
  /** For people; browsers tell little. */
  readonly name: string;
  /** PCI number of the vendor; 0 where the browser does not tell. */
  readonly vendor: number;
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** The size that all subgroups have; 0 where there are several, or the browser does not tell. */
  readonly subgroupSize: number;
  readonly limits: GPUSupportedLimits;
}

/** Browsers give vendors by name. */
const VENDORS: Record<string, number | undefined> = {
  amd: 0x1002,
  apple: 0x106b,
  arm: 0x13b5,
  google: 0x1ae0,
  "img-tec": 0x1010,
  intel: 0x8086,
  mesa: 0x10005,
  microsoft: 0x1414,
  nvidia: 0x10de,
  qualcomm: 0x5143,
  samsung: 0x144d,
};

/** Features that a device is opened with, where the adapter has them. */
export const WANTED: readonly GPUFeatureName[] = ["shader-f16", "subgroups"];

/** Limits that a device is opened with as far as the adapter goes. */
export const LIMITS = [
  "maxTextureDimension2D",
  "maxTextureDimension3D",
  "maxTextureArrayLayers",
  "maxBindingsPerBindGroup",
  "maxSampledTexturesPerShaderStage",
  "maxStorageBuffersPerShaderStage",
  "maxStorageTexturesPerShaderStage",
  "maxUniformBuffersPerShaderStage",
  "maxUniformBufferBindingSize",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Reads a device, with what its adapter tells beside it. */
export const infoOf = (device: GPUDevice, adapter: GPUAdapterInfo): DeviceInfo => {
  const { vendor, architecture, device: model, description, subgroupMinSize, subgroupMaxSize } = adapter;
  const told = [description, model, architecture, vendor].find((name) => name !== "");
  return {
    name: told ?? "a device that the browser does not name",
    vendor: (Object.hasOwn(VENDORS, vendor) ? VENDORS[vendor] : undefined) ?? 0,
    f16: device.features.has("shader-f16"),
    subgroups: device.features.has("subgroups"),
    // No kernel chooses a size: it knows one only where there is one.
    subgroupSize: subgroupMinSize === subgroupMaxSize ? (subgroupMinSize ?? 0) : 0,
    limits: device.limits,
  };
};
