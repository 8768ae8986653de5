// Fails unless kunit.py read the tests of a JSON report with the same results, nested by device, suite and variant, and counted them.
// Arguments: our JSON report, kunit.py's, what kunit.py printed, and the names of groups around all, where there are any.
const { readFileSync } = require("node:fs");

const [report, parsed, printed, ...around] = process.argv.slice(2);
const json = (path) => JSON.parse(readFileSync(path, "utf8"));
const STATUS = { passed: "PASS", failed: "FAIL", skipped: "SKIP" };

/** A test's line: the names of its groups and its own, and its result. */
const line = (names, status) => `${status} ${names.join(" > ")}`;

const expected = json(report).tests.map(({ id, device, status }) => {
  const prefix = device === undefined ? "" : `${device.replace(/\W/g, "_")}_`;
  const steps = id.split(".");
  const groups = steps.slice(0, -1).map((_, index) => prefix + steps.slice(0, index + 1).join("."));
  return line([...around, ...(prefix && [prefix.slice(0, -1)]), ...groups, prefix + id], STATUS[status]);
});

function* testsIn(group, names) {
  for (const { name, status } of group.test_cases) yield line([...names, name], status);
  for (const inner of group.sub_groups) yield* testsIn(inner, [...names, inner.name]);
}
const got = [...testsIn(json(parsed), [])];

const count = (name, status) => {
  const number = expected.filter((test) => test.startsWith(status)).length;
  return number > 0 ? [`${name}: ${number}`] : [];
};
const counts = [...count("passed", "PASS"), ...count("failed", "FAIL"), ...count("skipped", "SKIP")].join(", ");
const total = `Ran ${expected.length} tests: ${counts}`;
const problems = [
  ...expected.filter((test) => !got.includes(test)).map((test) => `kunit.py lacks ${test}`),
  ...got.filter((test) => !expected.includes(test)).map((test) => `kunit.py has ${test}`),
  // Whatever else it counts, such as errors, comes after that.
  ...(readFileSync(printed, "utf8")
    .trimEnd()
    .split("\n")
    .some((text) => text.endsWith(`Testing complete. ${total}`))
    ? []
    : [`kunit.py did not say: ${total}`]),
];
if (expected.length === 0 || expected.length !== got.length)
  problems.push(`${expected.length} tests / ${got.length} tests`);
for (const problem of problems) console.log(`not the same: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
