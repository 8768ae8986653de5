import { equivalentOnes, whyEquivalent } from "./equivalent";
import { isNoticed, type MutantResult, type MutantStatus, type TriedMutant } from "./result";

const ORDER: readonly MutantStatus[] = [
  "killed",
  "splat",
  "crashed",
  "timed-out",
  "survived",
  "no-difference",
  "not-reached",
];

/** What each status means, for people. */
export const STATUS_TEXT: Readonly<Record<MutantStatus, string>> = {
  killed: "killed by a test",
  splat: "reported by the kernel itself (WARNING, BUG, …)",
  crashed: "crashed the kernel",
  "timed-out": "timed out",
  survived: "survived",
  "no-difference": "survived: reached, but no test makes it differ",
  "not-reached": "not reached",
};

/** The score: how many mutants were noticed, of those in lines that the tests reach. */
export function scoreOf(tried: readonly TriedMutant[]): { noticed: number; reached: number } {
  const reached = tried.filter(({ result }) => result.status !== "not-reached");
  return { noticed: reached.filter(({ result }) => isNoticed(result.status)).length, reached: reached.length };
}

/** The number of mutants by status, and the score: of those in reached lines, and of those that are not equivalent. */
export function summaryLines(tried: readonly TriedMutant[], why = whyEquivalent()): string[] {
  const counts = ORDER.map((status) => ({
    status,
    count: tried.filter(({ result }) => result.status === status).length,
  })).filter(({ count }) => count > 0);
  const { noticed, reached } = scoreOf(tried);
  const equivalent = equivalentOnes(tried, why).length;
  const rest = reached - equivalent;
  return [
    ...counts.map(({ status, count }) => `${String(count).padStart(5)}  ${STATUS_TEXT[status]}`),
    `${noticed} of ${reached} mutants in lines that tests reach were noticed (${percent(noticed, reached)})`,
    `${noticed} of ${rest} without the ${equivalent} shown equivalent (${percent(noticed, rest)})`,
  ];
}

/** By operator: how many of its mutants in reached lines were noticed. */
export function operatorLines(tried: readonly TriedMutant[]): string[] {
  const operators = [...new Set(tried.map(({ mutant }) => mutant.operator))].sort();
  return operators.map((operator) => {
    const { noticed, reached } = scoreOf(tried.filter(({ mutant }) => mutant.operator === operator));
    return `  ${operator.padEnd(18)} ${noticed}/${reached}`;
  });
}

/** Each mutant that no test noticed and that is not shown equivalent, for a developer, with the tests that missed it. */
export function survivorLines(
  tried: readonly TriedMutant[],
  noticers: (number: number) => readonly string[],
  why = whyEquivalent(),
): string[] {
  const survivors = tried.filter(
    ({ mutant, result: { status } }) =>
      (status === "survived" || status === "no-difference") && why(mutant) === undefined,
  );
  return survivors
    .sort((a, b) => a.mutant.file.localeCompare(b.mutant.file) || a.mutant.line - b.mutant.line)
    .flatMap(({ mutant, result }) => [
      "",
      `${mutant.file}:${mutant.line} ${mutant.function}: ${mutant.operator} (mutant ${mutant.number})`,
      ...mutant.diff.split("\n").map((line) => `  ${line}`),
      `  ${reachText(result, noticers(mutant.number))}`,
      ...(result.skipped === undefined ? [] : [`  skipped with it: ${listSome(result.skipped)}`]),
    ]);
}

function reachText({ status, ran = 0, of = 0 }: MutantResult, tests: readonly string[]): string {
  if (status === "no-difference") return "no test makes it differ";
  const all = ran === of ? `${of}` : `${ran} of ${of}`;
  return `passed by ${all} ${of === 1 ? "test" : "tests"}: ${listSome(tests)}`;
}

const SHOWN = 4;

function listSome(tests: readonly string[]): string {
  const more = tests.length - SHOWN;
  return tests.slice(0, SHOWN).join(", ") + (more > 0 ? `, and ${more} more` : "");
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`;
}
