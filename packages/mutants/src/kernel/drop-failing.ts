import { parseBuildErrors } from "./build-errors";
import type { MutantSet } from "./mutant-set";

/** Drops the mutants that a failed build complains of. Returns how many it dropped. */
export function dropFailing(set: MutantSet, output: string): number {
  // The compiler prints paths relative to its folder. The linker knows none.
  const places = parseBuildErrors(output).flatMap((error) =>
    set.paths
      .filter((path) => error.path === undefined || error.path === path || error.path.endsWith(`/${path}`))
      .map((path) => ({ ...error, path })),
  );
  const before = set.dropped.size;
  for (const { path, line } of places) if (line !== undefined) set.dropLine(path, line);
  if (set.dropped.size > before) return set.dropped.size - before;
  for (const { path, function: name } of places) if (name !== undefined) set.dropFunction(path, name);
  return set.dropped.size - before;
}
