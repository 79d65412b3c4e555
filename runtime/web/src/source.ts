/**
 * Where the bytes of a bundle come from: memory, a server that answers range requests, or one that only sends a file from its
 * beginning. Nothing here holds more than the piece that has just come.
 */

import { as, wait } from "./deadline.js";
import { DriftError } from "./error.js";
import { truncated } from "./header.js";

/** Pieces of a range of a file, in order; null after the last. A piece is there until the next is asked for. Whoever stops early cancels. */
export interface Pieces {
  next(): Promise<Uint8Array | null>;
  cancel(): void;
}

/** The bytes of a file. */
export interface Source {
  /** Length of the file, where it is known. */
  readonly fileBytes: number | null;
  /** Whether a range costs no more than its own bytes. */
  readonly hasRanges: boolean;
  /** The bytes from `start` on, up to `end` where there is one. */
  pieces(start: number, end: number): Promise<Pieces>;
}

export interface FetchOptions {
  /** Milliseconds without a byte after which a download has failed. */
  readonly stallTimeout: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether to ask for ranges. */
  readonly ranges: boolean;
}

/** Bytes of the app's own. */
export class Memory implements Source {
  readonly hasRanges = true;

  constructor(private readonly bytes: Uint8Array) {}

  get fileBytes(): number {
    return this.bytes.length;
  }

  pieces(start: number, end: number): Promise<Pieces> {
    let at = start;
    const last = Math.min(end, this.bytes.length);
    const next = (): Promise<Uint8Array | null> => {
      // In parts, so that an app's page stays alive meanwhile.
      const piece = this.bytes.subarray(at, Math.min(at + 2 ** 20, last));
      at += piece.length;
      return Promise.resolve(piece.length === 0 ? null : piece);
    };
    return Promise.resolve({ next, cancel: () => undefined });
  }
}

/** How often a range is asked for again from where it broke off. */
const RETRIES = 2;

/** A file on a server. */
export class Remote implements Source {
  fileBytes: number | null = null;
  hasRanges = false;

  private constructor(
    private readonly url: string,
    private readonly options: FetchOptions,
  ) {}

  /** Opens a file and asks for its first `bytes`; a server without ranges sends all, as far as it is read. */
  static async open(url: string, bytes: number, options: FetchOptions): Promise<{ source: Remote; first: Pieces }> {
    const source = new Remote(url, options);
    const response = await source.request(options.ranges ? { start: 0, end: bytes } : null);
    source.hasRanges = response.status === 206;
    source.fileBytes = lengthOf(response);
    const first = source.reader(response);
    // Where the length is not known, the end of what comes is taken for that of the file.
    const end = Math.min(bytes, source.fileBytes ?? 0);
    return { source, first: source.hasRanges ? source.resumed(first, 0, end) : first };
  }

  async pieces(start: number, end: number): Promise<Pieces> {
    if (!this.hasRanges) {
      return this.after(start);
    }
    return this.resumed(await this.range(start, end), start, end);
  }

  /** The range from `start` to `end`, of which `current` has begun to come; asked for again where the connection breaks. */
  private resumed(current: Pieces, start: number, end: number): Pieces {
    let at = start;
    let retries = RETRIES;
    const next = async (): Promise<Uint8Array | null> => {
      for (;;) {
        try {
          const piece = await current.next();
          if (piece === null && at < end) {
            throw truncated(end, at);
          }
          at += piece?.length ?? 0;
          return piece;
        } catch (error) {
          const again = error instanceof DriftError && (error.code === "network" || error.code === "truncated");
          if (!again || retries === 0) {
            throw error;
          }
          retries -= 1;
          current = await this.range(at, end);
        }
      }
    };
    return { next, cancel: () => current.cancel() };
  }

  private async range(start: number, end: number): Promise<Pieces> {
    const response = await this.request({ start, end });
    if (response.status !== 206) {
      void response.body?.cancel().catch(() => undefined);
      throw new DriftError("network", `${this.url}: the server no longer answers range requests`);
    }
    return this.reader(response);
  }

  /** The file from its beginning, whose first bytes are dropped. */
  private async after(start: number): Promise<Pieces> {
    const pieces = this.reader(await this.request(null));
    let left = start;
    const next = async (): Promise<Uint8Array | null> => {
      for (;;) {
        const piece = await pieces.next();
        if (piece === null || left < piece.length) {
          const rest = piece?.subarray(left) ?? null;
          left = 0;
          return rest;
        }
        left -= piece.length;
      }
    };
    return { next, cancel: () => pieces.cancel() };
  }

  private async request(range: { start: number; end: number } | null): Promise<Response> {
    const { stallTimeout, signal } = this.options;
    const aborter = new AbortController();
    const headers: HeadersInit = range === null ? [] : [["Range", `bytes=${range.start}-${range.end - 1}`]];
    const doing = `fetching ${this.url}`;
    let response: Response;
    try {
      response = await wait(fetch(this.url, { headers, signal: aborter.signal }), doing, { within: stallTimeout, signal });
    } catch (error) {
      aborter.abort();
      throw as("network", doing, error);
    }
    if (!response.ok || response.body === null) {
      aborter.abort();
      throw new DriftError("network", `${doing} failed: the server answers ${response.status} ${response.statusText}`);
    }
    return response;
  }

  private reader(response: Response): Pieces {
    const { stallTimeout, signal } = this.options;
    const reader = readerOf(response.body as ReadableStream<Uint8Array<ArrayBuffer>>);
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    const doing = `downloading ${this.url}`;
    const next = async (): Promise<Uint8Array | null> => {
      try {
        const { done, value } = await wait(reader.read(), doing, { within: stallTimeout, signal });
        return done ? null : (value ?? null);
      } catch (error) {
        cancel();
        throw as("network", doing, error);
      }
    };
    return { next, cancel };
  }
}

/** Bytes that are read at a time, where the browser reads into memory of ours. */
const READ_BYTES = 2 ** 20;

interface PieceReader {
  read(): Promise<{ done: boolean; value?: Uint8Array<ArrayBuffer> | undefined }>;
  cancel(): Promise<void>;
}

/** Reads into the same memory again and again, so that a download leaves nothing for the collector of garbage. */
const readerOf = (body: ReadableStream<Uint8Array<ArrayBuffer>>): PieceReader => {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: "byob" });
  } catch {
    // Not every browser has it.
    return body.getReader();
  }
  let memory = new ArrayBuffer(READ_BYTES);
  const read = async (): ReturnType<PieceReader["read"]> => {
    const { done, value } = await reader.read(new Uint8Array(memory));
    memory = value?.buffer ?? memory;
    return { done, value };
  };
  return { read, cancel: () => reader.cancel() };
};

/** Length of the whole file, where the server's answer tells. */
const lengthOf = (response: Response): number | null => {
  const range = /^bytes \d+-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
  if (response.status === 206) {
    return range === null ? null : Number(range[1]);
  }
  // What was compressed on its way has another length than the file, and another origin's answer does not say whether it was.
  const length = response.headers.get("Content-Length");
  const isPlain = response.type === "basic" && response.headers.get("Content-Encoding") === null;
  return length !== null && isPlain ? Number(length) : null;
};
