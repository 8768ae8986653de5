import { dirname } from "node:path";
import { type CodeOwner, codeOwner, driverPackages, untrustedFolder } from "@vfio-selftests/core/driver";
import { exportedModel } from "./find-model-module";

/** The device models that a project's folder offers. */
export interface ProjectModels {
  /** Packages, as `model:NAME` takes them. */
  readonly names: readonly string[];
  /** Models that root does not load: a line for each, with the reason and what to do. */
  readonly refused: readonly string[];
}

/**
 * The models of the driver packages of a project (itself and its dependencies): those that export `./model`. It loads none.
 * Nobody named them on the command line, so root takes none from a folder that another user controls.
 */
export function projectModels(directory: string, owner: CodeOwner = codeOwner()): ProjectModels {
  const names: string[] = [];
  const refused: string[] = [];
  for (const name of driverPackages(directory)) {
    const file = exportedModel(name, directory);
    if (file === undefined) continue;
    const [reason] = [directory, dirname(file), file].flatMap((path) => untrustedFolder(path, owner) ?? []);
    if (reason === undefined) names.push(name);
    else
      refused.push(`the model of ${name} is not loaded as root: ${reason}. To load it all the same: -d model:${name}`);
  }
  return { names, refused };
}
