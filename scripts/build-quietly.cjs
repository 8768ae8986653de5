// Builds what the named packages need and is not built yet, before a root script runs the result; silent unless something
// fails. usage: build-quietly.cjs PACKAGE…
const { spawnSync } = require("node:child_process");

const packages = process.argv.slice(2).map((name) => `--filter=@vfio-selftests/${name}`);
const { status, stdout } = spawnSync("turbo", ["run", "build", ...packages, "--output-logs=errors-only"], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  encoding: "utf8",
});
if (status !== 0) {
  process.stderr.write(stdout ?? "");
  process.exit(status ?? 1);
}
