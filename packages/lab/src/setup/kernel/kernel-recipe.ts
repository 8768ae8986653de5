import { realpathSync } from "node:fs";
import { basename } from "node:path";
import { extendFragment, type KernelFragment, labKernelFragment } from "./kernel-fragment";
import { kernelVariants } from "./kernel-variants";
import type { SourcePatch } from "./patched-source";

/** What a kernel is made of. The same recipe goes on in the build folder of the last time. */
export interface KernelRecipe {
  /** Names the kernel's folder in the cache. */
  readonly name: string;
  /** The source tree. The build does not write to it. */
  readonly tree: string;
  readonly fragment: KernelFragment;
  /** Variables on make's command line. */
  readonly makeVariables: readonly string[];
  /** It is compiled with the same commands as others of these options, so that ccache knows what they have in common. */
  readonly isShared?: boolean;
}

/** Which kernel, other than the lab's own one: the user's words. */
export interface KernelChoice {
  /** Names from `KERNEL_VARIANTS`. */
  readonly variants: readonly string[];
  /** A kernel tree of the user's. Undefined: Debian's sources. */
  readonly tree?: string | undefined;
  /** A change of Debian's sources, which do not change otherwise: by its name one finds the kernel that was built with it. */
  readonly patch?: Pick<SourcePatch, "name"> | undefined;
}

/** The options of a chosen kernel, with the key that finds it in the cache. */
export function chosenFragment({ variants, tree, patch }: KernelChoice): KernelFragment {
  const source = tree === undefined ? "debian" : realpathSync(tree);
  const patched = patch === undefined ? [] : [`patch=${patch.name}`];
  return extendFragment(labKernelFragment(), kernelVariants(variants), [`source=${source}`, ...patched]);
}

/** The recipe for a chosen kernel from a tree; `version` is the tree's in names, for Debian's sources. */
export function chosenRecipe(choice: KernelChoice, source: { tree: string; version?: string }): KernelRecipe {
  const fragment = chosenFragment(choice);
  return {
    name: `${source.version ?? basename(realpathSync(source.tree))}-${fragment.key}`,
    tree: source.tree,
    fragment,
    makeVariables: kernelVariants(choice.variants).flatMap(({ makeVariables = [] }) => makeVariables),
    isShared: choice.patch !== undefined,
  };
}
