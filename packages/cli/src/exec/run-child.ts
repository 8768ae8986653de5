import { spawn } from "node:child_process";
import { constants } from "node:os";
import { systemError, systemResult, type VfioError } from "@vfio-selftests/core/errors";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { tellError } from "../report-error";

/** What a shell gives for a command that it cannot start. */
const NOT_STARTED = 127;
/** A shell adds the signal's number to it for a command that a signal ended. */
const SIGNALLED = 128;

/** Signals that the child gets, whoever sent them to this process. */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** The terminal sends these to the child, too, where it has one. Sent twice, they would mean more than once. */
const FROM_THE_TERMINAL = ["SIGINT", "SIGQUIT"] as const;

/**
 * Runs a program on this process's standard input, output and error, and passes signals on to it. Resolves to its exit
 * code, as a shell tells it: 128 + n after signal n, 127 for a program that cannot be started.
 */
export async function runChild(
  [program = "", ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const fromTerminal = (signal: NodeJS.Signals): void => {
    if (!isInForeground()) forward(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  for (const signal of FROM_THE_TERMINAL) process.on(signal, fromTerminal);
  // After the handlers, so that no signal ends this process alone. They run when this function waits, and not before.
  const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, ...environment } });
  try {
    return await new Promise<number>((resolve) => {
      child.once("error", (error) => {
        tellError(notStarted(program, error));
        resolve(NOT_STARTED);
      });
      child.once("exit", (code, signal) => resolve(code ?? SIGNALLED + constants.signals[signal ?? "SIGKILL"]));
    });
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
    for (const signal of FROM_THE_TERMINAL) process.off(signal, fromTerminal);
  }
}

function notStarted(program: string, cause: Error): VfioError {
  return systemError(systemResult(cause), "exec", {
    message: `cannot start ${program}: ${cause.message}`,
    subject: program,
    remedy: "name a program in PATH, or its path",
    cause,
  });
}

/** Whether the terminal's Ctrl-C reaches this process's group: it is the terminal's foreground group (proc_pid_stat(5)). */
function isInForeground(): boolean {
  const stat = readAttribute(systemPaths.proc("self", "stat")) ?? "";
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return group === foreground;
}
