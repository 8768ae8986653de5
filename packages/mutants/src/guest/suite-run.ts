import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { RunPlan } from "../campaign/trial";

/** How a run of the suites under a mutant went, up to its first failure. */
export type SuiteVerdict =
  /** No test failed. `skipped`: the tests that skipped, though they run without the mutant. */
  | { readonly kind: "passed"; readonly skipped: readonly string[] }
  /** A test failed. `test` is empty where the run gave up before the first test. */
  | { readonly kind: "failed"; readonly test: string; readonly failure: string }
  /** The run printed nothing for too long. */
  | { readonly kind: "hung"; readonly test: string };

/** Milliseconds that a killed process may take to end. One that stays is stuck in the kernel. */
const KILL_MS = 10_000;
const FAILURE_LINES = 12;

/** Runs these tests up to the first that fails. The command prints their results as TAP. */
export async function runSuites(
  { command, silenceMs }: Pick<RunPlan, "command" | "silenceMs">,
  tests: readonly string[],
): Promise<SuiteVerdict> {
  const [program = "", ...args] = [...command, ...tests.map((test) => `--run=${test}`)];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The process has ended already.
    }
  };
  let running = "";
  let comments: string[] = [];
  const skipped: string[] = [];
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2000)));

  const failed = new Promise<SuiteVerdict>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      timer.refresh();
      const started = /^# {2}RUN\s+(\S+) /.exec(line)?.[1];
      if (started !== undefined) [running, comments] = [started, []];
      else if (line.startsWith("not ok ")) {
        resolve({ kind: "failed", test: running, failure: comments.slice(0, FAILURE_LINES).join("\n") });
      } else if (/^ok .* # SKIP /.test(line)) skipped.push(running);
      else if (line.startsWith("# ")) comments.push(line.slice(2));
    });
  });
  let silent = (): void => undefined;
  const hung = new Promise<"hung">((resolve) => (silent = () => resolve("hung")));
  const timer = setTimeout(() => silent(), silenceMs);
  try {
    const first = await Promise.race([failed, exited, hung]);
    if (first === "hung") {
      kill();
      await Promise.race([exited, delay(KILL_MS)]);
      return { kind: "hung", test: running };
    }
    if (!Array.isArray(first)) {
      // The run gets a moment to clean up by itself.
      child.kill("SIGTERM");
      await Promise.race([exited, delay(KILL_MS)]);
      return first;
    }
    // The last lines may come after the exit.
    const late = await Promise.race([failed, delay(200)]);
    if (late !== undefined) return late;
    const [status] = first;
    if (status === 0 || status === 4) return { kind: "passed", skipped };
    return { kind: "failed", test: "", failure: words.trim() || comments.slice(-FAILURE_LINES).join("\n") };
  } finally {
    clearTimeout(timer);
    kill();
  }
}

function delay(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}
