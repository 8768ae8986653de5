import { hostname } from "node:os";
import { type RunOutcome, totalsOf } from "../outcome/run-outcome";
import type { TestOutcome } from "../outcome/test-outcome";
import type { ReportFormatFactory, RunPlan } from "./report-format";

/**
 * JUnit XML as CI systems read it: one <testsuite> per fixture and device. It keeps to what the strictest readers take at once:
 * the schema of Ant's junitreport task, and that of Jenkins (xunit-plugin). Ant wants every attribute of a suite, and its three
 * elements beside the test cases; a test case has at most one child, and Jenkins allows no properties in it.
 */
export const junitFormat: ReportFormatFactory = (sink, plan) => ({
  end(run) {
    const suites = new Map<string, TestOutcome[]>();
    for (const test of run.tests) {
      const name = [test.device ?? plan.device, test.fixture].filter((part) => part !== undefined).join(" ");
      suites.set(name, [...(suites.get(name) ?? []), test]);
    }
    const started = new Date(Date.now() - run.durationMs).toISOString().slice(0, "2026-01-31T23:59:59".length);
    const where = `timestamp="${started}" hostname="${escape(hostname() || "localhost")}"`;
    const all = [...[...suites].map(([name, tests]) => suiteOf(name, tests, plan)), ...outsideTests(run)];
    const lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"];
    for (const [id, { attributes, inner }] of all.entries()) {
      lines.push(`  <testsuite id="${id}" package="vfio-selftests" ${attributes} ${where}>`);
      lines.push(...inner.map((line) => `    ${line}`), "  </testsuite>");
    }
    for (const note of run.notes ?? []) lines.push(`  <!-- ${escape(note).replace(/-(?=-)/g, "- ")} -->`);
    lines.push("</testsuites>");
    sink.write(`${lines.join("\n")}\n`);
  },
});

interface Suite {
  readonly attributes: string;
  readonly inner: readonly string[];
}

function suiteOf(name: string, tests: readonly TestOutcome[], plan: RunPlan): Suite {
  const { failed, skipped } = totalsOf(tests);
  const time = tests.reduce((sum, test) => sum + test.durationMs, 0);
  const notes = tests.flatMap((test) => test.notes.map((note) => `${nameOf(test)}: ${note}`));
  return {
    attributes: suiteAttributes(name, { tests: tests.length, failed, errors: 0, skipped, time }),
    inner: [
      // The class of a test has its mode, where the id names one.
      `<properties><property name="mode of tests without one" value="${escape(plan.defaultMode)}"/></properties>`,
      ...tests.flatMap(testCase),
      `<system-out>${escape(notes.join("\n"))}</system-out>`,
      "<system-err></system-err>",
    ],
  };
}

/** As test cases, because what reads JUnit XML fails a build for those alone. */
function outsideTests({ errors }: RunOutcome): Suite[] {
  if (errors.length === 0) return [];
  const cases = errors.flatMap((error, index) => [
    `<testcase classname="outside any test" name="${index + 1}" time="0.000">`,
    problem("error", error),
    "</testcase>",
  ]);
  const counts = { tests: errors.length, failed: 0, errors: errors.length, skipped: 0, time: 0 };
  return [
    {
      attributes: suiteAttributes("outside any test", counts),
      inner: ["<properties/>", ...cases, "<system-out></system-out>", "<system-err></system-err>"],
    },
  ];
}

interface Counts {
  readonly tests: number;
  readonly failed: number;
  readonly errors: number;
  readonly skipped: number;
  readonly time: number;
}

function suiteAttributes(name: string, { tests, failed, errors, skipped, time }: Counts): string {
  const counts = `tests="${tests}" failures="${failed}" errors="${errors}" skipped="${skipped}"`;
  return `name="${escape(name)}" ${counts} time="${seconds(time)}"`;
}

function testCase(test: TestOutcome): string[] {
  const className = [test.fixture, test.variant].filter((part) => part !== undefined).join(".");
  const open = `<testcase classname="${escape(className)}" name="${escape(nameOf(test))}" time="${seconds(test.durationMs)}">`;
  return [open, ...outcomeOf(test), "</testcase>"];
}

function outcomeOf({ status, failures, skip }: TestOutcome): string[] {
  if (status === "failed") return [problem("failure", failures.join("\n\n"))];
  if (skip !== undefined) return [`<skipped message="${escape(`${skip.reason} (remedy: ${skip.remedy})`)}"/>`];
  return status === "skipped" ? ["<skipped/>"] : [];
}

function nameOf({ test, repetition }: TestOutcome): string {
  return repetition === undefined ? test : `${test} #${repetition}`;
}

/** Its type is the class of the error, where the text begins with one. */
function problem(element: "failure" | "error", text: string): string {
  const type = /^(\w*Error)\b/.exec(text)?.[1] ?? element;
  const [firstLine = ""] = text.split("\n", 1);
  return `<${element} type="${type}" message="${escape(firstLine)}">${escape(text)}</${element}>`;
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escape(text: string): string {
  // XML 1.0 has no way to write the other control characters (colours of an assertion's message, say).
  return text
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? "")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "");
}
