import { existsSync } from "node:fs";
import { join } from "node:path";
import { isTest, measuredIds, patchCoverage, type PatchLine, reachingTests } from "@vfio-selftests/coverage";
import type { KeptBuild } from "@vfio-selftests/lab";
import { CoverageStore } from "./coverage-store";
import { changesBetween, changesSince } from "./git";

/** Who reaches the lines that a work tree has and a commit has not. */
export function patchLines(kernel: KeptBuild, tree: string, ref: string): PatchLine[] {
  const store = new CoverageStore(kernel);
  const patches = changesSince(tree, ref);
  return patchCoverage(patches, store.database(), (path) => {
    const measured = store.source(path);
    return existsSync(measured) ? changesBetween(measured, join(tree, path)) : [];
  });
}

/** The measured tests that a patch needs not: a run without them has those that reach it, and all that are new. */
export function unconcernedTests(
  kernel: KeptBuild,
  tree: string,
  ref: string,
): { reaching: string[]; others: string[] } {
  const reaching = reachingTests(patchLines(kernel, tree, ref));
  const measured = measuredIds(new CoverageStore(kernel).database()).filter(isTest);
  return { reaching, others: measured.filter((id) => !reaching.includes(id)) };
}

/** For people: each file's lines, as ranges of one state and the same tests. */
export function describePatch(lines: readonly PatchLine[], shown = 5): string {
  const counts = { reached: 0, missed: 0, new: 0 };
  for (const { state } of lines) counts[state] += 1;
  const text = lines.map(({ path, line, state, tests }) => {
    const who = tests.filter(isTest);
    const others = who.length > shown ? ` and ${who.length - shown} more` : "";
    const names = who.length > 0 ? who.slice(0, shown).join(", ") + others : tests.join(", ");
    return `${path}:${line}: ${WORDS[state]}${names === "" ? "" : `: ${names}`}\n`;
  });
  return `${text.join("")}${counts.reached} lines of the patch run, ${counts.missed} run in no test, ${counts.new} are newer than the measured kernel.\n`;
}

const WORDS: Readonly<Record<PatchLine["state"], string>> = {
  reached: "runs",
  missed: "no test reaches it",
  new: "not measured yet; in its place before",
};
