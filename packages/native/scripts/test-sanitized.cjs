// Tests the addon under AddressSanitizer and UndefinedBehaviorSanitizer: its tests, random calls, and leaks at exit.
//
//   node scripts/test-sanitized.cjs [CALLS [SEED]]    default 200,000 calls; 0 to 10^7 and more
"use strict";
const { spawnSync } = require("node:child_process");
const { join } = require("node:path");
const { build, environment, packageDirectory } = require("./sanitized-addon.cjs");

const [calls = "200000", seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
const randomCalls = join(__dirname, "random-calls.cjs");

function step(name, args, options) {
  const began = performance.now();
  console.log(`\n== ${name}`);
  const { status, signal, stderr } = spawnSync(process.execPath, args, {
    cwd: packageDirectory,
    env: environment(),
    stdio: "inherit",
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    ...options,
  });
  console.log(`== ${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return { passed: status === 0 && signal === null, stderr };
}

/** Node leaks at exit by design. A report with a frame of the addon is ours. */
function leaksOfAddon(report) {
  return report.split("\n\n").filter((leak) => /^(Direct|Indirect) leak/.test(leak) && leak.includes("vfio_native"));
}

async function main() {
  await build();
  const tests = step("tests", [join(require.resolve("jest/package.json"), "../bin/jest.js"), "-w", "2"]);
  const random = step("random calls", ["--expose-gc", randomCalls, calls, seed]);
  const leaky = step("leaks after 20,000 random calls", ["--expose-gc", randomCalls, "20000", seed], {
    env: environment(["detect_leaks=1", "abort_on_error=0", "exitcode=0"]),
    stdio: ["ignore", "inherit", "pipe"],
  });
  const leaks = leaksOfAddon(leaky.stderr);
  console.log(leaks.length === 0 ? "no leak of the addon" : leaks.join("\n\n"));
  process.exitCode = tests.passed && random.passed && leaky.passed && leaks.length === 0 ? 0 : 1;
}

main();
