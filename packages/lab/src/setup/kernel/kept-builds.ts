import { existsSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { type LabCache, readJson, writeJson } from "../../cache/cache";
import { type BuiltKernel, describeBuilt, newestOf } from "./built-kernels";
import type { BuildPlaces } from "./kernel-build";
import type { KernelFragment } from "./kernel-fragment";
import { chosenFragment, type KernelChoice, type KernelRecipe } from "./kernel-recipe";
import { kernelVariants } from "./kernel-variants";

/**
 * A kernel that keeps its build folder, so that the next build is incremental, gdb finds `vmlinux` and gcov its notes.
 */
export interface KeptBuild extends BuiltKernel {
  /** The kernel's source tree. */
  readonly tree: string;
  /** make's output folder, with `vmlinux`. */
  readonly build: string;
  /** The names of its variants. */
  readonly variants: readonly string[];
  /** Kernel parameters that its variants need. */
  readonly parameters: readonly string[];
  /** How many times longer a boot and a test may take. */
  readonly slowdown: number;
}

/** `kernel.json` in a kept build's folder. */
interface KeptRecord {
  readonly tree: string;
  readonly variants: readonly string[];
}

/** The places of a kernel, all in one folder of the cache. Removing the folder removes the kernel. */
export function placesOf(cache: LabCache, { name }: Pick<KernelRecipe, "name">): BuildPlaces & { record: string } {
  const folder = join(cache.builds, name);
  return {
    build: join(folder, "build"),
    kernel: join(folder, "kernel"),
    log: join(folder, "build.log"),
    lock: join(folder, "build.lock"),
    record: join(folder, "kernel.json"),
  };
}

/** Records the tree and the variants of a build. */
export function recordBuild(cache: LabCache, recipe: KernelRecipe, variants: readonly string[]): void {
  const record: KeptRecord = { tree: realpathSync(recipe.tree), variants };
  writeJson(placesOf(cache, recipe).record, record);
}

/** The kernel of this choice, if an earlier set-up built it and its image is there. */
export function keptBuild(cache: LabCache, choice: KernelChoice): KeptBuild | undefined {
  return keptBuildOf(cache, chosenFragment(choice), choice.variants);
}

export function keptBuildOf(
  cache: LabCache,
  fragment: KernelFragment,
  names: readonly string[],
): KeptBuild | undefined {
  const name = newestOf(cache.builds, fragment);
  if (name === undefined) return undefined;
  const places = placesOf(cache, { name });
  const record = readJson(places.record) as KeptRecord | undefined;
  if (record === undefined || !existsSync(join(places.kernel, "bzImage"))) return undefined;
  const variants = kernelVariants(names);
  return {
    ...describeBuilt(name, places.kernel, fragment),
    tree: record.tree,
    build: places.build,
    variants: variants.map((variant) => variant.name),
    parameters: variants.flatMap(({ parameters = [] }) => parameters),
    slowdown: variants.reduce((product, { slowdown = 1 }) => product * slowdown, 1),
  };
}

/** The kernel of this choice. Throws ERR_LAB_KERNEL_NOT_BUILT, with the command that builds it, where there is none. */
export function requireKeptBuild(cache: LabCache, choice: KernelChoice): KeptBuild {
  const found = keptBuild(cache, choice);
  if (found !== undefined) return found;
  const words = setupWords(choice);
  throw new VfioError(`the kernel for ${words.join(" ")} was not built yet`, {
    code: "ERR_LAB_KERNEL_NOT_BUILT",
    operation: "lab",
    subject: words.join(" "),
    remedy: `run \`vfio-selftests lab setup ${words.join(" ")}\`: some ten minutes on two CPUs, once`,
  });
}

function setupWords({ variants, tree }: KernelChoice): string[] {
  const names = kernelVariants(variants).map(({ name }) => name);
  return [
    ...(tree === undefined ? [] : [`--source ${tree}`]),
    ...(names.length === 0 ? [] : [`--with ${names.join(",")}`]),
  ];
}

/** Removes the unpacked sources that no kept build uses, neither as they are nor patched. */
export function removeUnusedSources(cache: LabCache): void {
  if (!existsSync(cache.sources)) return;
  const records = existsSync(cache.builds)
    ? readdirSync(cache.builds).map((name) => placesOf(cache, { name }).record)
    : [];
  const used = records.flatMap((path) => (readJson(path) as KeptRecord | undefined)?.tree ?? []);
  for (const name of readdirSync(cache.sources)) {
    const source = realpathSync(join(cache.sources, name));
    // A patched tree has its origin's name and more.
    if (!used.some((tree) => tree.startsWith(source))) rmSync(source, { recursive: true, force: true });
  }
}
