import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { LabArchitecture } from "../../architecture/lab-architecture";
import { readJson } from "../../cache/cache";

/** npm packages that jest loads and that hold a program for one CPU. `CPU` stands for Node's name of it. */
const CPU_PACKAGES = ["@unrs/resolver-binding-linux-CPU-gnu", "@swc/core-linux-CPU-gnu"] as const;

/** A package of npm, with its version. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
}

/**
 * What the guest needs for its CPU in place of the packages that the project has for the host's: the same packages in the
 * same versions.
 */
export function cpuPackages(project: string, host: string, { node }: LabArchitecture): NpmPackage[] {
  return CPU_PACKAGES.flatMap((pattern) => {
    const version = installedVersion(project, pattern.replace("CPU", host));
    return version === undefined ? [] : [{ name: pattern.replace("CPU", node), version }];
  });
}

/** The package's newest version in the project, where npm and yarn put it, or pnpm. */
function installedVersion(project: string, name: string): string | undefined {
  const modules = join(project, "node_modules");
  const { version } = (readJson(join(modules, name, "package.json")) ?? {}) as { version?: string };
  if (version !== undefined) return version;
  const store = join(modules, ".pnpm");
  if (!existsSync(store)) return undefined;
  const prefix = `${name.replace("/", "+")}@`;
  return readdirSync(store)
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => entry.slice(prefix.length))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
}
