import fc from "fast-check";
import type { JsonTest } from "../json-report/json-report";
import { failedTest, sampleReport, sampleTest, skippedTest } from "../json-report/testing/sample-report";
import { mergeReports } from "../merge/merge-reports";
import { kcidbReport } from "./kcidb-report";

const SOURCE = { origin: "our_farm", build: "maestro:64f1" };

function statuses(...reports: Parameters<typeof kcidbReport>[0]): Readonly<Record<string, string>> {
  return Object.fromEntries(kcidbReport(reports, SOURCE).tests.map(({ path, status }) => [path, status]));
}

it("tells each verdict apart", () => {
  const tests = [
    sampleTest("f.iommufd.a"),
    failedTest("f.iommufd.b", "VfioError: EBUSY"),
    failedTest("f.iommufd.c", "TypeError: x is undefined", "Error: expect(received).toBe(expected)"),
    failedTest("f.iommufd.d", "TypeError: x is undefined"),
    skippedTest("f.iommufd.e", "no MSI"),
  ];
  const planned = [...tests, { id: "f.iommufd.g" }].map(({ id }) => ({ id, mode: "iommufd" }));
  expect(statuses(sampleReport(tests, { planned, errors: ["a file did not load"] }))).toEqual({
    "vfio_selftests.f.iommufd.a": "PASS",
    "vfio_selftests.f.iommufd.b": "FAIL",
    "vfio_selftests.f.iommufd.c": "FAIL",
    "vfio_selftests.f.iommufd.d": "ERROR",
    "vfio_selftests.f.iommufd.e": "SKIP",
    "vfio_selftests.f.iommufd.g": "MISS",
    "vfio_selftests.outside_any_test": "ERROR",
  });
});

it("calls the tests of a lost shard missing when the shards are merged, and not before", () => {
  // By their hashes, `b` is in the first shard and `a` in the second.
  const planned = ["f.iommufd.a", "f.iommufd.b"].map((id) => ({ id, mode: "iommufd" }));
  const first = sampleReport([sampleTest("f.iommufd.b")], { planned, shard: { index: 1, count: 2 } });
  expect(statuses(first)).toEqual({ "vfio_selftests.f.iommufd.b": "PASS" });
  expect(statuses(mergeReports([{ name: "first.json", report: first }]))).toEqual({
    "vfio_selftests.f.iommufd.a": "MISS",
    "vfio_selftests.f.iommufd.b": "PASS",
  });
});

it("names what was tested, how long, and the log", () => {
  const { tests } = kcidbReport([sampleReport([failedTest("f.iommufd.a", "VfioError: x\0y")])], SOURCE);
  expect(tests).toEqual([
    {
      id: expect.stringMatching(/^our_farm:[0-9a-f]{64}$/) as string,
      origin: "our_farm",
      build_id: "maestro:64f1",
      path: "vfio_selftests.f.iommufd.a",
      status: "FAIL",
      comment: "0000:01:00.0 f.iommufd.a",
      log_excerpt: "VfioError: xy",
      start_time: "2026-11-22T03:00:00.000Z",
      duration: 0.01,
      environment: {
        comment: "Devices 0000:01:00.0 on the kernel.",
        misc: { mode: "iommufd", device: "0000:01:00.0", kernel: "7.3.4" },
      },
      misc: { command: ["run", "--device=0000:01:00.0"] },
    },
  ]);
});

it("gives the same report the same ids, and another run, device, mode or build others", () => {
  const test = sampleTest("f.iommufd.a");
  const report = sampleReport([test]);
  const others = [
    sampleReport([test], { started: "2026-11-22T04:00:00.000Z" }),
    sampleReport([{ ...test, device: "0000:02:00.0" }]),
    sampleReport([{ ...test, mode: "auto" }]),
    sampleReport([{ ...test, repetition: 2 }]),
  ];
  const { tests } = kcidbReport([report, report, ...others], SOURCE);
  expect(new Set(tests.map(({ id }) => id)).size).toBe(5);
  expect(tests).toHaveLength(5);
  const [other] = kcidbReport([report], { ...SOURCE, build: "maestro:1" }).tests;
  expect(tests.map(({ id }) => id)).not.toContain(other?.id);
});

it("keeps to the schema's patterns, whatever a report says", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });
  const result = fc.record({ id: text, device: text, mode: text, failures: fc.array(text), skip: fc.option(text) });
  fc.assert(
    fc.property(fc.array(result, { maxLength: 5 }), text, (results, target) => {
      const tests = results.map(({ skip, ...fields }, index): JsonTest => {
        const reason = skip === null ? {} : { skip: { reason: skip, remedy: skip }, status: "skipped" as const };
        return { ...sampleTest(`f.iommufd.${index}`), ...fields, ...reason };
      });
      for (const test of kcidbReport([sampleReport(tests, { target: [target], errors: [target] })], SOURCE).tests) {
        expect(test.path).toMatch(/^([a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*)?$/);
        for (const value of [test.comment, test.log_excerpt ?? "", test.environment?.comment ?? ""]) {
          expect(value).not.toContain("\0");
        }
      }
    }),
  );
  const [long] = kcidbReport([sampleReport([failedTest("f.auto.a", "x".repeat(20_000))])], SOURCE).tests;
  expect(long?.log_excerpt).toHaveLength(16_384);
});
