/** Values of the caller, and how they become what a device computes with. */

import { DriftError } from "./error.js";
import { type DeviceElement, type HostElement, type IoTensor, elementsOf, hostBytes } from "./manifest.js";

/** Arrays that hold a tensor's values: halves and bfloat16 as their bits in 16-bit integers, truth values and floats of eight and fewer bits as bytes. */
export type Values =
  | Float32Array
  | Uint16Array
  | Int16Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int8Array
  | Uint8Array;

type Plain = Float32Array | Int32Array | Uint32Array | Uint16Array;

const NAMES: Record<HostElement, string> = {
  F32: "Float32Array",
  F16: "Uint16Array of halves' bits, or Float16Array",
  I64: "BigInt64Array",
  I32: "Int32Array",
  I8: "Int8Array",
  U8: "Uint8Array",
  Bool: "Uint8Array of 0 and 1",
  I16: "Int16Array",
  U16: "Uint16Array",
  U32: "Uint32Array",
  U64: "BigUint64Array",
  Bf16: "Uint16Array of bfloat16's bits",
  F8E4M3: "Uint8Array of its bits",
  F8E4M3Fnuz: "Uint8Array of its bits",
  F8E5M2: "Uint8Array of its bits",
  F8E5M2Fnuz: "Uint8Array of its bits",
  F8E8M0: "Uint8Array of its bits",
  F4E2M1: "Uint8Array of its bits",
  I4: "Int8Array",
  U4: "Uint8Array",
  I2: "Int8Array",
  U2: "Uint8Array",
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
    case "I4":
    case "I2":
      return values instanceof Int8Array;
    case "I16":
      return values instanceof Int16Array;
    case "U16":
    case "Bf16":
      return values instanceof Uint16Array;
    case "U32":
      return values instanceof Uint32Array;
    case "U64":
      return values instanceof BigUint64Array;
    case "U8":
    case "Bool":
    case "U4":
    case "U2":
    case "F8E4M3":
    case "F8E4M3Fnuz":
    case "F8E5M2":
    case "F8E5M2Fnuz":
    case "F8E8M0":
    case "F4E2M1":
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

/** The float whose upper half these bits are. */
const floatOfBf16 = (bits: number): number => {
  WORK_U32[0] = bits << 16;
  return WORK_F32[0] as number;
};

/** Upper half of the nearest float that has nothing in the lower one, ties to even. */
const bf16Of = (value: number): number => {
  WORK_F32[0] = value;
  const bits = WORK_U32[0] as number;
  if ((bits & 0x7fff_ffff) > 0x7f80_0000) {
    return (bits >>> 16) | 0x40;
  }
  return Math.floor((bits + 0x7fff + ((bits >>> 16) & 1)) / 65536) & 0xffff;
};

/** What is stored of floats of eight and fewer bits: mantissa, bias, the code of the largest, of NaN and of infinity, the sign's bit, whether zero has one. */
interface SmallForm {
  readonly mantissa: number;
  readonly bias: number;
  readonly most: number;
  readonly nan: number | null;
  readonly infinity: number | null;
  readonly sign: number;
  readonly negativeZero: boolean;
}

const SMALL: Partial<Record<HostElement, SmallForm>> = {
  F8E4M3: { mantissa: 3, bias: 7, most: 0x7e, nan: 0x7f, infinity: null, sign: 0x80, negativeZero: true },
  F8E4M3Fnuz: { mantissa: 3, bias: 8, most: 0x7f, nan: 0x80, infinity: null, sign: 0x80, negativeZero: false },
  F8E5M2: { mantissa: 2, bias: 15, most: 0x7b, nan: 0x7e, infinity: 0x7c, sign: 0x80, negativeZero: true },
  F8E5M2Fnuz: { mantissa: 2, bias: 16, most: 0x7f, nan: 0x80, infinity: null, sign: 0x80, negativeZero: false },
  F4E2M1: { mantissa: 1, bias: 1, most: 0x7, nan: null, infinity: null, sign: 0x8, negativeZero: true },
};

const finiteOf = ({ mantissa, bias }: SmallForm, magnitude: number): number => {
  const exponent = magnitude >> mantissa;
  const lead = exponent === 0 ? 0 : 1 << mantissa;
  return (lead + (magnitude & ((1 << mantissa) - 1))) * 2 ** (Math.max(exponent, 1) - bias - mantissa);
};

/** The number of a byte of a small float type. */
export const smallValue = (element: HostElement, byte: number): number => {
  if (element === "F8E8M0") {
    return byte === 0xff ? Number.NaN : 2 ** (byte - 127);
  }
  const form = SMALL[element] as SmallForm;
  const magnitude = byte & (form.sign - 1);
  const sign = byte & form.sign ? -1 : 1;
  if (byte === form.nan || (form.nan !== null && magnitude > form.most && magnitude !== form.infinity)) {
    return Number.NaN;
  }
  return sign * (magnitude === form.infinity ? Infinity : finiteOf(form, magnitude));
};

/** The byte of the number next to a float, of two the even one; the largest beyond it. */
export const smallCode = (element: HostElement, value: number): number => {
  if (element === "F8E8M0") {
    if (Number.isNaN(value) || value < 0) {
      return 0xff;
    }
    const below = value === 0 ? -127 : Math.floor(Math.log2(value));
    return Math.min(Math.max(below + (value >= 1.5 * 2 ** below ? 1 : 0) + 127, 0), 0xfe);
  }
  const form = SMALL[element] as SmallForm;
  if (Number.isNaN(value)) {
    return form.nan ?? 0;
  }
  const sign = value < 0 || Object.is(value, -0) ? form.sign : 0;
  const size = Math.abs(value);
  if (size === Infinity && form.infinity !== null) {
    return sign | form.infinity;
  }
  let above = 0;
  while (above < form.most && finiteOf(form, above) < size) {
    above += 1;
  }
  let magnitude = above;
  if (above > 0) {
    const [up, down] = [finiteOf(form, above) - size, size - finiteOf(form, above - 1)];
    magnitude = down < up || (down === up && (above - 1) % 2 === 0) ? above - 1 : above;
  }
  return magnitude === 0 && !form.negativeZero ? 0 : sign | magnitude;
};

/** The least and the largest of integers that take a byte but have fewer bits. */
const SMALL_RANGES: Partial<Record<HostElement, readonly [number, number]>> = {
  I4: [-8, 7],
  U4: [0, 15],
  I2: [-2, 1],
  U2: [0, 3],
};

const isSmallFloat = (element: HostElement): boolean => element === "F8E8M0" || SMALL[element] !== undefined;

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
  } else if (element === "U64") {
    (values as BigUint64Array).forEach((value, index) => {
      if (BigInt.asUintN(32, value) !== value) {
        const what = `\`${tensor.name}\`: element ${index} is ${value}`;
        throw new DriftError("range", `${what}, outside the 32-bit range that devices compute with`);
      }
      into[index] = Number(value);
    });
  } else if (element === "Bf16" || isSmallFloat(element)) {
    const floatOfBits = element === "Bf16" ? floatOfBf16 : (bits: number) => smallValue(element, bits);
    const floats = Float32Array.from(values as Uint8Array, floatOfBits);
    into.set(device === "F16" ? Uint16Array.from(floats, halfOf) : floats);
  } else if (SMALL_RANGES[element] !== undefined) {
    const [low, high] = SMALL_RANGES[element];
    (values as Int8Array).forEach((value, index) => {
      if (value < low || value > high) {
        throw new DriftError("range", `\`${tensor.name}\`: element ${index} is ${value}, outside of ${low} to ${high}`);
      }
      into[index] = value;
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
    case "I16":
      return Int16Array.from(from);
    case "U16":
      return Uint16Array.from(from);
    case "U32":
      return Uint32Array.from(from);
    case "U64":
      return BigUint64Array.from(from as Int32Array, (value) => BigInt(value >>> 0));
    case "Bf16":
      return Uint16Array.from(from, (value) => bf16Of(device === "F16" ? floatOf(value) : value));
    case "I4":
    case "I2":
    case "U4":
    case "U2": {
      const [low, high] = SMALL_RANGES[tensor.element] as readonly [number, number];
      const count = high - low + 1;
      const wrapped = (value: number): number => ((((value - low) % count) + count) % count) + low;
      return low < 0 ? Int8Array.from(from, wrapped) : Uint8Array.from(from, wrapped);
    }
    case "F8E4M3":
    case "F8E4M3Fnuz":
    case "F8E5M2":
    case "F8E5M2Fnuz":
    case "F8E8M0":
    case "F4E2M1": {
      const { element } = tensor;
      return Uint8Array.from(from, (value) => smallCode(element, device === "F16" ? floatOf(value) : value));
    }
  }
};
