import { setTimeout as sleep } from "node:timers/promises";
import { listDirectory, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { JOURNALS } from "./machine-changes";

/** Milliseconds that a guardian may take (it tries for five seconds), and milliseconds between two looks. */
const GUARDIAN_MS = 6000;
const LOOK_MS = 20;

/** Waits until everything that an ended process changed on the machine is put back. Resolves with whether it was. */
export async function machineSettled(pid: number, paths: SystemPaths = systemPaths): Promise<boolean> {
  const isLeft = (): boolean => listDirectory(paths.runtime(JOURNALS)).some((name) => name.startsWith(`${pid}-`));
  const deadline = performance.now() + GUARDIAN_MS;
  while (isLeft() && performance.now() < deadline) await sleep(LOOK_MS);
  return !isLeft();
}
