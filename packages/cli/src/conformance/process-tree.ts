import type { ChildProcess } from "node:child_process";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";

/**
 * Sends a signal to a started program and to all that it has started: `npx` and a shell stand between this command and the
 * program that they run, and do not pass SIGKILL on. They stay in this process's group, so that a terminal's Ctrl-C reaches all.
 */
export function signalTree({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  // Looked up first: a child whose parent has ended is nobody's.
  for (const process of [pid, ...descendantsOf(pid)]) send(process, signal);
}

function descendantsOf(pid: number): number[] {
  const children = readAttribute(systemPaths.proc(String(pid), "task", String(pid), "children")) ?? "";
  return children
    .split(" ")
    .filter((word) => word !== "")
    .flatMap((word) => [Number(word), ...descendantsOf(Number(word))]);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
