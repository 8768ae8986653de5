import fc from "fast-check";
import type { JsonTest } from "../json-report/json-report";
import { failedTest, sampleReport, sampleTest, skippedTest } from "../json-report/testing/sample-report";
import { type ComparedRun, comparisonLines } from "./comparison-lines";

function run(name: string, ...tests: JsonTest[]): ComparedRun {
  return { name, report: sampleReport(tests) };
}

function text(...runs: ComparedRun[]): string {
  return comparisonLines(runs).join("\n");
}

it("tells each run's totals and kernel, and nothing of tests that are alike", () => {
  const tests = [sampleTest("f.iommufd.a"), skippedTest("f.iommufd.b", "no huge page")];
  expect(text(run("igb+intel", ...tests), run("igb+amd", ...tests))).toMatchInlineSnapshot(`
"By run          passed  failed  skipped   time  kernel
  1  igb+intel       1       -        1  1.0 s   7.3.4
  2  igb+amd         1       -        1  1.0 s   7.3.4

2 of 2 tests have the same result wherever they could run."
`);
});

it("groups tests that differ alike, failures first, with each reason once", () => {
  const ids = ["f.iommufd.a", "f.iommufd.b", "g.iommufd.c", "g.iommufd.d"] as const;
  const skipped = (id: string): JsonTest => skippedTest(id, "the IOMMU has no page requests");
  const lines = text(
    run("one", ...ids.map((id) => sampleTest(id))),
    run("two", skipped(ids[0]), skipped(ids[1]), failedTest(ids[2], "errno was EIO\n  expected 0"), sampleTest(ids[3])),
    run("three", skipped(ids[0]), skipped(ids[1]), sampleTest(ids[2])),
  );
  expect(lines.split("\n").slice(5)).toEqual([
    `Different${" ".repeat(68)}123`,
    `  g.iommufd.c${" ".repeat(64)}.F.`,
    "      2: errno was EIO",
    `  f (2 tests)${" ".repeat(64)}.ss`,
    "      2, 3: the IOMMU has no page requests",
    `  g.iommufd.d${" ".repeat(64)}..-`,
    "  (. passed, F failed, s skipped, - no result)",
    "",
    "0 of 4 tests have the same result wherever they could run.",
  ]);
});

it("a run without a report has its reason, and makes no test different", () => {
  const missing: ComparedRun = { name: "model:ioat+intel-scalable", report: { missing: "this IOMMU takes no models" } };
  const lines = text(run("one", sampleTest("f.iommufd.a")), missing, run("three", sampleTest("f.iommufd.a")));
  expect(lines).toContain("2  model:ioat+intel-scalable\n       no results: this IOMMU takes no models");
  expect(lines).toMatch(/^1 of 1 tests /m);
});

it("the same device has another address in another machine, and each of several devices is its own", () => {
  const on = (device: string, status: JsonTest["status"]): JsonTest => sampleTest("f.iommufd.a", { device, status });
  const first = run("one", on("0000:01:00.0", "passed"), on("0000:02:00.0", "failed"));
  expect(text(first, run("two", on("0000:05:00.0", "passed"), on("0000:06:00.0", "failed")))).toMatch(/^2 of 2 /m);
  expect(text(first, run("two", on("0000:05:00.0", "failed"), on("0000:06:00.0", "passed")))).toMatch(/^0 of 2 /m);
});

it("a failure among a repeated test's results counts, in any order", () => {
  const passed = sampleTest("f.iommufd.a", { repetition: 1 });
  const failed = { ...failedTest("f.iommufd.a", "no"), repetition: 2 };
  for (const tests of [
    [passed, failed],
    [failed, passed],
  ]) {
    expect(text(run("one", sampleTest("f.iommufd.a")), run("two", ...tests))).toMatch(/ \.F$/m);
  }
});

it("counts as different exactly the tests whose results are not the same everywhere, in lines of 80 columns", () => {
  const status = fc.constantFrom("passed", "failed", "skipped", "none");
  const rows = fc.array(fc.array(status, { minLength: 3, maxLength: 3 }), { maxLength: 12 });
  fc.assert(
    fc.property(rows, (table) => {
      const runs = [0, 1, 2].map((column) =>
        run(
          `machine ${column}`,
          ...table.flatMap((row, index) => {
            const kind = row[column] ?? "none";
            const id = `vfio_suite_${index % 4}.iommufd.${"long_".repeat(index * 3)}${index}`;
            return kind === "none" ? [] : [sampleTest(id, { status: kind })];
          }),
        ),
      );
      const seen = table.filter((row) => row.some((kind) => kind !== "none"));
      const alike = seen.filter((row) => new Set(row).size === 1);
      const lines = comparisonLines(runs);
      expect(lines.at(-1)).toBe(
        `${alike.length} of ${seen.length} tests have the same result wherever they could run.`,
      );
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    }),
  );
});
