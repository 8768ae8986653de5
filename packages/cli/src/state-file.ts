import { homedir } from "node:os";
import { join } from "node:path";

/** A file that the command keeps for this user: in `$XDG_STATE_HOME` (XDG Base Directory Specification), or `~/.local/state`. */
export function stateFile(name: string): string {
  const own = process.env["XDG_STATE_HOME"] ?? "";
  return join(own === "" ? join(homedir(), ".local", "state") : own, "vfio-selftests", name);
}
