import fc from "fast-check";
import type { RunOutcome } from "../outcome/run-outcome";
import { exitCodeOf } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { REPORT_FORMATS, type ReportFormatName } from "./formats";
import type { RunPlan } from "./report-format";
import { wrapLine } from "./wrap-line";

function outcome(titles: string[], fields: Partial<TestOutcome> = {}): TestOutcome {
  const none = { skip: undefined, failures: [], notes: [] };
  return { ...identify(titles), status: "passed", durationMs: 12, ...none, ...fields };
}

const NO_HUGE_PAGES = { reason: "no free 1 GiB huge page", remedy: "reserve one" };
const RUN: RunOutcome = {
  tests: [
    outcome(["vfio_dma_mapping_test", "vfio_type1_iommu_anonymous", "dma_map_unmap"]),
    outcome(["vfio_dma_mapping_test", "iommufd_anonymous", "dma_map_unmap"], { notes: ["not checked: page size: x"] }),
    outcome(["vfio_dma_mapping_test", "iommufd_anonymous_hugetlb_1gb", "dma_map_unmap"], {
      status: "skipped",
      skip: NO_HUGE_PAGES,
    }),
    outcome(["vfio_cdev", "bind"], { status: "failed", failures: ["Error: <EBUSY> & so on\nsecond line"] }),
  ],
  errors: [],
  durationMs: 1234,
};

const PLAN: RunPlan = {
  headline: ["Device 0000:01:00.0"],
  size: { tests: 4, cases: 4 },
  defaultMode: "iommufd",
  device: "0000:01:00.0",
};

function report(
  name: ReportFormatName,
  run = RUN,
  plan = PLAN,
  interactive = false,
  columns?: number,
  colour = false,
): string {
  let text = "";
  const format = REPORT_FORMATS[name]({ write: (part) => (text += part), interactive, columns, colour }, plan);
  for (const test of run.tests) {
    format.started?.(test);
    format.finished?.(test);
  }
  format.end(run);
  return text;
}

describe("tap", () => {
  it("has the lines of the C harness", () => {
    expect(report("tap").split("\n")).toEqual([
      "TAP version 13",
      "1..4",
      "# Starting 4 tests from 4 test cases.",
      "# Device 0000:01:00.0",
      "#  RUN           vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap ...",
      "#            OK  vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap",
      "ok 1 vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap",
      "#  RUN           vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap ...",
      "# not checked: page size: x",
      "#            OK  vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap",
      "ok 2 vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap",
      "#  RUN           vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap ...",
      "#      SKIP      no free 1 GiB huge page (remedy: reserve one)",
      "#            OK  vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap",
      "ok 3 vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap # SKIP no free 1 GiB huge page (remedy: reserve one)",
      "#  RUN           vfio_cdev.bind ...",
      "# Error: <EBUSY> & so on",
      "# second line",
      "#          FAIL  vfio_cdev.bind",
      "not ok 4 vfio_cdev.bind",
      "# FAILED: 3 / 4 tests passed.",
      "# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0",
      "",
    ]);
  });

  it("gives the plan at the end when nobody counted", () => {
    const lines = report("tap", RUN, { ...PLAN, size: undefined }).split("\n");
    expect(lines).toContain("1..4");
    expect(lines.indexOf("1..4")).toBeGreaterThan(lines.indexOf("not ok 4 vfio_cdev.bind"));
  });

  it("names the device where it changes", () => {
    const tests = ["0000:01:00.0", "0000:02:00.0"].map((device) => outcome([device, "vfio_cdev", "bind"]));
    const text = report("tap", { ...RUN, tests });
    expect(text.match(/^# device .*$/gm)).toEqual(["# device 0000:01:00.0", "# device 0000:02:00.0"]);
    expect(text).toContain("\nok 2 vfio_cdev.bind\n");
  });
});

describe("default", () => {
  it("tells each test, the skips with remedy, the notes, the tables and the totals last", () => {
    expect(report("default")).toBe(`Device 0000:01:00.0
ok   vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap (12 ms)
ok   vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap (12 ms)
skip vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap (12 ms)
FAIL vfio_cdev.bind (12 ms)
     Error: <EBUSY> & so on
     second line

Skipped
  vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap: no free 1 GiB huge page
    remedy: reserve one

Notes
  vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap: not checked: page size: x

By mode
  1  vfio_type1_iommu  1 passed, 0 failed, 0 skipped
  2  iommufd           1 passed, 1 failed, 1 skipped

By suite                 passed  failed  skipped   time  12
  vfio_dma_mapping_test       2       -        1  36 ms  ..
  vfio_cdev                   -       1        -  12 ms  -F
  (by mode: . passed, F failed, s skipped, - no test)

Failed
  vfio_cdev.bind
    Error: <EBUSY> & so on

Took 1.2 s.
2 passed, 1 failed, 1 skipped
`);
  });

  it("with -v shows every test, id and note", () => {
    const skipped = { status: "skipped", skip: NO_HUGE_PAGES } as const;
    const many = Array.from({ length: 12 }, (_, index) =>
      outcome(["f", `many_${index}`], { notes: [`note ${index}`] }),
    );
    const tests = [...RUN.tests, ...["a", "b"].map((name) => outcome(["f", name], skipped)), ...many];
    const brief = report("default", { ...RUN, tests });
    expect(brief).toContain("  … 2 more notes (-v shows them)\n");
    expect(brief).not.toMatch(/^ *f\.b$|f\.b +-|note 11/m);
    const text = report("default", { ...RUN, tests }, { ...PLAN, verbose: true });
    expect(text).toContain("  f.many_11: note 11\n");
    expect(text).toMatch(/: no free 1 GiB huge page\n {4}remedy: reserve one\n(?: {6}\S+\n)* {6}f\.b\n/);
    expect(text).toContain(`
Device 0000:01:00.0                                          1     2
  vfio_dma_mapping_test.anonymous.dma_map_unmap              ok    ok
  vfio_dma_mapping_test.anonymous_hugetlb_1gb.dma_map_unmap  -     skip
  vfio_cdev.bind                                             -     FAIL
`);
    expect(report("default", RUN, { ...PLAN, verbose: true }, true)).toContain("\u001b[Kok   vfio_dma_mapping_test.");
  });

  it("tells failures of one reason once, the most frequent first, and not more than ten ids", () => {
    const failing = (name: string, failure: string): TestOutcome =>
      outcome(["f", name], { status: "failed", failures: [failure] });
    const equal = "Error: expect(received).toBe(expected)\n\nExpected: 1\nReceived: 2\n    at x.ts";
    const tests = [
      failing("lone", "VfioError: EBUSY\n  Remedy: y"),
      ...Array.from({ length: 12 }, (_, index) => failing(`many_${index}`, equal)),
    ];
    const text = report("default", { ...RUN, tests });
    expect(text).toContain(`Failed
${Array.from({ length: 10 }, (_, index) => `  f.many_${index}\n`).join("")}  … and 2 more (-v shows them)
    12 tests: Error: expect(received).toBe(expected); Expected: 1; Received: 2
  f.lone
    VfioError: EBUSY

Took`);
  });

  it("sums up by device where there are several", () => {
    const tests = ["0000:01:00.0", "0000:02:00.0"].map((device) => outcome([device, "f", "a"]));
    const text = report("default", { ...RUN, tests }, { ...PLAN, device: undefined });
    expect(text).toContain("By device\n  0000:01:00.0  1 passed, 0 failed, 0 skipped\n  0000:02:00.0  1 passed");
    expect(text).toMatch(/^ {2}f {9,}2 /m);
  });

  it("tells skips of one reason once", () => {
    const skipped = { status: "skipped", skip: NO_HUGE_PAGES } as const;
    const tests = ["a", "b", "c"].map((name) => outcome(["fixture", name], skipped));
    const text = report("default", { ...RUN, tests });
    expect(text).toContain("  3 tests (fixture.a, …): no free 1 GiB huge page\n    remedy: reserve one\n");
  });

  it("on a terminal leaves no line of a passed or skipped test behind", () => {
    const tests = [
      outcome(["fixture", "good"]),
      outcome(["fixture", "other"], { status: "skipped", skip: NO_HUGE_PAGES }),
    ];
    const text = report("default", { ...RUN, tests }, PLAN, true);
    expect(text).toContain("1/4: fixture.good\r\u001b[K");
    expect(text).not.toMatch(/ok +fixture.good \(|skip +fixture.other \(/);
  });

  it("in colour has the same columns, and each word in its status's colour", () => {
    const verbose = { ...PLAN, verbose: true };
    const text = report("default", RUN, verbose, false, undefined, true);

    expect(text.replace(/\u001b\[\d+m/g, "")).toBe(report("default", RUN, verbose));
    const sgr = (code: number) => (part: string) => `\u001b[${code}m${part}\u001b[39m`;
    const [red, green, yellow] = [sgr(31), sgr(32), sgr(33)];
    expect(text).toContain(`${red("FAIL")} vfio_cdev.bind (12 ms)\n`);
    expect(text).toContain(`${green("ok  ")} vfio_dma_mapping_test.`);
    expect(text).toContain(`${yellow("skip")} vfio_dma_mapping_test.`);
    expect(text).toContain(`vfio_cdev.bind                                             -     ${red("FAIL")}\n`);
    expect(text).toContain(`-  ${red("     1")}        -  12 ms  -${red("F")}\n`);
    expect(text).toContain("\u001b[1mSkipped\u001b[22m\n");
    const totals = [green("2 passed"), red("1 failed"), yellow("1 skipped")].join(", ");
    expect(text.endsWith(`\n${totals}\n`)).toBe(true);
    // What did not happen has no colour.
    expect(text).toContain(`${green("1 passed")}, 0 failed, 0 skipped\n`);
  });

  it.each(["tap", "ktap", "json", "junit"] as const)("%s is for programs, and has no colour", (format) => {
    expect(report(format, RUN, PLAN, false, undefined, true)).not.toContain("\u001b[");
  });
});

describe("json", () => {
  it("holds every test with its dimensions, and the exit code", () => {
    const parsed = JSON.parse(report("json")) as { tests: object[]; totals: object; exitCode: number };
    expect(parsed.totals).toEqual({ passed: 2, failed: 1, skipped: 1 });
    expect(parsed.exitCode).toBe(1);
    expect(parsed.tests[2]).toEqual({
      id: "vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap",
      device: "0000:01:00.0",
      mode: "iommufd",
      status: "skipped",
      durationMs: 12,
      skip: NO_HUGE_PAGES,
    });
    expect(parsed).toMatchObject({ version: 1, device: "0000:01:00.0" });
    expect(parsed).not.toHaveProperty("planned");
    expect(parsed.tests[3]).toMatchObject({ mode: "iommufd", failures: ["Error: <EBUSY> & so on\nsecond line"] });
  });
});

describe("json of a part of a run", () => {
  const all = [...RUN.tests, outcome(["0000:02:00.0", "vfio_cdev", "unbind"])];
  it.each<[string, RunPlan["size"]]>([
    ["shard", { tests: 4, cases: 4, all: RUN.tests, unsharded: all }],
    ["run that ended early", { tests: 5, cases: 5, all }],
  ])("of a %s names the tests of the whole run", (_, size) => {
    const plan = { ...PLAN, size, shard: { index: 1, count: 2 }, kernel: "7.3.4", command: ["run"] };
    const parsed = JSON.parse(report("json", RUN, plan)) as { planned: object[] };
    expect(parsed).toMatchObject({ shard: { index: 1, count: 2 }, kernel: "7.3.4", command: ["run"] });
    expect(parsed.planned).toHaveLength(5);
    expect(parsed.planned[3]).toEqual({ id: "vfio_cdev.bind", mode: "iommufd" });
    expect(parsed.planned[4]).toEqual({ id: "vfio_cdev.unbind", device: "0000:02:00.0", mode: "iommufd" });
  });
});

describe("junit", () => {
  it("escapes, and tells skips, failures and notes", () => {
    const text = report("junit");
    expect(text).toContain('name="0000:01:00.0 vfio_cdev" tests="1" failures="1" errors="0" skipped="0"');
    expect(text).toContain('<failure type="Error" message="Error: &lt;EBUSY&gt; &amp; so on">');
    expect(text).toContain('<skipped message="no free 1 GiB huge page (remedy: reserve one)"/>');
    expect(text).toContain("<system-out>dma_map_unmap: not checked: page size: x</system-out>");
  });
});

describe("what belongs to no test is in every format", () => {
  const run: RunOutcome = {
    ...RUN,
    tests: [{ ...outcome(["vfio_cdev", "bind"]), repetition: 2 }],
    errors: ["the kernel reported between a and b: WARNING:\n<line 2>"],
    notes: ["3 of 4 tests did not run"],
  };
  it.each<[ReportFormatName, string[]]>([
    [
      "default",
      ["vfio_cdev.bind #2", "Outside any test\n  the kernel reported between", "  <line 2>", "  3 of 4 tests did"],
    ],
    ["tap", ["# repetition 2\n", "# outside any test: the kernel reported between", "# <line 2>\n", "# 3 of 4 tests"]],
    [
      "json",
      ['"repetition": 2', "the kernel reported between a and b: WARNING:\\n<line 2>", '"3 of 4 tests did not run"'],
    ],
    [
      "junit",
      [
        'name="bind #2"',
        '<testcase classname="outside any test" name="1"',
        '<error type="error" message="the kernel reported between a and b: WARNING:">',
        "&lt;line 2&gt;</error>",
        "<!-- 3 of 4 tests did not run -->",
      ],
    ],
  ])("%s", (format, parts) => {
    const text = report(format, run);
    for (const part of parts) expect(text).toContain(part);
  });

  it("in a table one failure of a repeated test outweighs its passes", () => {
    const tests = [
      outcome(["f", "a"]),
      outcome(["f", "a"], { status: "failed", failures: ["x"] }),
      outcome(["f", "a"]),
    ];
    expect(report("default", { ...RUN, tests }, { ...PLAN, verbose: true })).toMatch(/^ {2}f\.a +FAIL$/m);
  });
});

describe("exit code", () => {
  const [passed, , skipped, failed] = RUN.tests as [TestOutcome, TestOutcome, TestOutcome, TestOutcome];
  it.each([
    ["0 when something passed and nothing failed", [passed, skipped], [], 0],
    ["1 when a test failed", [passed, failed], [], 1],
    ["1 when something went wrong outside any test", [passed], ["file did not load"], 1],
    ["4 when everything was skipped", [skipped], [], 4],
    ["4 when nothing ran", [], [], 4],
  ])("is %s", (_, tests, errors, code) => {
    expect(exitCodeOf({ ...RUN, tests, errors })).toBe(code);
  });
});

test("a line that is overwritten does not wrap", () => {
  const lines = report("default", RUN, PLAN, true, 40).split("\r\u001b[K");
  expect(lines).toContain("1/4: vfio_dma_mapping_test.vfio_type1_i");
  expect(report("default", RUN, PLAN, true).split("\r\u001b[K")).toContain(
    "1/4: vfio_dma_mapping_test.vfio_type1_iommu_anonymous.dma_map_unmap",
  );
});

describe("the summary on a terminal", () => {
  const name = fc.stringMatching(/^[a-z_]{1,70}$/);
  const tests = fc.array(
    fc.record({
      titles: fc.tuple(name, fc.constantFrom("iommufd", "vfio_type1_iommu", "vfio-user", "other"), name),
      status: fc.constantFrom("passed" as const, "failed" as const, "skipped" as const),
      durationMs: fc.nat(1e9),
    }),
    { maxLength: 20 },
  );

  it("fits 80 columns, but for words that are longer", () => {
    fc.assert(
      fc.property(tests, fc.string({ maxLength: 300 }), (given, text) => {
        const words = { reason: text, remedy: text };
        const all = given.map(({ titles, status, durationMs }) =>
          outcome(titles, {
            ...{ status, durationMs, notes: [text], failures: status === "failed" ? [text] : [] },
            skip: status === "skipped" ? words : undefined,
          }),
        );
        const summary =
          report("default", { ...RUN, tests: all, errors: [] }, PLAN, true, 80)
            .split("\u001b[K")
            .at(-1) ?? "";
        const tooLong = summary.split("\n").filter((line) => line.length > 80);
        for (const line of tooLong) expect(line.trimStart()).not.toMatch(/ /);
      }),
    );
  });

  it("loses no word where it breaks lines", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 10, max: 100 }), (text, columns) => {
        const lines = wrapLine(`  ${text}`, columns);
        const words = (value: string): readonly string[] => value.split(" ").filter((word) => word !== "");
        expect(lines.flatMap(words)).toEqual(words(text));
        for (const [index, line] of lines.entries()) {
          expect(line.startsWith(index === 0 ? "  " : "    ")).toBe(true);
          if (line.length > columns) expect(words(line).length).toBeLessThan(2);
        }
      }),
    );
  });
});
