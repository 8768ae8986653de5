// Builds what is not built yet before a root script runs the result; silent unless something fails.
const { spawnSync } = require("node:child_process");
const { status } = spawnSync("turbo", ["run", "build", "--output-logs=errors-only", "--log-prefix=none"], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  encoding: "utf8",
});
if (status !== 0) {
  spawnSync("turbo", ["run", "build", "--output-logs=errors-only"], { stdio: "inherit" });
  process.exit(status ?? 1);
}
