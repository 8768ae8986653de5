import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../host/file-lock";
import { thisHost } from "../host/host";
import { makeRunFolder } from "./run-folder";

/** Built, for another process. */
const RUN_FOLDER = join(__dirname, "../../dist/machine/run-folder.js");

const host = thisHost();
const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** A folder as of another run, of a process that cannot be seen from here. */
function otherRun(ageMs: number): string {
  const path = mkdtempSync(join(tmpdir(), "vfio-lab-run-4194305-"));
  made.push(path);
  writeFileSync(join(path, "plan.sh"), "");
  const time = (Date.now() - ageMs) / 1000;
  utimesSync(path, time, time);
  return path;
}

test("only its user may enter a run's folder, and it goes with the run", () => {
  const folder = makeRunFolder(host);
  expect(folder.path.startsWith(join(tmpdir(), `vfio-lab-run-${process.pid}-`))).toBe(true);
  mkdirSync(folder.file("root"));
  folder[Symbol.dispose]();
  expect(existsSync(folder.path)).toBe(false);
});

test("a process that exits in the middle leaves no folder", () => {
  const before = process.listenerCount("exit");
  {
    using folder = makeRunFolder(host);
    process.listeners("exit").at(-1)?.(0);
    expect(existsSync(folder.path)).toBe(false);
  }
  expect(process.listenerCount("exit")).toBe(before);
});

test("the folder of a run that died goes; that of a run that lives unseen, or has just begun, stays", () => {
  const [dead, alive, young] = [otherRun(120_000), otherRun(120_000), otherRun(0)];
  const descriptor = openSync(alive, "r");
  tryLock(host, descriptor);
  try {
    using _folder = makeRunFolder(host);
    expect([dead, alive, young].map((path) => existsSync(path))).toEqual([false, true, true]);
  } finally {
    closeSync(descriptor);
  }
});

test("our own folder is locked while it is there", () => {
  using folder = makeRunFolder(host);
  const time = Date.now() / 1000 - 120;
  utimesSync(folder.path, time, time);
  using _other = makeRunFolder(host);
  expect(existsSync(folder.path)).toBe(true);
});

test("what others put into the temporary folder under such a name is left alone, and blocks nothing", () => {
  const fifo = join(tmpdir(), `vfio-lab-run-1-fifo-${process.pid}`);
  execFileSync("sh", ["-c", 'mkfifo "$0"', fifo]);
  const time = Date.now() / 1000 - 120;
  utimesSync(fifo, time, time);
  // In a process of its own, which a blocked open would stop for ever.
  const { status } = spawnSync(
    process.execPath,
    ["-e", `require(${JSON.stringify(RUN_FOLDER)}).makeRunFolder({ env: process.env, root: "" })[Symbol.dispose]()`],
    { timeout: 10_000 },
  );
  expect({ status, left: existsSync(fifo) }).toEqual({ status: 0, left: true });
  rmSync(fifo);
});
