import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execute, type ExecuteOptions } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { KernelSource } from "./kernel-source";

/** A change of the kernel's source that a kernel is built with. */
export interface SourcePatch {
  /** Names the patched tree, which is kept: letters, digits, dashes. */
  readonly name: string;
  /** Folders of the tree that `apply` may change files in. All others are shared with the origin by hard links. */
  readonly folders: readonly string[];
  /** Changes the tree. Called with a copy of `folders` alone, at their paths below `tree`. */
  apply(tree: string): void | Promise<void>;
  /**
   * Takes make's whole output after a failed build. True: `apply` would now do better, it is called again, and the build goes
   * on. With this function, make goes on after an error as far as it can, so that one output has as many as possible.
   */
  afterFailure?(output: string): boolean;
}

/**
 * A tree beside the origin with the patch applied. It is kept: the next call changes only the files that differ from the last
 * time's, so that a build goes on with what it has. An interrupted call leaves a tree that the next one completes.
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
    for (const part of patch.folders) {
      cpSync(join(origin.folder, part), join(changed, part), { recursive: true, preserveTimestamps: true });
    }
    await patch.apply(changed);
    for (const part of patch.folders) replaceDifferent(join(changed, part), join(folder, part));
  } finally {
    rmSync(changed, { recursive: true, force: true });
  }
  return { version: `${origin.version}-${patch.name}`, folder };
}

/** Makes `to` what `from` is, file by file: one of the same content stays, with its time, by which make decides. */
function replaceDifferent(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  const wanted = readdirSync(from, { withFileTypes: true });
  const names = new Set(wanted.map(({ name }) => name));
  for (const name of readdirSync(to)) if (!names.has(name)) rmSync(join(to, name), { recursive: true });
  for (const entry of wanted) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) replaceDifferent(source, target);
    // By a rename: the target may be a hard link to the origin's file.
    else if (entry.isFile() && !isSame(source, target)) renameSync(source, target);
  }
}

function isSame(one: string, other: string): boolean {
  return existsSync(other) && readFileSync(one).equals(readFileSync(other));
}
