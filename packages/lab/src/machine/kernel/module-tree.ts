import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { kernelRelease } from "./kernel-release";

/**
 * The real path of `lib/modules` in a folder of `make modules_install INSTALL_MOD_PATH=FOLDER`.
 *
 * @throws VfioError `ERR_INVALID_ARGUMENT` where there is none.
 */
export function moduleTree(folder: string): string {
  const tree = join(resolve(folder), "lib/modules");
  if (statSync(tree, { throwIfNoEntry: false })?.isDirectory() === true) return realpathSync(tree);
  throw noModules(folder, `${folder} has no lib/modules`);
}

/**
 * Throws `ERR_INVALID_ARGUMENT` unless the tree has the modules of this kernel, with the list by which modprobe finds them. An
 * image that does not show its release is taken as it is: the guest then finds no modules, and says so.
 */
export function requireModulesOf(kernel: string, tree: string): void {
  const release = kernelRelease(kernel);
  if (release === undefined) return;
  const folder = join(tree, release);
  if (existsSync(join(folder, "modules.dep"))) return;
  if (existsSync(folder)) {
    throw noModules(tree, `${folder} has no modules.dep`, `run \`depmod -b ${join(tree, "../..")} ${release}\``);
  }
  const present = readdirSync(tree).join(", ") || "nothing";
  throw noModules(tree, `the kernel ${kernel} is ${release}, and ${tree} has ${present}`);
}

function noModules(subject: string, why: string, remedy = REMEDY): VfioError {
  const message = `--modules does not fit: ${why}`;
  return new VfioError(message, { code: "ERR_INVALID_ARGUMENT", operation: "lab run", subject, remedy });
}

const REMEDY =
  "in the kernel's build folder, run `make modules && make modules_install INSTALL_MOD_PATH=DIR`, and give the same DIR and that build's image (--kernel)";
