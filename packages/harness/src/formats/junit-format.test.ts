import fc from "fast-check";
import type { RunOutcome } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { junitFormat } from "./junit-format";
import type { RunPlan } from "./report-format";
import { ANT_RULES, JENKINS_RULES } from "./testing/junit-rules";
import { validateXml } from "./testing/validate-xml";

const PLAN: RunPlan = { headline: [], size: undefined, defaultMode: "iommufd", device: "0000:01:00.0" };

function report(run: Partial<RunOutcome>): string {
  let text = "";
  const sink = { write: (part: string) => void (text += part), interactive: false };
  junitFormat(sink, PLAN).end({ tests: [], errors: [], durationMs: 0, ...run });
  return text;
}

function outcome(name: string, fields: Partial<TestOutcome> = {}): TestOutcome {
  const none = { skip: undefined, failures: [], notes: [] };
  return { ...identify(["vfio_cdev", name]), status: "passed", durationMs: 12, ...none, ...fields };
}

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("<", "&", '"', "-", "]]>", "\n", "\u0000") }),
);
const anyOutcome = fc
  .record({
    name: fc.constantFrom("bind", "unbind", 'a "quoted" <one>'),
    status: fc.constantFrom("passed" as const, "failed" as const, "skipped" as const),
    failures: fc.array(text, { maxLength: 2 }),
    skip: fc.option(fc.record({ reason: text, remedy: text }), { nil: undefined }),
    notes: fc.array(text, { maxLength: 2 }),
    device: fc.constantFrom("0000:01:00.0", "model:ioat", undefined),
    repetition: fc.option(fc.nat(), { nil: undefined }),
  })
  .map(({ name, repetition, ...fields }) =>
    outcome(name, { ...fields, ...(repetition !== undefined && { repetition }) }),
  );

test.each([
  ["Ant's junitreport", ANT_RULES],
  ["Jenkins", JENKINS_RULES],
])("every report keeps the schema of %s", (_, rules) => {
  fc.assert(
    fc.property(fc.array(anyOutcome), fc.array(text), fc.array(text), (tests, errors, notes) => {
      expect(validateXml(report({ tests, errors, notes }), rules)).toEqual([]);
    }),
  );
});

test("the check of the schemas notices what each of them forbids", () => {
  const xml = (inner: string): string => `<?xml version="1.0" encoding="UTF-8"?>\n${inner}\n`;
  const inCase = (inner: string): string[] =>
    validateXml(
      xml(
        `<testsuites><testsuite name="a" tests="1" failures="0" errors="0"><testcase name="b">${inner}</testcase></testsuite></testsuites>`,
      ),
      JENKINS_RULES,
    );
  expect(inCase("<skipped/>")).toEqual([]);
  expect(inCase("<properties/>")).toEqual(["<testcase> holds properties "]);
  expect(inCase("<skipped>&nbsp;</skipped>")).toEqual(["<skipped> holds a bare &"]);
  expect(inCase("<skipped>")).toEqual(["</testcase> ends <skipped>"]);
  expect(validateXml(xml('<testsuites skipped="1"></testsuites>'), JENKINS_RULES)).toEqual([
    "<testsuites> may have no skipped",
  ]);
  expect(validateXml(xml("<testsuites><testsuite></testsuite></testsuites>"), ANT_RULES)).toContain(
    "<testsuite> lacks hostname",
  );
});

test("a test has one outcome, with the type of its first error and all of its failures", () => {
  const failures = ["VfioError: map failed: <EBUSY>\nat a", "the kernel reported: WARNING"];
  const tests = [
    outcome("bind", { status: "failed", failures, repetition: 2 }),
    outcome("open", { notes: ["not checked: x"] }),
  ];
  const xml = report({ tests });
  expect(xml).toContain('name="bind #2"');
  expect(xml).toContain(
    '<failure type="VfioError" message="VfioError: map failed: &lt;EBUSY&gt;">VfioError: map failed: &lt;EBUSY&gt;\nat a\n\nthe kernel reported: WARNING</failure>',
  );
  expect(xml).toContain("<system-out>open: not checked: x</system-out>");
});
