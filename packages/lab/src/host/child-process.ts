import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { findProgram } from "./find-program";
import type { LabHost } from "./host";

export interface ChildOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  stdio: StdioOptions;
  /**
   * The signal that the child gets when this process dies. TERM lets make end its own children. KILL lets nothing
   * linger.
   */
  deathSignal: "TERM" | "KILL";
}

/**
 * Starts a program in a session of its own, so that Ctrl-C at the terminal reaches only us. It asks the kernel to
 * signal the program when this process dies, however it dies (`PR_SET_PDEATHSIG`, by util-linux's `setpriv`).
 */
export function startChild(host: LabHost, command: readonly string[], options: ChildOptions): ChildProcess {
  const setpriv = findProgram(host, "setpriv");
  const [program, ...args] =
    setpriv === undefined ? command : [setpriv, "--pdeathsig", options.deathSignal, ...command];
  return spawn(program ?? "", args, {
    detached: true,
    stdio: options.stdio,
    env: options.env ?? host.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}

/** Ends the child and everything that it started. */
export function killChild(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

/** Resolves when the child has ended, with its status and a description for people. */
export async function childExit(child: ChildProcess): Promise<{ code: number; description: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => {
      resolve({ code: 127, description: error.message });
    });
    child.once("close", (code, signal) => {
      if (signal !== null) resolve({ code: 128, description: `ended by ${signal}` });
      else resolve({ code: code ?? 0, description: `exit status ${code ?? 0}` });
    });
  });
}
