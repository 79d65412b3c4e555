/** A server for the tests: files of a folder, with and without ranges, and downloads that go wrong. */

import { createReadStream, statSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { format } from "node:url";

/** What a path begins with says how its file is sent. */
const WAYS = ["ranges", "plain", "chunked", "cut", "ended", "stalled", "flaky"] as const;

type Way = (typeof WAYS)[number];

const TYPES: Record<string, string | undefined> = { ".html": "text/html", ".js": "text/javascript" };

export interface Served {
  readonly url: string;
  /** Bytes that were sent and requests that were answered since the last reset. */
  readonly counts: { bytes: number; requests: number };
  readonly server: Server;
}

/** Serves the files of the first folder that has them, and `pages` by their paths. */
export const serve = async (folders: readonly string[], pages: ReadonlyMap<string, string>): Promise<Served> => {
  const counts = { bytes: 0, requests: 0 };
  let flaky = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent((request.url ?? "/").split("?", 1)[0]).slice(1);
    const page = pages.get(path);
    if (page !== undefined) {
      response.writeHead(200, { "Content-Type": "text/html" }).end(page);
      return;
    }
    const [first, ...rest] = path.split("/");
    const named = WAYS.find((way) => way === first);
    const name = named === undefined ? path : rest.join("/");
    const file = folders.map((folder) => join(folder, name)).find((one) => statSync(one, { throwIfNoEntry: false })?.isFile());
    if (file === undefined || name.includes("..")) {
      response.writeHead(404).end();
      return;
    }
    counts.requests += 1;
    send(request, response, file, named ?? "plain");
  };
  const send = (request: IncomingMessage, response: ServerResponse, file: string, way: Way): void => {
    const { size } = statSync(file);
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const isRange = range !== null && (way === "ranges" || way === "flaky");
    const start = isRange ? Number(range[1]) : 0;
    const end = isRange ? Math.min(Number(range[2]) + 1, size) : size;
    if (isRange && start >= end) {
      response.writeHead(416, { "Content-Range": `bytes */${size}` }).end();
      return;
    }
    const headers: Record<string, string | number> = { "Content-Type": type, "Cache-Control": "no-store" };
    if (isRange) {
      headers["Content-Range"] = `bytes ${start}-${end - 1}/${size}`;
    }
    if (way !== "chunked" && way !== "ended") {
      headers["Content-Length"] = end - start;
    }
    response.writeHead(isRange ? 206 : 200, headers);
    flaky += 1;
    const breaks = way === "cut" || (way === "flaky" && flaky % 2 === 0);
    const half = start + Math.floor((end - start) / 2);
    const until = breaks || way === "ended" || way === "stalled" ? half : end;
    if (end === start) {
      // An input without elements is a file without bytes.
      response.end();
      return;
    }
    const stream = createReadStream(file, { start, end: until - 1, highWaterMark: 2 ** 20 });
    stream.on("data", (piece) => (counts.bytes += piece.length));
    stream.on("end", () => {
      if (breaks) {
        response.destroy();
      } else if (way !== "stalled") {
        response.end();
      }
    });
    response.on("close", () => stream.destroy());
    stream.pipe(response, { end: false });
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: format({ protocol: "http", hostname: "localhost", port }), counts, server };
};
