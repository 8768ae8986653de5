import { existsSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { type LabCache, readJson, writeJson } from "../../cache/cache";
import { type BuiltKernel, describeBuilt, newestOf } from "./built-kernels";
import type { BuildPlaces } from "./kernel-build";
import type { KernelFragment } from "./kernel-fragment";
import { chosenFragment, type KernelChoice, type KernelRecipe } from "./kernel-recipe";
import { kernelVariants } from "./kernel-variants";

/** A kernel whose build folder is kept: the next build is incremental, gdb finds `vmlinux`, gcov its notes. */
export interface KeptBuild extends BuiltKernel {
  /** The source tree it was made from. */
  readonly tree: string;
  /** make's output folder, with `vmlinux`. */
  readonly build: string;
  readonly variants: readonly string[];
  /** Kernel parameters that its variants need. */
  readonly parameters: readonly string[];
  /** How many times longer a boot may take. */
  readonly slowdown: number;
}

/** `kernel.json` in a kept build's folder. */
interface KeptRecord {
  readonly tree: string;
  readonly variants: readonly string[];
}

/** One folder in the cache holds all of a kernel: removing it removes the kernel. */
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

/** Notes what a build is made of. */
export function recordBuild(cache: LabCache, recipe: KernelRecipe, variants: readonly string[]): void {
  const record: KeptRecord = { tree: realpathSync(recipe.tree), variants };
  writeJson(placesOf(cache, recipe).record, record);
}

/** The kernel of this choice, when it was built before and its image is there. */
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

/** The kernel of this choice. Fails with the command that builds it. */
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

/** Removes the unpacked sources that no kept build was made from, neither as they are nor patched. */
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
