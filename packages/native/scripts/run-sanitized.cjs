// Builds the sanitized addon and runs a Node program of another package with it:
//
//   node scripts/run-sanitized.cjs PROGRAM [ARGUMENT…]
"use strict";
const { spawnSync } = require("node:child_process");
const { build, environment } = require("./sanitized-addon.cjs");

async function main() {
  await build();
  // By default, 256 MiB of freed memory wait in a quarantine. A program that watches its own memory takes that for a
  // leak.
  const { status } = spawnSync(process.execPath, process.argv.slice(2), {
    env: environment(["quarantine_size_mb=16"]),
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}

main();
