import { existsSync } from "node:fs";
import { join } from "node:path";
import { isTest, measuredIds, patchCoverage, type PatchLine, reachingTests } from "@vfio-selftests/coverage";
import type { KeptBuild } from "@vfio-selftests/lab";
import { CoverageStore } from "./coverage-store";
import { changesBetween, changesSince } from "./git";

/** The tests that reach the lines which a work tree has and a commit does not have. */
export function patchLines(kernel: KeptBuild, tree: string, ref: string): PatchLine[] {
  const store = new CoverageStore(kernel);
  const patches = changesSince(tree, ref);
  return patchCoverage(patches, store.database(), (path) => {
    const measured = store.source(path);
    return existsSync(measured) ? changesBetween(measured, join(tree, path)) : [];
  });
}

/**
 * The measured tests that do not reach a patch. A run without them keeps those that do, and all that nobody has
 * measured.
 */
export function unconcernedTests(
  kernel: KeptBuild,
  tree: string,
  ref: string,
): { reaching: string[]; others: string[] } {
  const reaching = reachingTests(patchLines(kernel, tree, ref));
  const measured = measuredIds(new CoverageStore(kernel).database()).filter(isTest);
  return { reaching, others: measured.filter((id) => !reaching.includes(id)) };
}

/** Text for people. Neighbouring lines of one file with one state and the same tests are one range. */
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
