import { spawnSync } from "node:child_process";
import { skip } from "@vfio-selftests/harness";

/** Whether root can open a file for reading and writing. */
export function opens(path: string): boolean {
  return status("sh", open(path)) === 0;
}

/** Whether root without CAP_SYS_RAWIO can open it. Skips the test where util-linux's setpriv is missing. */
export function opensWithoutRawIo(path: string): boolean {
  const without = ["--bounding-set", "-sys_rawio", "--inh-caps", "-sys_rawio"];
  if (status("setpriv", [...without, "true"]) !== 0) {
    skip({ reason: "setpriv cannot take a capability away", remedy: "install util-linux, and run as root" });
  }
  return status("setpriv", [...without, "sh", ...open(path)]) === 0;
}

function open(path: string): string[] {
  return ["-c", 'exec 3<>"$1"', "open", path];
}

function status(program: string, args: readonly string[]): number | null {
  return spawnSync(program, args, { stdio: "ignore" }).status;
}
