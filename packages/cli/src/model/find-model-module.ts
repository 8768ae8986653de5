import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { argumentError } from "@vfio-selftests/core/errors";

/** What a driver's package exports its device's model as: `@acme/widget/model`. */
const MODEL_EXPORT = "model";

/**
 * The file of the module that `name` means: a path (with a slash, or the name of a file in `directory`), or a package
 * installed for `directory` (or `directory` itself), by its export `./model` or else its main module. ERR_INVALID_ARGUMENT
 * names what else is allowed.
 */
export function findModelModule(name: string, directory: string, known: readonly string[]): string {
  const path = resolve(directory, name);
  const isPath = isAbsolute(name) || /^\.{0,2}\//.test(name) || existsSync(path);
  const require = requireFrom(directory);
  const exported = isPath ? undefined : exportedModel(name, directory);
  try {
    return exported ?? require.resolve(isPath ? path : name);
  } catch {
    const allowed = `${known.join(", ")}, the path of a module, or a package installed for ${directory}`;
    throw argumentError("find model", "model", name, allowed);
  }
}

/** The file of the model that a package exports as `./model`. Undefined for a package without one. */
export function exportedModel(packageName: string, directory: string): string | undefined {
  try {
    return requireFrom(directory).resolve(`${packageName}/${MODEL_EXPORT}`);
  } catch {
    return undefined;
  }
}

function requireFrom(directory: string): NodeJS.Require {
  return createRequire(pathToFileURL(join(directory, "-")));
}
