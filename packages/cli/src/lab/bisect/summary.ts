import { type BisectResult, short } from "./bisect";
import type { Commit } from "./git-bisection";

/** What the summary says besides the result. */
export interface SummaryFacts {
  readonly test: string;
  readonly good: Commit;
  readonly bad: Commit;
  /** The VM: `igb behind an intel IOMMU`. */
  readonly machine: string;
  /** Command lines that show the failure again. */
  readonly reproduce: readonly string[];
  readonly log: string;
}

/** How many lines of a failure the mail quotes. */
const QUOTED_LINES = 40;

/** A mail to the commit's author and lists. */
export function summary(result: BisectResult, facts: SummaryFacts): string {
  const { position } = result;
  const { test, good, bad, machine, reproduce, log } = facts;
  const commits = position.kind === "found" ? [position.commit] : position.commits;
  const [first] = commits;
  const head =
    position.kind === "found" && first !== undefined
      ? [
          `Subject: [REGRESSION] ${test} fails since "${first.subject}"`,
          `To: ${first.author}`,
          "Cc: regressions@lists.linux.dev, kvm@vger.kernel.org, iommu@lists.linux.dev",
          "",
          `Since commit ${short(first)}`,
          `of ${first.date}, the VFIO selftest ${test} fails.`,
        ]
      : [
          `Subject: [REGRESSION] ${test} fails between ${good.hash.slice(0, 12)} and ${bad.hash.slice(0, 12)}`,
          "Cc: regressions@lists.linux.dev, kvm@vger.kernel.org, iommu@lists.linux.dev",
          "",
          `The VFIO selftest ${test} fails since one of these commits, or of those between them. The others`,
          "do not build or boot, or the test does not run on them:",
          "",
          ...commits.map((commit) => `  ${short(commit)}`),
        ];
  return [
    ...head,
    `It ran in a VM of QEMU with ${machine}. ${result.tested} commits were tested` +
      (result.skipped === 0 ? "." : `, ${result.skipped} of them without a verdict.`),
    ...(result.flaky.length === 0
      ? []
      : [
          "",
          "On these commits it passes at one time and fails at another:",
          ...result.flaky.map((one) => `  ${short(one)}`),
        ]),
    "",
    "The failure:",
    "",
    ...quote(result.failure),
    "",
    "To see it again:",
    "",
    ...reproduce.map((line) => `  ${line}`),
    "",
    ...(position.kind === "found" && first !== undefined ? [`#regzbot introduced: ${first.hash}`, ""] : []),
    "git bisect log:",
    "",
    ...log
      .trimEnd()
      .split("\n")
      .map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function quote(failure: string): string[] {
  const lines = failure.trimEnd().split("\n");
  const left = lines.length - QUOTED_LINES;
  return [...lines.slice(0, QUOTED_LINES), ...(left > 0 ? [`… ${left} more lines`] : [])].map((line) =>
    `  | ${line}`.trimEnd(),
  );
}
