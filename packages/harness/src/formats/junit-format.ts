import { totalsOf } from "../outcome/run-outcome";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportFormatFactory, RunPlan } from "./report-format";

/** JUnit XML as CI systems read it: one <testsuite> per fixture and device. */
export const junitFormat: ReportFormatFactory = (sink, plan) => ({
  end(run) {
    const suites = new Map<string, TestOutcome[]>();
    for (const test of run.tests) {
      const name = [test.device ?? plan.device, test.fixture].filter((part) => part !== undefined).join(" ");
      suites.set(name, [...(suites.get(name) ?? []), test]);
    }
    const lines = ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites ${counts(run.tests, run.errors.length)}>`];
    for (const [name, tests] of suites) {
      lines.push(`  <testsuite name="${escape(name)}" ${counts(tests, 0)}>`);
      for (const test of tests) lines.push(...testCase(test, plan));
      lines.push("  </testsuite>");
    }
    if (run.errors.length > 0) lines.push(...outsideTests(run.errors));
    for (const note of run.notes ?? []) lines.push(`  <!-- ${escape(note).replaceAll("--", "- -")} -->`);
    lines.push("</testsuites>");
    sink.write(`${lines.join("\n")}\n`);
  },
});

/** Writes the errors as test cases, because only those make a reader of JUnit XML fail a build. */
function outsideTests(errors: readonly string[]): string[] {
  const cases = errors.flatMap((error, index) => [
    `    <testcase classname="outside any test" name="${index + 1}" time="0.000">`,
    `      <error message="${escape(firstLine(error))}">${escape(error)}</error>`,
    "    </testcase>",
  ]);
  const open = `  <testsuite name="outside any test" tests="${errors.length}" failures="0" errors="${errors.length}" skipped="0">`;
  return [open, ...cases, "  </testsuite>"];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function testCase(test: TestOutcome, plan: RunPlan): string[] {
  const className = [test.fixture, test.variant].filter((part) => part !== undefined).join(".");
  const open = `    <testcase classname="${escape(className)}" name="${escape(test.test)}" time="${seconds(test.durationMs)}"`;
  const inner: string[] = [];
  const mode = test.mode ?? plan.defaultMode;
  const properties = [`  <property name="mode" value="${escape(mode)}"/>`];
  if (test.repetition !== undefined) properties.push(`  <property name="repetition" value="${test.repetition}"/>`);
  inner.push("<properties>", ...properties, "</properties>");
  if (test.skip !== undefined) {
    inner.push(`<skipped message="${escape(`${test.skip.reason} (remedy: ${test.skip.remedy})`)}"/>`);
  }
  for (const failure of test.failures) {
    inner.push(`<failure message="${escape(firstLine(failure))}">${escape(failure)}</failure>`);
  }
  if (test.notes.length > 0) inner.push(`<system-out>${escape(test.notes.join("\n"))}</system-out>`);
  return [`${open}>`, ...inner.map((line) => `      ${line}`), "    </testcase>"];
}

function counts(tests: readonly TestOutcome[], errors: number): string {
  const { failed, skipped } = totalsOf(tests);
  const time = tests.reduce((sum, test) => sum + test.durationMs, 0);
  return `tests="${tests.length}" failures="${failed}" errors="${errors}" skipped="${skipped}" time="${seconds(time)}"`;
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escape(text: string): string {
  // XML 1.0 has no way to write the other control characters (colours of an assertion's message, say).
  return text
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? "")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");
}
