import fc from "fast-check";
import { jsonFormat } from "../formats/json-format";
import type { RunPlan } from "../formats/report-format";
import type { RunOutcome } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { parseReport } from "./read-report";
import { sampleReport, sampleTest } from "./testing/sample-report";

const title = fc.string({ unit: "binary", minLength: 1 });
const lines = fc.array(title, { maxLength: 2 });
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

const outcome: fc.Arbitrary<TestOutcome> = fc
  .record({
    titles: fc.array(title, { minLength: 1, maxLength: 4 }),
    status: fc.constantFrom("passed" as const, "failed" as const, "skipped" as const),
    durationMs: fc.nat(),
    repetition: fc.integer({ min: 1 }),
    skip: optional(fc.record({ reason: title, remedy: title })),
    failures: lines,
    notes: lines,
  })
  .map(({ titles, ...fields }) => ({ ...identify(titles), ...fields }));

const plan: fc.Arbitrary<RunPlan> = fc.record({
  headline: lines,
  size: optional(fc.constant({ tests: 1, cases: 1, all: [identify(["vfio_x", "iommufd", "a"])] })),
  defaultMode: title,
  device: optional(title),
  kernel: optional(title),
  command: optional(lines),
  shard: optional(fc.constant({ index: 2, count: 3 })),
});

function written(run: RunOutcome, of: RunPlan): string {
  let text = "";
  jsonFormat({ write: (part) => (text += part), interactive: false }, of).end(run);
  return text;
}

it("every report that is written is read whole", () => {
  fc.assert(
    fc.property(fc.array(outcome), lines, lines, plan, (tests, errors, notes, of) => {
      const text = written({ tests, errors, notes, durationMs: 5 }, of);
      expect(parseReport(text, "x")).toEqual(JSON.parse(text));
    }),
  );
});

it("a report of before there were versions is read", () => {
  const { version: _version, kernel: _kernel, started: _started, ...old } = sampleReport([sampleTest("f.auto.a")]);
  expect(parseReport(JSON.stringify(old), "x")).toEqual(old);
});

const REPORT = sampleReport([sampleTest("f.auto.a")]);

it.each<[string, unknown, RegExp]>([
  [
    "another version",
    { ...REPORT, version: 2, more: 1 },
    /version is 2.*reads version 1[^]*Remedy: .*version of vfio-selftests that wrote/,
  ],
  ["an unknown field", { ...REPORT, speed: 1 }, /speed is a field that this version does not know/],
  ["a test's unknown field", { ...REPORT, tests: [{ ...REPORT.tests[0], speed: 1 }] }, /tests\[0\].speed is a field/],
  ["a missing field", { ...REPORT, tests: undefined }, /tests is missing/],
  [
    "an unknown status",
    { ...REPORT, tests: [sampleTest("f", { status: "MISS" as never })] },
    /tests\[0\].status is "MISS"; allowed: passed/,
  ],
  ["a negative duration", { ...REPORT, durationMs: -1 }, /durationMs is -1/],
  ["a wrong time", { ...REPORT, started: "yesterday" }, /started is "yesterday"/],
  ["a run that is not there", { ...REPORT, tests: [sampleTest("f", { run: 0 })] }, /the run of f is not among/],
  ["no object", [], /the file is \[\]; allowed: an object/],
  ["null", null, /the file is null/],
])("%s is refused, with the file's name and the place", (_, report, message) => {
  expect(() => parseReport(JSON.stringify(report), "shard-2.json")).toThrow(message);
  expect(() => parseReport(JSON.stringify(report), "shard-2.json")).toThrow(/^cannot read the report shard-2.json: /);
});

it("a file that is cut off or empty is refused", () => {
  const text = JSON.stringify(REPORT);
  expect(() => parseReport(text.slice(0, -20), "x")).toThrow(/cannot read the report x: .*[^]*leave it out/);
  expect(() => parseReport(" \n", "x")).toThrow("it is empty");
});
