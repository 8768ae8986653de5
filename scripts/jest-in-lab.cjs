// Runs the jest tests that need a kernel with devices; meant for the guest: `pnpm vfio lab run -- node scripts/jest-in-lab.cjs`.
// Arguments go on to jest.
const { spawnSync } = require("node:child_process");
const { join } = require("node:path");

const root = join(__dirname, "..");
const { status, signal } = spawnSync(
  process.execPath,
  [join(root, "node_modules", "jest", "bin", "jest.js"), "--runInBand", ...process.argv.slice(2)],
  { cwd: join(root, "packages", "tests"), stdio: "inherit" },
);
process.exit(signal ? 1 : status);
