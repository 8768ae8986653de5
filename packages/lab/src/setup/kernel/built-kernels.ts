import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_ARCHITECTURE } from "../../architecture/architecture";
import type { KernelArchitecture } from "../../architecture/lab-architecture";
import { type LostOption, lostOptions } from "./kernel-config";
import type { KernelFragment } from "./kernel-fragment";

export interface BuiltKernel {
  /** Version and fragment key. */
  readonly name: string;
  /** The fragment's key. */
  readonly key: string;
  readonly image: string;
  /** Options that this kernel version did not take. */
  readonly lost: readonly LostOption[];
}

/** The newest kernel that an earlier set-up built from this fragment. */
export function builtKernel(
  kernels: string,
  fragment: KernelFragment,
  architecture: KernelArchitecture = DEFAULT_ARCHITECTURE.kernel,
): BuiltKernel | undefined {
  const name = newestOf(kernels, fragment);
  return name === undefined ? undefined : describeBuilt(name, join(kernels, name), fragment, architecture);
}

/** The newest folder whose name has this fragment's key. */
export function newestOf(folder: string, { key }: KernelFragment): string | undefined {
  if (!existsSync(folder)) return undefined;
  return readdirSync(folder)
    .filter((name) => name.endsWith(`-${key}`))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
}

export function describeBuilt(
  name: string,
  folder: string,
  fragment: KernelFragment,
  { image }: KernelArchitecture = DEFAULT_ARCHITECTURE.kernel,
): BuiltKernel {
  const config = readFileSync(join(folder, "config"), "utf8");
  return {
    name,
    key: fragment.key,
    image: join(folder, image),
    lost: lostOptions([...fragment.required, ...fragment.wanted], config),
  };
}

/** Marks a folder as used now, and keeps only the `count` folders that were used last. */
export function keepNewest(folder: string, used: string, count: number): void {
  const now = new Date();
  utimesSync(join(folder, used), now, now);
  const folders = readdirSync(folder).map((name) => join(folder, name));
  const newestFirst = folders.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of newestFirst.slice(count)) rmSync(old, { recursive: true, force: true });
}
