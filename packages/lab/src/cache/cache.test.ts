import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const isRoot = process.getuid?.() === 0;
/** Anybody but root, whom no permission stops. */
const NOBODY = 65_534;

/** What a process of an ordinary user finds. */
function cacheOf(env: Readonly<Record<string, string>>): { folder: string; runs: string; consoles: string } {
  const script = `
    const { labCache } = require(${JSON.stringify(require.resolve("../../dist/cache/cache.js"))});
    console.log(JSON.stringify(labCache({ env: ${JSON.stringify(env)} })));`;
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  return JSON.parse(execFileSync(process.execPath, ["-e", script], { ...user, encoding: "utf8" })) as never;
}

test("what runs leave goes to a folder of the user's own where the cache is another user's", () => {
  const base = mkdtempSync(join(tmpdir(), "lab-cache-"));
  try {
    chmodSync(base, 0o755);
    const folder = join(base, "vfio-selftests");
    const env = { HOME: join(base, "home"), XDG_CACHE_HOME: base };
    expect(cacheOf(env)).toMatchObject({ folder, consoles: join(folder, "consoles") });
    mkdirSync(folder, { mode: 0o555 });
    const runs = join(base, "home/.local/state/vfio-selftests/lab");
    expect(cacheOf(env)).toMatchObject({ folder, runs, consoles: join(runs, "consoles") });
    expect(cacheOf({ ...env, XDG_STATE_HOME: "/state" }).runs).toBe("/state/vfio-selftests/lab");
    chmodSync(folder, 0o777);
    expect(cacheOf(env).runs).toBe(folder);
  } finally {
    rmSync(base, { recursive: true });
  }
});
