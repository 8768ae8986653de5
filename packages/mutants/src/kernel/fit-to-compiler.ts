import { VfioError } from "@vfio-selftests/core";
import { parseBuildErrors } from "./build-errors";
import type { MutantSet } from "./mutant-set";

/** How often a build may fail before it is somebody else's fault. Each time names several places. */
const MOST_BUILDS = 25;

/** Writes the mutants somewhere and compiles them. Gives what the compiler said when it failed. */
export type BuildAttempt = (set: MutantSet) => Promise<{ readonly failed: boolean; readonly output: string }>;

/** Builds until no mutant is left that does not compile. */
export async function fitToCompiler(
  set: MutantSet,
  build: BuildAttempt,
  onDropped: (count: number) => void = () => undefined,
): Promise<void> {
  const paths = set.texts().map(({ path }) => path);
  for (let attempt = 1; ; attempt++) {
    const { failed, output } = await build(set);
    if (!failed) return;
    const dropped = attempt < MOST_BUILDS ? dropFailing(set, paths, output) : 0;
    if (dropped === 0) throw buildFailure(output);
    onDropped(dropped);
  }
}

function dropFailing(set: MutantSet, paths: readonly string[], output: string): number {
  // The compiler prints paths from where it stands; the linker knows none.
  const places = parseBuildErrors(output).flatMap((error) =>
    paths
      .filter((path) => error.path === undefined || error.path === path || error.path.endsWith(`/${path}`))
      .map((path) => ({ ...error, path })),
  );
  const before = set.dropped.size;
  for (const { path, line } of places) if (line !== undefined) set.dropLine(path, line);
  if (set.dropped.size > before) return set.dropped.size - before;
  for (const { path, function: name } of places) if (name !== undefined) set.dropFunction(path, name);
  return set.dropped.size - before;
}

function buildFailure(output: string): VfioError {
  const lines = output.split("\n");
  const first = lines.findIndex((line) => /error|Error|undefined reference/.test(line));
  return new VfioError(
    `the kernel with mutants does not build, and no mutant explains it:\n${lines.slice(Math.max(first, 0), first + 20).join("\n")}`,
    {
      code: "ERR_MUTANTS_BUILD",
      operation: "lab mutate",
      subject: "make",
      remedy: "build the kernel without mutants first: `vfio-selftests lab setup`",
    },
  );
}
