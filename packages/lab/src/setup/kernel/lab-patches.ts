import { existsSync } from "node:fs";
import { join } from "node:path";
import { IDXD_PATCH } from "./idxd-patch";
import { MPIN_PATCH } from "./mpin-patch";
import type { SourcePatch } from "./patched-source";

/** What the lab changes in Debian's sources for its kernels for x86. */
const LAB_PATCHES: readonly SourcePatch[] = [IDXD_PATCH, MPIN_PATCH];

/** Lines for a kernel's key, so that another patch makes another kernel. */
export const LAB_PATCH_KEY: readonly string[] = LAB_PATCHES.map(
  ({ name, content }) => `patch=${content === undefined ? name : `${name}-${content}`}`,
);

/** The lab's patches for one build. A patch that does not compile in this source is left out: the kernel serves without it. */
export function labPatch(): SourcePatch & { readonly leftOut: readonly string[] } {
  return optionalPatches("lab", LAB_PATCHES);
}

/** The patches, applied one after the other, but for those whose folders are missing or did not compile. */
export function optionalPatches(
  name: string,
  patches: readonly SourcePatch[],
): SourcePatch & { readonly leftOut: readonly string[] } {
  const leftOut: string[] = [];
  const fitting = (): readonly SourcePatch[] => patches.filter((patch) => !leftOut.includes(patch.name));
  return {
    name,
    leftOut,
    folders: patches.flatMap(({ folders }) => folders),
    async apply(tree) {
      for (const patch of fitting()) {
        if (patch.folders.every((folder) => existsSync(join(tree, folder)))) await patch.apply(tree);
        else leftOut.push(patch.name);
      }
    },
    afterFailure(output) {
      const failed = fitting().filter(({ folders }) => folders.some((folder) => hasFailedIn(output, folder)));
      leftOut.push(...failed.map((patch) => patch.name));
      return failed.length > 0;
    },
  };
}

/** make names the object that it could not make: `make[5]: *** [scripts/Makefile.build:289: drivers/dma/idxd/irq.o] Error 1`. */
function hasFailedIn(output: string, folder: string): boolean {
  return output.split("\n").some((line) => line.includes("*** [") && line.includes(` ${folder}/`));
}
