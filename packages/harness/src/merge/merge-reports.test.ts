import fc from "fast-check";
import type { JsonReport } from "../json-report/json-report";
import { parseReport } from "../json-report/read-report";
import { failedTest, sampleReport, sampleTest, skippedTest } from "../json-report/testing/sample-report";
import { shardTests } from "../outcome/shard";
import { mergeReports } from "./merge-reports";

/** A run of the tests in one process. */
const SINGLE = sampleReport([
  sampleTest("f.iommufd.a"),
  failedTest("f.iommufd.b", "VfioError: x"),
  skippedTest("f.auto.a", "no MSI"),
  ...["c", "d", "e", "g", "h"].map((name) => sampleTest(`f.iommufd.${name}`)),
]);
const PLANNED = SINGLE.tests.map(({ id, mode }) => ({ id, mode }));

function time(minute: number): string {
  return new Date(Date.UTC(2026, 10, 22, 3, minute)).toISOString();
}

/** The report of a shard of SINGLE, which began at this minute. */
function shard(index: number, count: number, minute = index, fields: Partial<JsonReport> = {}): JsonReport {
  const own = new Set(shardTests(PLANNED, { index, count }).map(({ id }) => id));
  const tests = fields.tests ?? SINGLE.tests.filter(({ id }) => own.has(id));
  return sampleReport(tests, { started: time(minute), shard: { index, count }, planned: PLANNED, ...fields });
}

function merge(...reports: JsonReport[]): JsonReport {
  return mergeReports(reports.map((report, index) => ({ name: `file-${index + 1}.json`, report })));
}

/** What a reader of a report judges by. */
function verdicts({ tests }: JsonReport): readonly object[] {
  return tests.map(({ id, device, mode, status, skip, failures }) => ({ id, device, mode, status, skip, failures }));
}

function missed({ tests }: JsonReport): readonly string[] {
  return tests.filter(({ failures = [] }) => failures[0]?.startsWith("MISS: ")).map(({ id }) => id);
}

it("all shards make the single run's report", () => {
  const merged = merge(shard(3, 3), shard(1, 3), shard(2, 3));
  expect(verdicts(merged)).toEqual(verdicts(SINGLE));
  expect(merged).toMatchObject({
    totals: SINGLE.totals,
    exitCode: 1,
    kernel: "7.3.4",
    started: time(1),
    durationMs: 3000,
  });
  expect(merged.target).toEqual(SINGLE.target);
});

it("a lost shard's tests are missing, by name, until its report comes", () => {
  const merged = merge(shard(1, 3), shard(3, 3));
  const lost = shardTests(PLANNED, { index: 2, count: 3 });
  expect(lost.length).toBeGreaterThan(1);
  expect(missed(merged)).toEqual(lost.map(({ id }) => id));
  expect(merged.tests.find(({ id }) => id === lost[0]?.id)).toEqual({
    id: lost[0]?.id,
    device: "0000:01:00.0",
    mode: lost[0]?.mode,
    status: "failed",
    durationMs: 0,
    failures: ["MISS: this test has no result: shard 2/3 has no report"],
  });
  expect(merged.exitCode).toBe(1);
  expect(verdicts(merge(merged, shard(2, 3)))).toEqual(verdicts(SINGLE));
});

it("a shard that ended early keeps its results, and the others of it are missing", () => {
  const [first, ...others] = shard(1, 2).tests;
  const merged = merge(shard(1, 2, 1, { tests: [first!] }), shard(2, 2));
  expect(missed(merged)).toEqual(others.map(({ id }) => id));
  expect(merged.tests.find(({ id }) => id === others[0]?.id)?.failures).toEqual([
    "MISS: this test has no result: shard 1/2 ended before it",
  ]);
});

it("of two runs of a shard the later one wins; what it did not get to keeps the earlier result", () => {
  const first = shard(1, 2, 1, {
    tests: shard(1, 2).tests.map(({ id }) => failedTest(id, "early")),
    errors: ["crash"],
  });
  const whole = shard(1, 2, 5);
  const retried = merge(whole, shard(2, 2), first);
  expect(verdicts(retried)).toEqual(verdicts(SINGLE));
  expect(retried.errors).toEqual([]);
  expect(retried.notes).toEqual([`a later run replaces that of shard 1/2 which began at ${time(1)}`]);
  const part = shard(1, 2, 5, { tests: whole.tests.slice(0, 1) });
  const mixed = merge(part, shard(2, 2), first);
  expect(missed(mixed)).toEqual([]);
  expect(mixed.tests.find(({ id }) => id === whole.tests[1]?.id)).toMatchObject({ failures: ["early"] });
  expect(mixed.errors).toEqual(["shard 1/2: crash"]);
});

it("an empty shard is no lost one", () => {
  const count = PLANNED.length + 1;
  const all = Array.from({ length: count }, (_, at) => shard(at + 1, count));
  expect(all.some(({ tests }) => tests.length === 0)).toBe(true);
  expect(verdicts(merge(...all))).toEqual(verdicts(SINGLE));
});

it("repetitions stay apart and keep their order", () => {
  const repeated = (index: number): JsonReport => {
    const once = shard(index, 2);
    const tests = [1, 2].flatMap((repetition) => once.tests.map((test) => ({ ...test, repetition })));
    return shard(index, 2, index, { tests });
  };
  const merged = merge(repeated(2), repeated(1));
  expect(merged.tests.map(({ id, repetition }) => [id, repetition])).toEqual(
    [1, 2].flatMap((repetition) => PLANNED.map(({ id }) => [id, repetition])),
  );
});

it("shards on other machines may have another device, which stays with its tests", () => {
  const elsewhere = shard(2, 2);
  const tests = elsewhere.tests.map((test) => ({ ...test, device: "0000:81:00.0" }));
  const merged = merge(shard(1, 2), shard(2, 2, 2, { tests, device: "0000:81:00.0" }));
  expect(missed(merged)).toEqual([]);
  expect(merged.device).toBeUndefined();
  expect(new Set(merged.tests.map(({ device }) => device))).toEqual(new Set(["0000:01:00.0", "0000:81:00.0"]));
  expect(merge(merged)).toEqual(merged);
});

it.each<[string, JsonReport, JsonReport, RegExp]>([
  [
    "kernels",
    shard(1, 2),
    shard(2, 2, 2, { kernel: "7.4.0" }),
    /file-1.json and file-2.json .* kernel 7.3.4 and 7.4.0/,
  ],
  ["counts", shard(1, 2), shard(2, 3), /number of shards 2 and 3/],
  [
    "tests",
    shard(1, 2),
    shard(2, 2, 2, { planned: [...PLANNED, { id: "g.auto.x", mode: "auto" }] }),
    /only file-2.json has the test g.auto.x/,
  ],
  ["orders", shard(1, 2), shard(2, 2, 2, { planned: [...PLANNED].reverse() }), /another order/],
  [
    "contents of one run",
    shard(1, 2),
    shard(1, 2, 1, { errors: ["x"] }),
    /differ in what they tell of the run of shard 1\/2/,
  ],
  [
    "results of one run",
    shard(1, 2),
    shard(1, 2, 1, { tests: shard(1, 2).tests.map(({ id }) => failedTest(id, "y")) }),
    /differ in what/,
  ],
])("different %s are refused, with a remedy", (_, one, other, message) => {
  expect(() => merge(one, other)).toThrow(message);
  expect(() => merge(one, other)).toThrow(/Remedy: /);
});

it("a report without its time, or with a test that its run does not have, is refused", () => {
  const { started: _started, ...old } = shard(1, 2);
  expect(() => merge(old)).toThrow(/file-1.json does not tell when its run began/);
  expect(() => merge(shard(1, 2, 1, { tests: [sampleTest("x.auto.y")] }))).toThrow(
    /a result of x.auto.y, which is not/,
  );
});

describe("whatever the shards, retries and losses", () => {
  /** Reports of some runs of some shards, each of which got to some of its tests with some result. */
  const reports = fc
    .record({
      count: fc.integer({ min: 1, max: 4 }),
      runs: fc.uniqueArray(
        fc.record({
          index: fc.integer({ min: 1, max: 4 }),
          minute: fc.nat(3),
          got: fc.array(fc.constantFrom("passed", "failed", "lost"), { minLength: 8, maxLength: 8 }),
          errors: fc.array(fc.constantFrom("crash", "oops"), { maxLength: 1 }),
          notes: fc.array(fc.constantFrom("3 did not run"), { maxLength: 1 }),
        }),
        { selector: ({ index, minute }) => `${index} ${minute}`, minLength: 1, maxLength: 6 },
      ),
    })
    .map(({ count, runs }) =>
      runs.map(({ index: any, minute, got, errors, notes }, at) => {
        const index = ((any - 1) % count) + 1;
        const tests = shardTests(PLANNED, { index, count }).flatMap(({ id }, place) => {
          const what = got[place] ?? "lost";
          return what === "lost" ? [] : what === "passed" ? [sampleTest(id)] : [failedTest(id, `run ${at}`)];
        });
        // Two runs of a shard never begin at once.
        const started = new Date(Date.UTC(2026, 10, 22, 3, minute, at)).toISOString();
        return shard(index, count, minute, { tests, errors, started, ...(notes.length > 0 && { notes }) });
      }),
    );

  it("the order of the files does not matter", () => {
    fc.assert(
      fc.property(
        reports.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          expect(merge(...shuffled)).toEqual(merge(...all));
        },
      ),
    );
  });

  it("what is merged already may come again: alone, twice, in parts, or beside its parts", () => {
    fc.assert(
      fc.property(reports, fc.nat(6), (all, cut) => {
        const merged = merge(...all);
        expect(merge(merged)).toEqual(merged);
        expect(merge(...all, ...all)).toEqual(merged);
        expect(merge(merged, ...all)).toEqual(merged);
        const [some, others] = [all.slice(0, cut), all.slice(cut)];
        if (some.length > 0 && others.length > 0) expect(merge(merge(...some), merge(...others))).toEqual(merged);
      }),
    );
  });

  it("every planned test is there once, no result is made up, and the report can be read", () => {
    fc.assert(
      fc.property(reports, (all) => {
        const merged = merge(...all);
        expect(merged.tests.map(({ id }) => id)).toEqual(PLANNED.map(({ id }) => id));
        const given = all.flatMap((report) => report.tests.map((test) => JSON.stringify([report.started, test])));
        for (const { run, ...test } of merged.tests) {
          if (run === undefined) expect(all.flatMap(({ tests }) => tests).map(({ id }) => id)).not.toContain(test.id);
          else expect(given).toContain(JSON.stringify([merged.runs?.[run]?.started, test]));
        }
        expect(parseReport(JSON.stringify(merged), "merged")).toEqual(merged);
      }),
    );
  });
});
