import { spawn } from "node:child_process";
import type { LiveUpdateSession } from "@vfio-selftests/iommu-modes";

/**
 * Long enough for the rest of a run, and for the kexec. Where no jump comes, the session lasts as long: nothing tells this process
 * from one whose kernel is about to jump.
 */
const SECONDS = 3600;

/**
 * Lets a session outlive this process: a process of its own has it open until the kernel jumps. A session ends with the last
 * process that has it.
 */
export function keepSession(session: LiveUpdateSession): void {
  const descriptor = session.file.descriptor("spawn");
  const keeper = spawn("sleep", [String(SECONDS)], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", descriptor],
  });
  // Without a listener, a program that is not there would end this process besides the error below.
  keeper.on("error", () => undefined);
  if (keeper.pid === undefined) throw new Error("no process keeps the session: there is no program sleep");
  keeper.unref();
}
