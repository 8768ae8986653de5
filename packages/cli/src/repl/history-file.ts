import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** The history of `repl`, in `$XDG_STATE_HOME`; its folder is made. Undefined where it cannot be. */
export function historyFile(): string | undefined {
  const own = process.env["XDG_STATE_HOME"];
  const state = own === undefined || own === "" ? join(homedir(), ".local", "state") : own;
  const path = join(state, "vfio-selftests", "repl-history");
  try {
    mkdirSync(dirname(path), { recursive: true });
    return path;
  } catch {
    // A session without a history is better than none.
    return undefined;
  }
}
