import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { type LostOption, lostOptions } from "./kernel-config";
import type { KernelFragment } from "./kernel-fragment";

export interface BuiltKernel {
  /** Version and fragment key. */
  readonly name: string;
  /** Of its fragment. */
  readonly key: string;
  readonly image: string;
  /** Wanted options that this kernel version did not take. */
  readonly lost: readonly LostOption[];
}

/** The newest kernel built before from this fragment. */
export function builtKernel(kernels: string, fragment: KernelFragment): BuiltKernel | undefined {
  const name = newestOf(kernels, fragment);
  return name === undefined ? undefined : describeBuilt(name, join(kernels, name), fragment);
}

/** The newest folder that is named for this fragment. */
export function newestOf(folder: string, { key }: KernelFragment): string | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .filter((name) => name.endsWith(`-${key}`))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
}

export function describeBuilt(name: string, folder: string, fragment: KernelFragment): BuiltKernel {
  const config = readFileSync(join(folder, "config"), "utf8");
  return { name, key: fragment.key, image: join(folder, "bzImage"), lost: lostOptions(fragment.wanted, config) };
}

/** Marks this folder as used now, and removes those that nobody used for longest. */
export function keepNewest(folder: string, used: string, count: number): void {
  const now = new Date();
  utimesSync(join(folder, used), now, now);
  const folders = readdirSync(folder).map((name) => join(folder, name));
  const newestFirst = folders.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of newestFirst.slice(count)) rmSync(old, { recursive: true, force: true });
}
