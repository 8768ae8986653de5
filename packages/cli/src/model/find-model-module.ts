import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { argumentError } from "@vfio-selftests/core/errors";

/**
 * The file of the module that `name` means: a path (with a slash, or the name of a file in `directory`), or a package
 * installed for `directory`. ERR_INVALID_ARGUMENT names what else is allowed.
 */
export function findModelModule(name: string, directory: string, known: readonly string[]): string {
  const path = resolve(directory, name);
  const isPath = isAbsolute(name) || /^\.{0,2}\//.test(name) || existsSync(path);
  const require = createRequire(pathToFileURL(join(directory, "-")));
  try {
    return require.resolve(isPath ? path : name);
  } catch {
    const allowed = `${known.join(", ")}, the path of a module, or a package installed for ${directory}`;
    throw argumentError("find model", "model", name, allowed);
  }
}
