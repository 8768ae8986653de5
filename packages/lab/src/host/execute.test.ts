import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeTestHost } from "../testing/test-host";
import { execute } from "./execute";

test("standard output is the result; every line is told", async () => {
  using host = makeTestHost();
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
  };
  expect(await execute(host, ["sh", "-c", "echo a; echo b >&2; echo c"], { onLine })).toBe("a\nc");
  expect(lines.sort()).toEqual(["a", "b", "c"]);
});

test("a failure has the status, the last lines and the remedy", async () => {
  using host = makeTestHost();
  const command = ["sh", "-c", "seq 1 100; echo why >&2; exit 3"];
  await expect(execute(host, command, { remedy: "do this" })).rejects.toThrow(
    /^sh failed: exit status 3\n(?![^]*\| 1\n)[^]*\| why[^]*Remedy: do this$/,
  );
});

test("a program that is not there is a failure, not a crash", async () => {
  using host = makeTestHost();
  await expect(execute(host, ["no-such-program"])).rejects.toMatchObject({ code: "ERR_LAB_PROGRAM_FAILED" });
});

test("a program that takes too long is ended with what it started", async () => {
  using host = makeTestHost();
  const pidFile = join(host.folder, "pid");
  const command = ["sh", "-c", `sleep 100 & echo $! >'${pidFile}'; wait`];
  await expect(execute(host, command, { timeoutMs: 500 })).rejects.toThrow(/no end after 500 ms/);
  await gone(Number(readFileSync(pidFile, "utf8")));
});

test("an abort ends the program and gives the abort's reason", async () => {
  using host = makeTestHost();
  const abort = new AbortController();
  const result = execute(host, ["sleep", "100"], { signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(result).rejects.toThrow("enough");
});

test("the kernel is asked to end the program when this process dies; TERM, for make ends its children then", async () => {
  using host = makeTestHost();
  host.addProgram("setpriv", '#!/bin/sh\necho "$1 $2"; shift 2; exec "$@"\n');
  expect(await execute(host, ["echo", "run"])).toBe("--pdeathsig TERM\nrun");
});

async function gone(pid: number): Promise<void> {
  for (let tries = 0; existsSync(`/proc/${pid}`) && !isZombie(pid); tries++) {
    if (tries > 100) throw new Error(`process ${pid} is still there`);
    await delay(50);
  }
}

function isZombie(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}
