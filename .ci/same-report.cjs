// Fails unless two JSON reports have the same tests with the same results in the same order. The durations may differ.
const { readFileSync } = require("node:fs");

const [one, other] = process.argv
  .slice(2)
  .map((path) =>
    JSON.parse(readFileSync(path, "utf8")).tests.map(({ id, device, mode, status, skip }) =>
      JSON.stringify({ id, device, mode, status, skip }),
    ),
  );
const differing = one.flatMap((test, index) => (test === other[index] ? [] : [`${test} / ${other[index]}`]));
if (one.length !== other.length) differing.unshift(`${one.length} tests / ${other.length} tests`);
for (const difference of differing) console.log(`not the same: ${difference}`);
const passed = differing.length === 0 && one.length > 0;
console.log(`${passed ? 1 : 0} passed, ${passed ? 0 : 1} failed, 0 skipped`);
process.exit(passed ? 0 : 1);
