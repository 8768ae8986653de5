import { existsSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";

/** What every Linux source tree has at its top. */
const LANDMARKS = ["Makefile", "Kconfig", "arch/x86/Kconfig", "drivers/vfio", "scripts/kconfig"];
/** What a build inside the tree leaves there. The kernel's Makefile (outputmakefile) refuses another build then. */
const BUILT_INSIDE = [".config", "include/config", "arch/x86/include/generated"];

/** The real path of a kernel tree that allows builds elsewhere. Throws ERR_LAB_KERNEL_TREE for any other folder. */
export function requireKernelTree(path: string): string {
  const missing = LANDMARKS.filter((name) => !existsSync(join(path, name)));
  if (missing.length > 0) {
    throw new VfioError(`${resolve(path)} is no Linux source tree: it has no ${missing.join(", ")}`, {
      code: "ERR_LAB_KERNEL_TREE",
      operation: "lab setup",
      subject: path,
      remedy: "give --source the top folder of a kernel tree",
    });
  }
  const tree = realpathSync(path);
  const built = BUILT_INSIDE.filter((name) => existsSync(join(tree, name)));
  if (built.length > 0) {
    throw new VfioError(`something was built inside the kernel tree ${tree} (${built.join(", ")})`, {
      code: "ERR_LAB_KERNEL_TREE",
      operation: "lab setup",
      subject: path,
      remedy:
        "save its .config and run `make mrproper` there, or give another work tree of it: `git worktree add ../clean`",
    });
  }
  return tree;
}
