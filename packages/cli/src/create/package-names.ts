import { isBuiltin } from "node:module";
import { argumentError } from "@vfio-selftests/core/errors";
import { modelNames } from "@vfio-selftests/device-models";
import { TOOLKIT_DRIVER_NAMES } from "../target/toolkit-drivers";

/** What a package and its driver are called. */
export interface PackageNames {
  /** `@acme/widget` */
  readonly packageName: string;
  /** The same without the scope, in reports and for `--driver`: `widget` */
  readonly driverName: string;
}

/** As npm allows a new package's name: `@scope/name` or `name`. */
const NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
const MOST_CHARACTERS = 214;
const NOT_A_PACKAGE: readonly string[] = ["node_modules", "favicon.ico"];

/** Throws ERR_INVALID_ARGUMENT for a name that no package may have, or that the toolkit's own drivers and models have. */
export function packageNames(packageName: string): PackageNames {
  const driverName = packageName.replace(/^@[^/]*\//, "");
  if (!isPackageName(packageName) || NOT_A_PACKAGE.includes(driverName)) {
    throw argumentError(
      "create driver",
      "name",
      packageName,
      "a package's name in lower case, such as widget or @acme/widget (--name)",
    );
  }
  const taken = [...new Set([...TOOLKIT_DRIVER_NAMES, ...modelNames])];
  if (taken.includes(driverName)) {
    throw argumentError("create driver", "name", packageName, `a name that is not one of ours: ${taken.join(", ")}`);
  }
  return { packageName, driverName };
}

function isPackageName(name: string): boolean {
  return name.length <= MOST_CHARACTERS && NAME.test(name) && !isBuiltin(name);
}
