import { realpathSync } from "node:fs";
import { basename } from "node:path";
import type { KernelArchitecture } from "../../architecture/lab-architecture";
import { extendFragment, type KernelFragment, labKernelFragment } from "./kernel-fragment";
import { kernelVariants } from "./kernel-variants";
import { LAB_PATCH_KEY } from "./lab-patches";
import type { SourcePatch } from "./patched-source";

/** What a kernel is made of. Building the same recipe again continues in the same build folder. */
export interface KernelRecipe {
  /** Names the kernel's folder in the cache. */
  readonly name: string;
  /** The source tree. The build does not write to it. */
  readonly tree: string;
  /** The options that the kernel must have. */
  readonly fragment: KernelFragment;
  /** Variables on make's command line. */
  readonly makeVariables: readonly string[];
  /** What make builds beside the image. */
  readonly makeTargets?: readonly string[];
  /** What the kernel is for. Default: x86_64. */
  readonly architecture?: KernelArchitecture;
  /** It is compiled with the same commands as others of these options, so that ccache knows what they have in common. */
  readonly isShared?: boolean;
}

/** The user's choice of a kernel other than the lab's own. */
export interface KernelChoice {
  /** Names from `KERNEL_VARIANTS`. */
  readonly variants: readonly string[];
  /** The user's own kernel tree. Undefined: Debian's sources. */
  readonly tree?: string | undefined;
  /** A change of Debian's sources, in place of the lab's own. Its name identifies the kernel that was built with it. */
  readonly patch?: Pick<SourcePatch, "name"> | undefined;
}

/** The options of a chosen kernel, with the key that finds it in the cache. */
export function chosenFragment({ variants, tree, patch }: KernelChoice): KernelFragment {
  const ownPatch = patch === undefined ? LAB_PATCH_KEY : [`patch=${patch.name}`];
  const source = tree === undefined ? ["source=debian", ...ownPatch] : [`source=${realpathSync(tree)}`];
  return extendFragment(labKernelFragment(), kernelVariants(variants), source);
}

/** The recipe for a chosen kernel. `version` names the tree where it is Debian's. */
export function chosenRecipe(choice: KernelChoice, source: { tree: string; version?: string }): KernelRecipe {
  const fragment = chosenFragment(choice);
  return {
    name: `${source.version ?? basename(realpathSync(source.tree))}-${fragment.key}`,
    tree: source.tree,
    fragment,
    makeVariables: kernelVariants(choice.variants).flatMap(({ makeVariables = [] }) => makeVariables),
    makeTargets: kernelVariants(choice.variants).flatMap(({ makeTargets = [] }) => makeTargets),
    isShared: choice.patch !== undefined,
  };
}
