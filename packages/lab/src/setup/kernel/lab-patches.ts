import { IDXD_PATCH } from "./idxd-patch";
import { MPIN_PATCH } from "./mpin-patch";
import type { SourcePatch } from "./patched-source";

/** What the lab changes in Debian's sources for its kernels for x86. */
const LAB_PATCHES: readonly SourcePatch[] = [IDXD_PATCH, MPIN_PATCH];

/** All of {@link LAB_PATCHES} as one. */
export const LAB_PATCH: SourcePatch = combinedPatch("lab", LAB_PATCHES);

/** Lines for a kernel's key, so that another patch makes another kernel. */
export const LAB_PATCH_KEY: readonly string[] = LAB_PATCHES.map(
  ({ name, content }) => `patch=${content === undefined ? name : `${name}-${content}`}`,
);

/** The patches, applied one after the other. */
export function combinedPatch(name: string, patches: readonly SourcePatch[]): SourcePatch {
  return {
    name,
    folders: patches.flatMap(({ folders }) => folders),
    async apply(tree) {
      for (const patch of patches) await patch.apply(tree);
    },
  };
}
