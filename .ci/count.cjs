// Sums the results of .ci/run's steps, repeats the failures, and prints the closing line. Fails when anything failed,
// or when a step that should have run tests has none: a run that silently tests nothing must not pass.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const directory = process.argv[2];
const total = { passed: 0, failed: 0, skipped: 0 };
const problems = [];

/** The counts that a line of a log names, or undefined where it is no summary: jest's `Tests:` line, or our own closing line. */
function testSummary(line) {
  const jest = /(?:^|\s)Tests:\s+(.*\d+ total)\s*$/.test(line);
  // turbo puts the task's name before each line.
  const own = /^(?:\S+:test: )?\d+ passed, \d+ failed, \d+ skipped$/.test(line);
  if (!jest && !own) return undefined;
  return Object.fromEntries(
    [...line.matchAll(/(\d+) (passed|failed|skipped)/g)].map(([, n, what]) => [what, Number(n)]),
  );
}

/** The same for `lab mutate --known`. A run on a mutant that is noticed has a failed test, so its own summary must not count. */
function mutantSummary(line) {
  const [, noticed, of] = /^(\d+) of (\d+) known mutants noticed$/.exec(line) ?? [];
  return of === undefined ? undefined : { passed: Number(noticed), failed: of - noticed };
}

/** How each kind of step names its counts. A `check` is counted as one test. */
const SUMMARIES = {
  tests: testSummary,
  whole: testSummary,
  optional: testSummary,
  mutants: mutantSummary,
  check: testSummary,
};
/** Kinds of steps that may run nothing, and say by themselves why. */
const MAY_RUN_NONE = new Set(["optional", "mutants"]);

/** Adds up the counts in one log. */
function countsOf(kind, log) {
  const counts = { passed: 0, failed: 0, skipped: 0, summaries: 0 };
  for (const line of log.replace(/\u001b\[[0-9;]*m/g, "").split("\n")) {
    const summary = SUMMARIES[kind](line.trimEnd());
    if (summary === undefined) continue;
    counts.summaries += 1;
    for (const [what, number] of Object.entries(summary)) counts[what] += number;
  }
  return counts;
}

/** Lines with which jest, our reports, the compilers and a run of known mutants name a failure. */
const FAILURE =
  /(^|\s)(FAIL|MISS)\s|^no longer noticed: |● (?!Console)|^\s+(✕|×) |\berror TS\d+|^\s+\d+:\d+\s+error\s|^::error/;
/**
 * How many failures of a step are quoted, and lines of each, so that the end of the output alone shows why it failed.
 */
const QUOTED_FAILURES = 12;
const LINES_OF_A_FAILURE = 8;

/** Prints the first failures that a step's log names, each with the lines that follow it; the last lines where it names none. */
function quoteFailures(name, log) {
  const lines = log.replace(/\u001b\[[0-9;]*m/g, "").split("\n");
  const found = lines.flatMap((line, index) => (FAILURE.test(line) ? [index] : [])).slice(0, QUOTED_FAILURES);
  const shown = new Set(
    found.flatMap((index) => Array.from({ length: LINES_OF_A_FAILURE }, (_, next) => index + next)),
  );
  console.log(`--- ${name}: failed`);
  for (const index of [...shown].sort((a, b) => a - b)) if (lines[index]?.trim()) console.log(`    ${lines[index]}`);
  if (found.length === 0) for (const line of lines.slice(-20)) console.log(`    ${line}`);
}

for (const step of readFileSync(join(directory, "steps"), "utf8").trim().split("\n")) {
  const [name, kind, status, seconds] = step.split(" ");
  const log = readFileSync(join(directory, `${name}.log`), "utf8");
  const counts = countsOf(kind, log);
  if (status !== "0" || counts.failed > 0) quoteFailures(name, log);
  console.log(`${name}: exit ${status} after ${seconds} s`);
  if (kind === "check") {
    total[status === "0" ? "passed" : "failed"] += 1;
  } else {
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    if (counts.passed === 0 && !(MAY_RUN_NONE.has(kind) && status === "0"))
      problems.push(`${name}: no test passed (${counts.summaries} summaries seen)`);
    if (kind === "whole" && counts.skipped > 0)
      problems.push(`${name}: ${counts.skipped} skipped, where each must run`);
    if (status !== "0" && counts.failed === 0) problems.push(`${name}: exit status ${status} though no test failed`);
  }
}
/** Upstream's ids that did not pass on each of the devices. A test that did not run counts as a failure, too. */
function notPassed(report, ids, devices) {
  const tests = JSON.parse(readFileSync(join(directory, report), "utf8")).tests;
  const passed = new Map();
  for (const { id, status } of tests) if (status === "passed") passed.set(id, (passed.get(id) ?? 0) + 1);
  return ids.filter((id) => (passed.get(id) ?? 0) < devices);
}

const { UPSTREAM_IDS } = require("../packages/suites/dist/upstream-ids");
for (const [report, ids, devices] of [
  ["lab-suites.json", UPSTREAM_IDS, 1],
  [
    "lab-models.json",
    UPSTREAM_IDS.filter((id) => /^vfio_pci_driver_test[.](vfio_type1v2_iommu|iommufd)[.]/.test(id)),
    2,
  ],
]) {
  try {
    const missing = notPassed(report, ids, devices);
    if (missing.length > 0) problems.push(`${report}: these upstream ids did not pass: ${missing.join(", ")}`);
    else console.log(`${report}: all ${ids.length} upstream ids passed on ${devices} device(s)`);
  } catch (error) {
    problems.push(`${report}: ${error.message}`);
  }
}

total.failed += problems.length;
for (const problem of problems) console.log(`not as expected: ${problem}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
