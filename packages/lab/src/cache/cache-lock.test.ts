import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { thisHost } from "../host/host";
import { takeCacheLock } from "./cache-lock";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-lock-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const never = new AbortController().signal;
const take = (path: string, onWait: (holder: string) => void = () => undefined, signal = never) =>
  takeCacheLock(thisHost(), path, { signal, onWait });

test("the second waits for the first, and is told who that is", async () => {
  const path = join(folder, "deep", "lock");
  const first = await take(path);
  const holders: string[] = [];
  let taken = false;
  const second = take(path, (holder) => holders.push(holder)).then((lock) => {
    taken = true;
    return lock;
  });
  await delay(100);
  expect(taken).toBe(false);
  expect(holders).toEqual([expect.stringContaining(`process ${process.pid} on `)]);
  first[Symbol.dispose]();
  using _lock = await second;
});

test("of many at once one has the lock at a time", async () => {
  const path = join(folder, "lock");
  let inside = 0;
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      using _lock = await take(path);
      inside++;
      expect(inside).toBe(1);
      await delay(20);
      inside--;
    }),
  );
});

test("the kernel drops the lock of a process that was killed", async () => {
  const path = join(folder, "lock");
  const holder = spawn("flock", ["-x", "--no-fork", path, "sleep", "60"], { stdio: "ignore" });
  while (await isFree(path)) await delay(20);
  const waiting = take(path);
  holder.kill("SIGKILL");
  await once(holder, "close");
  using _lock = await waiting;
});

test("what an older version or a crash left in the file takes no lock", async () => {
  const path = join(folder, "lock");
  writeFileSync(path, JSON.stringify({ pid: process.pid, startTime: "1" }));
  using _lock = await take(path, () => {
    throw new Error("it waits");
  });
  expect(readFileSync(path, "utf8")).toMatch(/^process \d+ on \S+\n$/);
});

test("an abort ends the waiting", async () => {
  const path = join(folder, "lock");
  using _lock = await take(path);
  const abort = new AbortController();
  const second = take(path, () => abort.abort(new Error("enough")), abort.signal);
  await expect(second).rejects.toThrow("enough");
});

test("a folder that cannot be made or written to is an error with its name and a remedy", async () => {
  writeFileSync(join(folder, "file"), "");
  const error = { name: "VfioError", code: "ENOTDIR", subject: join(folder, "file", "cache") };
  await expect(take(join(folder, "file", "cache", "lock"))).rejects.toMatchObject(error);
  mkdirSync(join(folder, "lock"));
  await expect(take(join(folder, "lock"))).rejects.toMatchObject({ code: "EISDIR", subject: folder });
});

async function isFree(path: string): Promise<boolean> {
  let free = true;
  const abort = new AbortController();
  const onWait = (): void => {
    free = false;
    abort.abort(new Error("held"));
  };
  try {
    (await take(path, onWait, abort.signal))[Symbol.dispose]();
  } catch {
    // Held
  }
  return free;
}
