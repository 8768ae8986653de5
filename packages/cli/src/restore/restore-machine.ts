import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { restoreLeftovers } from "@vfio-selftests/harness";
import { ExitCode } from "../exit-codes";

type Print = (line: string) => void;

/** The `restore` command: puts back what crashed tests left changed. */
export function restoreMachine(print: Print = (line) => console.log(line), paths: SystemPaths = systemPaths): number {
  const restored = restoreLeftovers(paths);
  if (restored.length === 0) print("nothing to put back (devices that bind took: unbind)");
  for (const { path, value, error } of restored) {
    const what = value === "" ? `${path} is cleared` : `${path} is ${value}`;
    print(error === undefined ? `${what} again` : `cannot write ${JSON.stringify(value)} to ${path}: ${error}`);
  }
  return restored.some(({ error }) => error !== undefined) ? ExitCode.failed : ExitCode.ok;
}
