import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { UpstreamProgram } from "./find-programs";
import { type TapEvents, TapReader } from "./tap-reader";

/** Exit status of a program that skipped everything (KSFT_SKIP). */
const SKIPPED = 4;
const STDERR_KEPT = 20;

export interface ProgramRun {
  readonly program: UpstreamProgram;
  readonly devices: readonly string[];
  /** Only these tests; a program may have none of them. */
  readonly ids?: readonly string[] | undefined;
  /** The report's name for the device of these tests. */
  readonly label: string | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Runs one program and reports each test as it ends. Returns what went wrong outside any test. */
export async function runProgram(run: ProgramRun, events: TapEvents): Promise<string[]> {
  const { program, devices, timeoutMs, ids } = run;
  const reader = new TapReader(events, run.label);
  const errors: string[] = [];
  const chosen = ids?.flatMap((id) => ["-r", id]) ?? [];
  const child = spawn(program.path, [...chosen, ...(program.takesDevices ? devices : [])], {
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: the C harness forks a child for each test, and all must end with the program.
    detached: true,
  });
  const stop = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const timer = setTimeout(() => {
    errors.push(`${program.name}: did not end within ${timeoutMs / 1000} s and was killed`);
    stop();
  }, timeoutMs);
  run.signal.addEventListener("abort", stop);
  const stderr: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => reader.read(line));
  createInterface({ input: child.stderr }).on("line", (line) => {
    stderr.push(line);
    if (stderr.length > STDERR_KEPT) stderr.shift();
  });
  try {
    const { status, failure } = await ended(child);
    if (failure !== undefined) return [...errors, `${program.name}: ${failure}`];
    if (ids === undefined || reader.planned !== 0) errors.push(...judge(program, reader, status, stderr));
    return errors;
  } finally {
    clearTimeout(timer);
    run.signal.removeEventListener("abort", stop);
    stop();
  }
}

/** Finds what no test's result says, from the exit status and the plan. */
function judge(program: UpstreamProgram, reader: TapReader, status: number | string, stderr: string[]): string[] {
  if (status === SKIPPED && reader.finished === 0) return [];
  const told = stderr.length === 0 ? "" : `; its last words: ${stderr.join(" | ")}`;
  if (reader.planned !== undefined && reader.finished < reader.planned) {
    return [`${program.name}: ${reader.finished} of ${reader.planned} tests ran, then it ended (${status})${told}`];
  }
  if (reader.finished === 0 && reader.skippedAll === undefined)
    return [`${program.name}: ran no test (${status})${told}`];
  return [];
}

function ended(child: ReturnType<typeof spawn>): Promise<{ status: number | string; failure?: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ status: "not started", failure: error.message }));
    // `close` comes after all output; `exit` may come before.
    child.once("close", (code, signal) => resolve({ status: code ?? signal ?? "unknown" }));
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The process has ended already.
  }
}
