// Builds the package: modules and types by tsc, one minified file by esbuild, whose gzipped size is printed. With `--tests` also
// what the tests and the demo run.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const tsc = (project) =>
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", project], { stdio: "inherit" });

tsc("tsconfig.json");
await build({
  entryPoints: ["src/index.ts"],
  outfile: "dist/drift.min.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
});
const bytes = gzipSync(readFileSync("dist/drift.min.js"), { level: 9 }).length;
console.log(`drift.min.js: ${bytes} bytes gzipped`);

if (process.argv.includes("--tests")) {
  tsc("tsconfig.test.json");
  const shared = { bundle: true, format: "esm", target: "es2022", logLevel: "warning" };
  await build({
    ...shared,
    entryPoints: ["test/reader.ts", "test/browser.ts"],
    outdir: "dist-test",
    outExtension: { ".js": ".mjs" },
    platform: "node",
    packages: "external",
  });
  // Pages import what ships.
  await build({ ...shared, entryPoints: { page: "test/page.ts", demo: "demo/demo.ts" }, outdir: "dist-test", external: ["drift-web"] });
}
