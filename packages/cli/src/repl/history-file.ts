import { dirname } from "node:path";
import { makeFolder } from "@vfio-selftests/core/sysfs";
import { stateFile } from "../state-file";

/** The history of `repl`; its folder is made. Undefined where it cannot be. */
export function historyFile(): string | undefined {
  const path = stateFile("repl-history");
  try {
    makeFolder(dirname(path));
    return path;
  } catch {
    // A session without a history is better than none.
    return undefined;
  }
}
