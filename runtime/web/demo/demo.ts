/** The demo's page: an image in, a label and the time out; what it takes of memory; and one result against onnxruntime's. */

import { Bundle, Device, DriftError, type Session } from "drift-web";

const LABELS = ["circle", "cross", "heart", "square", "star", "triangle"];
const SIDE = 32;

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const say = (id: string, text: string): void => void (element(id).textContent = text);
const kib = (bytes: number): string =>
  bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(bytes < 10_240 ? 1 : 0)} KiB`;
const ms = (time: number): string => `${time.toFixed(time < 10 ? 1 : 0)} ms`;

const canvas = element<HTMLCanvasElement>("drawing");
const pen = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;

/** The bytes of a tensor that a file of ONNX's backend tests holds: field 9 of the message. */
const rawData = (file: ArrayBuffer): Float32Array => {
  const bytes = new Uint8Array(file);
  let at = 0;
  const number = (): number => {
    let [value, scale, byte] = [0, 1, 128];
    while (byte >= 128) {
      byte = bytes[at++];
      value += (byte % 128) * scale;
      scale *= 128;
    }
    return value;
  };
  while (at < bytes.length) {
    const [tag, value] = [number(), number()];
    if (tag === 9 * 8 + 2) {
      return new Float32Array(file.slice(at, at + value));
    }
    // Lengths have that many bytes after them; other fields of these files are numbers.
    at += tag % 8 === 2 ? value : 0;
  }
  throw new Error("the file holds no tensor");
};

const clear = (): void => {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
};

/** Shows what the network sees. */
const show = (pixels: Float32Array): void => {
  const scale = canvas.width / SIDE;
  pixels.forEach((value, index) => {
    const level = Math.round(255 * value);
    pen.fillStyle = `rgb(${level},${level},${level})`;
    pen.fillRect((index % SIDE) * scale, Math.floor(index / SIDE) * scale, scale, scale);
  });
};

/** The drawing, as brightness between 0 and 1, moved to the middle as a whole. */
const pixels = (): Float32Array => {
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const bright = (x: number, y: number): number => {
    const at = 4 * (y * canvas.width + x);
    return (data[at] + data[at + 1] + data[at + 2]) / 765;
  };
  const step = canvas.width / SIDE;
  const bounds = { left: canvas.width, right: 0, top: canvas.height, bottom: 0 };
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      if (bright(x, y) > 0.3) {
        bounds.left = Math.min(bounds.left, x);
        bounds.right = Math.max(bounds.right, x);
        bounds.top = Math.min(bounds.top, y);
        bounds.bottom = Math.max(bounds.bottom, y);
      }
    }
  }
  const shift = (low: number, high: number): number => (high < low ? 0 : Math.round((low + high - canvas.width) / 2));
  const [dx, dy] = [shift(bounds.left, bounds.right), shift(bounds.top, bounds.bottom)];
  return Float32Array.from({ length: SIDE * SIDE }, (_, index) => {
    let sum = 0;
    for (let y = 0; y < step; y++) {
      for (let x = 0; x < step; x++) {
        const [px, py] = [(index % SIDE) * step + x + dx, Math.floor(index / SIDE) * step + y + dy];
        const isInside = px >= 0 && py >= 0 && px < canvas.width && py < canvas.height;
        sum += isInside ? bright(px, py) : 0;
      }
    }
    return sum / step ** 2;
  });
};

const bars = LABELS.map((label) => {
  const parts = [document.createElement("span"), document.createElement("div"), document.createElement("b")];
  parts[0].textContent = label;
  parts[1].append(document.createElement("i"));
  element("bars").append(...parts);
  return { bar: parts[1].firstElementChild as HTMLElement, number: parts[2] };
});

/** The app's whole use of a session: an image in, probabilities out. */
const classify = async (session: Session, image: Float32Array): Promise<{ found: Float32Array; time: number }> => {
  const start = performance.now();
  session.write("image", image);
  await session.run();
  const found = (await session.read("probabilities")) as Float32Array;
  return { found, time: performance.now() - start };
};

const present = ({ found, time }: { found: Float32Array; time: number }): void => {
  const best = found.indexOf(Math.max(...found));
  say("label", LABELS[best]);
  say("time", `${ms(time)} from the image to the label`);
  bars.forEach(({ bar, number }, index) => {
    bar.style.width = `${100 * found[index]}%`;
    number.textContent = `${(100 * found[index]).toFixed(1)} %`;
  });
};

const report = (session: Session, bundle: Bundle): void => {
  const { bytes, times, pipelines, dispatches, variant } = session.report;
  say("bundle", `${kib(bundle.fileBytes)}, variant ${variant}, ${pipelines} pipelines, ${dispatches} dispatches`);
  say("load", `${ms(times.total)}: weights after ${ms(times.weights)}, pipelines after ${ms(times.pipelines)}`);
  const { usedJSHeapSize: heap } = (performance as { memory?: { usedJSHeapSize: number } }).memory ?? {};
  const device = `weights ${kib(bytes.weights)}, activations ${kib(bytes.arena + bytes.textures)}, results ${kib(bytes.staging)}`;
  say("memory", heap === undefined ? device : `${device}; JS heap ${(heap / 2 ** 20).toFixed(1)} MiB`);
};

/** Replays the stored input and compares with what onnxruntime made of it. */
const check = async (session: Session, image: Float32Array): Promise<void> => {
  const expected = rawData(await (await fetch("./output_1.pb")).arrayBuffer());
  await classify(session, image);
  const found = (await session.read("logits")) as Float32Array;
  const error = Math.max(...expected.map((value, index) => Math.abs(value - found[index])));
  const isRight = error <= 1e-4;
  say("check", `${isRight ? "right" : "wrong"}: ${expected.length} logits are onnxruntime's to ${error.toExponential(1)}`);
  element("check").className = isRight ? "good" : "bad";
};

const main = async (): Promise<void> => {
  clear();
  const loading = Bundle.load("./model.drift", {
    onProgress: ({ loaded, total }) => say("bundle", `${kib(loaded)} of ${kib(total)}`),
  });
  const device = await Device.open();
  say("device", device.info.name);
  const bundle = await loading;
  const session = await device.load(bundle);
  const sample = rawData(await (await fetch("./input_0.pb")).arrayBuffer());
  await check(session, sample);
  report(session, bundle);

  let isBusy = false;
  const update = async (image: Float32Array): Promise<void> => {
    if (!isBusy) {
      isBusy = true;
      present(await classify(session, image).finally(() => (isBusy = false)));
    }
  };
  const takeSample = (): void => {
    show(sample);
    void update(sample).catch(fail);
  };
  let from: { x: number; y: number } | null = null;
  const place = (event: PointerEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = place(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from === null) {
      return;
    }
    const to = place(event);
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
    from = to;
    void update(pixels()).catch(fail);
  });
  canvas.addEventListener("pointerup", () => {
    from = null;
    void update(pixels()).catch(fail);
  });
  element("clear").addEventListener("click", clear);
  element("sample").addEventListener("click", takeSample);
  element<HTMLInputElement>("file").addEventListener("change", (event) => {
    const [file] = (event.target as HTMLInputElement).files ?? [];
    if (file !== undefined) {
      void createImageBitmap(file)
        .then((image) => {
          clear();
          const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
          const [width, height] = [image.width * scale, image.height * scale];
          pen.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
          return update(pixels());
        })
        .catch(fail);
    }
  });
  takeSample();
  void device.lost.then(({ message }) => fail(new DriftError("device-lost", `the device was lost: ${message}; load the page again`)));
};

const fail = (error: unknown): void => {
  say("label", "");
  say("time", error instanceof DriftError ? `${error.code}: ${error.message}` : String(error));
  element("time").className = "bad";
};

main().catch(fail);
