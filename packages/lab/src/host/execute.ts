import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { VfioError } from "@vfio-selftests/core";
import { childExit, killChild, startChild } from "./child-process";
import type { LabHost } from "./host";

/** The most lines of a failed program's output that its error message repeats. */
const QUOTED_LINES = 20;

/** How to run a program. */
export interface ExecuteOptions {
  /** The folder to start in. Default: this process's. */
  cwd?: string;
  /** Variables beside the host's own. */
  env?: NodeJS.ProcessEnv;
  /** Kills the program. */
  signal?: AbortSignal | undefined;
  /** Called with each line of output, standard error included. */
  onLine?: (line: string) => void;
  /** The whole output goes to this file, too. */
  logFile?: string;
  /** Milliseconds after which the program is killed. Default: no limit. */
  timeoutMs?: number;
  /** What the user can do when it fails, for the error. */
  remedy?: string;
}

/** Runs a program to its end. Resolves with its standard output. Rejects with its last lines of output. */
export async function execute(
  host: LabHost,
  command: readonly string[],
  options: ExecuteOptions = {},
): Promise<string> {
  options.signal?.throwIfAborted();
  const child = startChild(host, command, {
    stdio: ["ignore", "pipe", "pipe"],
    deathSignal: "TERM",
    env: { ...host.env, LC_ALL: "C", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile);
  const stdout: string[] = [];
  const last: string[] = [];
  for (const [stream, keep] of [
    [child.stdout, true],
    [child.stderr, false],
  ] as const) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      if (keep) stdout.push(line);
      last.push(line);
      if (last.length > QUOTED_LINES) last.shift();
      log?.write(`${line}\n`);
      options.onLine?.(line);
    });
  }
  const end = (): void => {
    killChild(child);
  };
  const overran = new AbortController();
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          overran.abort();
          end();
        }, options.timeoutMs);
  options.signal?.addEventListener("abort", end);
  try {
    const exit = await childExit(child);
    options.signal?.throwIfAborted();
    if (exit.code === 0) return stdout.join("\n");
    const name = command[0] ?? "";
    const why = overran.signal.aborted ? `no end after ${options.timeoutMs ?? 0} ms` : exit.description;
    const output = last.length === 0 ? "" : `\n${last.map((line) => `  | ${line}`).join("\n")}`;
    const where = options.logFile === undefined ? "" : `\n  Full output: ${options.logFile}`;
    throw new VfioError(`${name} failed: ${why}${output}${where}`, {
      code: "ERR_LAB_PROGRAM_FAILED",
      operation: name,
      ...(options.remedy === undefined ? {} : { remedy: options.remedy }),
    });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", end);
    // After a failure, the reader of the log finds all of it.
    if (log !== undefined) await new Promise<void>((resolve) => log.end(resolve));
  }
}
