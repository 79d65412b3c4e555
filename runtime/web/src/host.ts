/** Values of the caller, and how they become what a device computes with. */

import { DriftError } from "./error.js";
import { type DeviceElement, type HostElement, type IoTensor, elementsOf, hostBytes } from "./manifest.js";

/** Arrays that hold a tensor's values: halves as their bits in 16-bit integers, truth values as bytes. */
export type Values = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

type Plain = Float32Array | Int32Array | Uint32Array | Uint16Array;

const NAMES: Record<HostElement, string> = {
  F32: "Float32Array",
  F16: "Uint16Array of halves' bits, or Float16Array",
  I64: "BigInt64Array",
  I32: "Int32Array",
  I8: "Int8Array",
  U8: "Uint8Array",
  Bool: "Uint8Array of 0 and 1",
};

const isOf = (element: HostElement, values: object): boolean => {
  const name = values.constructor.name;
  switch (element) {
    case "F32":
      return values instanceof Float32Array;
    case "F16":
      return values instanceof Uint16Array || name === "Float16Array";
    case "I64":
      return values instanceof BigInt64Array;
    case "I32":
      return values instanceof Int32Array;
    case "I8":
      return values instanceof Int8Array;
    case "U8":
    case "Bool":
      return values instanceof Uint8Array || values instanceof Uint8ClampedArray;
  }
};

/** Nearest half of a float, ties to even. */
export const halfOf = (value: number): number => {
  WORK_F32[0] = value;
  const bits = WORK_U32[0];
  const sign = (bits >>> 16) & 0x8000;
  const rest = bits & 0x7fff_ffff;
  if (rest >= 0x7f80_0000) {
    return sign | (rest > 0x7f80_0000 ? 0x7e00 : 0x7c00);
  }
  if (rest >= 0x477f_f000) {
    return sign | 0x7c00;
  }
  if (rest >= 0x3880_0000) {
    const lowest = rest - 0x3800_0000;
    return sign | ((lowest + 0xfff + ((lowest >>> 13) & 1)) >>> 13);
  }
  // Subnormal: multiples of 2^-24. The product is exact, since it only moves the exponent.
  const scaled = Math.abs(value) * 2 ** 24;
  const floor = Math.floor(scaled);
  const up = scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2 === 1);
  return sign | (up ? floor + 1 : floor);
};

const WORK_F32 = new Float32Array(1);
const WORK_U32 = new Uint32Array(WORK_F32.buffer);

/** The float that a half's bits stand for. */
export const floatOf = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Infinity : Number.NaN;
  }
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
};

/** Refuses values of another type or number than the tensor's. */
export const checkValues = (tensor: IoTensor, values: ArrayBufferView): void => {
  const { name, element } = tensor;
  if (!isOf(element, values)) {
    const found = values.constructor.name;
    throw new DriftError("type", `\`${name}\` holds ${element} values, which are a ${NAMES[element]}; a ${found} was given`);
  }
  const [expected, found] = [elementsOf(tensor), values.byteLength / hostBytes(element)];
  if (found !== expected) {
    throw new DriftError("length", `\`${name}\` has shape [${tensor.shape.join(", ")}], which is ${expected} values; ${found} were given`);
  }
};

const words = (device: DeviceElement, bytes: Uint8Array<ArrayBuffer>, count: number): Plain => {
  const { buffer, byteOffset } = bytes;
  switch (device) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count);
    case "F16":
      return new Uint16Array(buffer, byteOffset, count);
    case "I32":
      return new Int32Array(buffer, byteOffset, count);
    case "U32":
      return new Uint32Array(buffer, byteOffset, count);
  }
};

/** Bytes of a copy or binding, up to whole words. */
export const whole = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** The device's bytes for checked values, up to whole words. */
export const toDevice = (tensor: IoTensor, device: DeviceElement, values: ArrayBufferView): Uint8Array<ArrayBuffer> => {
  const { element } = tensor;
  const count = elementsOf(tensor);
  const bytes = new Uint8Array(whole(count * (device === "F16" ? 2 : 4)));
  const into = words(device, bytes, count);
  if (element === "F16") {
    const halves = new Uint16Array(values.buffer, values.byteOffset, count);
    into.set(device === "F16" ? halves : Float32Array.from(halves, floatOf));
  } else if (element === "I64") {
    (values as BigInt64Array).forEach((value, index) => {
      if (BigInt.asIntN(32, value) !== value) {
        const what = `\`${tensor.name}\`: element ${index} is ${value}`;
        throw new DriftError("range", `${what}, outside the 32-bit range that devices compute with`);
      }
      into[index] = Number(value);
    });
  } else if (element === "F32" && device === "F16") {
    (values as Float32Array).forEach((value, index) => (into[index] = halfOf(value)));
  } else if (element === "Bool") {
    (values as Uint8Array).forEach((value, index) => (into[index] = value === 0 ? 0 : 1));
  } else {
    into.set(values as Float32Array);
  }
  return bytes;
};

/** The caller's values of what a device computed. */
export const fromDevice = (tensor: IoTensor, device: DeviceElement, bytes: Uint8Array<ArrayBuffer>): Values => {
  const from = words(device, bytes, elementsOf(tensor));
  switch (tensor.element) {
    case "F32":
      return device === "F16" ? Float32Array.from(from, floatOf) : Float32Array.from(from);
    case "F16":
      return device === "F16" ? Uint16Array.from(from) : Uint16Array.from(from, halfOf);
    case "I64":
      return BigInt64Array.from(from as Int32Array, BigInt);
    case "I32":
      return Int32Array.from(from);
    // The low byte is what 8-bit arithmetic leaves, and devices compute with 32 bits.
    case "I8":
      return Int8Array.from(from);
    case "U8":
      return Uint8Array.from(from);
    case "Bool":
      return Uint8Array.from(from, (value) => (value === 0 ? 0 : 1));
  }
};
