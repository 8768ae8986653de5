import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execute, type ExecuteOptions } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { KernelSource } from "./kernel-source";

/** A change of the kernel's source. */
export interface SourcePatch {
  /** Names the patched tree, which is kept: letters, digits, dashes. */
  readonly name: string;
  /** Tells contents of one name apart. Without it, the name says all. */
  readonly content?: string;
  /**
   * Folders of the tree in which `apply` may change files. Hard links share all others with the origin. `apply` finds only
   * those that the origin has.
   */
  readonly folders: readonly string[];
  /** Changes the tree. `tree` holds a copy of `folders` alone, at their paths. */
  apply(tree: string): void | Promise<void>;
  /**
   * Takes make's whole output after a failed build. It returns true if `apply` would now do better: the build then
   * calls `apply` again and goes on. With this function, make goes on after an error as far as it can, so that one
   * output has as many errors as possible.
   */
  afterFailure?(output: string): boolean;
}

/**
 * A tree beside the origin with the patch applied. The tree stays: the next call changes only the files that differ
 * from last time, so that a build is incremental. An interrupted call leaves a tree that the next one completes.
 */
export async function patchedSource(
  host: LabHost,
  origin: KernelSource,
  patch: SourcePatch,
  options: Pick<ExecuteOptions, "signal" | "onLine"> = {},
): Promise<KernelSource> {
  const folder = `${origin.folder}_patched_${patch.name}`;
  if (!existsSync(folder)) {
    const unfinished = `${folder}.tmp`;
    rmSync(unfinished, { recursive: true, force: true });
    await execute(host, ["cp", "-al", origin.folder, unfinished], options);
    renameSync(unfinished, folder);
  }
  const changed = `${folder}.changed`;
  rmSync(changed, { recursive: true, force: true });
  try {
    const parts = patch.folders.filter((part) => existsSync(join(origin.folder, part)));
    for (const part of parts) {
      cpSync(join(origin.folder, part), join(changed, part), { recursive: true, preserveTimestamps: true });
    }
    await patch.apply(changed);
    for (const part of parts) replaceDifferent(join(changed, part), join(folder, part));
  } finally {
    rmSync(changed, { recursive: true, force: true });
  }
  return { version: `${origin.version}-${patch.name}`, folder };
}

/** Makes `to` equal to `from`, file by file. A file of the same content keeps its time, by which make decides. */
function replaceDifferent(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  const wanted = readdirSync(from, { withFileTypes: true });
  const names = new Set(wanted.map(({ name }) => name));
  for (const name of readdirSync(to)) if (!names.has(name)) rmSync(join(to, name), { recursive: true });
  for (const entry of wanted) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) replaceDifferent(source, target);
    // A rename replaces the target, which may be a hard link to the origin's file.
    else if (entry.isFile() && !isSame(source, target)) renameSync(source, target);
  }
}

function isSame(one: string, other: string): boolean {
  return existsSync(other) && readFileSync(one).equals(readFileSync(other));
}
