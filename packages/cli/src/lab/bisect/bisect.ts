import { VfioError } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import type { Commit, GitBisection, Position } from "./git-bisection";
import type { KeptVerdicts } from "./kept-verdicts";
import { type RunResult, type Verdict, verdictOf } from "./verdict";

/** A kernel that was built and has booted. */
export type RunOnKernel = () => Promise<RunResult>;

/** What a bisection does with each commit. */
export interface Laboratory {
  /**
   * Builds the kernel of the work tree and boots it. Resolves to an object that runs the test on it.
   * @throws VfioError with a code of `UNTESTABLE` where this tree does not build or boot
   */
  prepare(commit: Commit): Promise<RunOnKernel>;
}

/** After these errors a commit has no verdict: the tree is broken, not the bisection. */
const UNTESTABLE: readonly string[] = [
  "ERR_LAB_PROGRAM_FAILED",
  "ERR_LAB_KERNEL_CONFIG",
  "ERR_LAB_KERNEL_TREE",
  "ERR_LAB_BOOT",
];

export interface Bisection {
  readonly git: Pick<GitBisection, "checkOut" | "start" | "mark">;
  readonly laboratory: Laboratory;
  readonly verdicts: Pick<KeptVerdicts, "get" | "keep">;
  readonly good: Commit;
  readonly bad: Commit;
  /** Takes a line for people. */
  readonly tell: (line: string) => void;
  /** Throws when the user has interrupted. */
  readonly checkInterrupt: () => void;
}

export interface BisectResult {
  readonly position: Exclude<Position, { kind: "at" }>;
  /**
   * The test's failure on the first bad commit. Where only a range was found, its failure on the BAD that the user
   * gave.
   */
  readonly failure: string;
  /** Commits on which the test sometimes passes and sometimes fails. */
  readonly flaky: readonly Commit[];
  readonly tested: number;
  readonly skipped: number;
}

/**
 * Finds the first commit on which the test fails. Tests both ends first: with a wrong one the whole search would be in
 * vain.
 */
export async function bisect(bisection: Bisection): Promise<BisectResult> {
  const { git, good, bad, tell } = bisection;
  const flaky: Commit[] = [];
  const failures = new Map<string, string>();
  let tested = 0;
  let skipped = 0;
  const judge = async (commit: Commit): Promise<Verdict> => {
    const verdict = await judgeCommit(bisection, commit);
    tested += 1;
    if (verdict.kind === "skip") skipped += 1;
    else if (verdict.flaky) flaky.push(commit);
    if (verdict.kind === "bad") failures.set(commit.hash, verdict.failure);
    tell(`${short(commit)} ${describeVerdict(verdict)}`);
    return verdict;
  };

  await git.checkOut(bad);
  requireVerdict(await judge(bad), "bad", bad);
  await git.checkOut(good);
  requireVerdict(await judge(good), "good", good);
  let position = await git.start(good, bad);
  while (position.kind === "at") {
    if (position.left !== "") tell(`bisecting: ${position.left}`);
    position = await git.mark(await judge(position.commit));
  }
  const failed = position.kind === "found" ? position.commit : bad;
  return { position, failure: failures.get(failed.hash) ?? failures.get(bad.hash) ?? "", flaky, tested, skipped };
}

async function judgeCommit({ laboratory, verdicts, checkInterrupt }: Bisection, commit: Commit): Promise<Verdict> {
  const known = verdicts.get(commit);
  if (known !== undefined) return known;
  const verdict = await testCommit(laboratory, commit, checkInterrupt);
  // A run that an interrupt ended says nothing about the commit.
  checkInterrupt();
  verdicts.keep(commit, verdict);
  return verdict;
}

async function testCommit(laboratory: Laboratory, commit: Commit, checkInterrupt: () => void): Promise<Verdict> {
  let runOnce: RunOnKernel;
  try {
    runOnce = await laboratory.prepare(commit);
  } catch (error) {
    checkInterrupt();
    if (!(error instanceof VfioError) || !UNTESTABLE.includes(error.code)) throw error;
    return { kind: "skip", why: error.message };
  }
  return verdictOf(async () => {
    const result = await runOnce();
    checkInterrupt();
    return result;
  });
}

function requireVerdict(verdict: Verdict, wanted: "good" | "bad", commit: Commit): void {
  if (verdict.kind === wanted) return;
  throw argumentError(
    "lab bisect",
    wanted,
    `${short(commit)}, ${describeVerdict(verdict)}`,
    {
      good: "a commit on which the test passes",
      bad: "a commit on which the test fails",
    }[wanted],
  );
}

export function short({ hash, subject }: Commit): string {
  return `${hash.slice(0, 12)} ("${subject}")`;
}

function describeVerdict(verdict: Verdict): string {
  if (verdict.kind === "skip") return `cannot be tested: ${verdict.why.split("\n", 1)[0] ?? ""}`;
  const word = verdict.kind === "good" ? "passes" : "fails";
  return verdict.flaky ? `${word} more often than not (flaky)` : word;
}
