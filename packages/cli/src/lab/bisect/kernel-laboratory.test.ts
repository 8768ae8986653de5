import { resultOf } from "./kernel-laboratory";

const report = (tests: object[], errors: string[] = []): string => JSON.stringify({ tests, errors });

test.each<[string, number, string, object]>([
  ["what passed", 0, report([{ id: "a" }]), { kind: "passed" }],
  ["what failed, quoted", 1, report([{ id: "a", failures: ["x", "y"] }]), { kind: "failed", failure: "a\nx\na\ny" }],
  ["what failed outside a test", 1, report([], ["a hook"]), { kind: "failed", failure: "a hook" }],
  [
    "what was skipped is no failure",
    4,
    report([
      { id: "a", skip: { reason: "no MSI" } },
      { id: "b", skip: { reason: "no MSI" } },
    ]),
    { kind: "skipped", why: "the test does not run: no MSI" },
  ],
  ["a run without a report says nothing", 1, "", { kind: "skipped", why: "the run ended with status 1: no mode" }],
  [
    "one that was killed neither",
    137,
    '{"tests": [',
    { kind: "skipped", why: "the run ended with status 137: no mode" },
  ],
])("%s", (_name, exitCode, json, result) => {
  expect(resultOf(exitCode, json, "no mode\n")).toEqual(result);
});

test("wrong usage ends the bisection", () => {
  expect(() => resultOf(2, "", "no test matches")).toThrow("no test matches");
});
