// Sums what .ci/run's steps report and prints the closing line. Fails when anything failed, or when a step that should
// have run tests names none: a run that silently tests nothing must not pass.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const directory = process.argv[2];
const total = { passed: 0, failed: 0, skipped: 0 };
const problems = [];

/** The counts in jest's `Tests:` lines and in our own closing lines of one log. */
function countsOf(log) {
  const counts = { passed: 0, failed: 0, skipped: 0, summaries: 0 };
  for (const line of log.replace(/\u001b\[[0-9;]*m/g, "").split("\n")) {
    const jest = /(?:^|\s)Tests:\s+(.*\d+ total)\s*$/.exec(line);
    const own = /^\d+ passed, \d+ failed, \d+ skipped$/.exec(line.trim());
    if (!jest && !own) continue;
    counts.summaries += 1;
    for (const [, number, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g)) counts[what] += Number(number);
  }
  return counts;
}

for (const step of readFileSync(join(directory, "steps"), "utf8").trim().split("\n")) {
  const [name, kind, status] = step.split(" ");
  if (kind === "check") {
    total[status === "0" ? "passed" : "failed"] += 1;
  } else {
    const counts = countsOf(readFileSync(join(directory, `${name}.log`), "utf8"));
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    if (counts.passed === 0) problems.push(`${name}: no test passed (${counts.summaries} summaries seen)`);
    if (status !== "0" && counts.failed === 0) problems.push(`${name}: exit status ${status} though no test failed`);
  }
}
total.failed += problems.length;
for (const problem of problems) console.log(`not as expected: ${problem}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
