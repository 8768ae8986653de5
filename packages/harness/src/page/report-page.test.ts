import { createHash } from "node:crypto";
import fc from "fast-check";
import { sampleBenchReport } from "../benchmark/testing/sample-bench-report";
import type { JsonReport, JsonTest } from "../json-report/json-report";
import { failedTest, sampleReport, sampleTest, skippedTest } from "../json-report/testing/sample-report";
import { reportPage } from "./report-page";
import { attribute, plainText, ReadPage, textOf } from "./testing/read-page";

function pageOf(...reports: JsonReport[]): ReadPage {
  return new ReadPage(reportPage({ runs: reports.map((report, index) => ({ name: `run-${index + 1}`, report })) }));
}

/** On a day of November. */
function began(day: number): Pick<JsonReport, "started"> {
  return { started: `2026-11-${String(day).padStart(2, "0")}T00:00:00.000Z` };
}

describe("no text of a report breaks out of the markup", () => {
  const ELEMENTS =
    "a article b body br button code details div h1 h2 h3 head header html input label li main meta nav p pre script section small span style summary table tbody td th thead title tr ul wbr";
  const ATTRIBUTES =
    "aria-hidden aria-label aria-labelledby autocomplete charset class colspan content data-copy hidden href http-equiv id lang name open placeholder role scope style tabindex title type";
  const attack = fc.constantFrom(
    ...[
      "</script><script>x()</script>",
      '"><img src=x onerror=x()>',
      "' onclick='x()",
      "</style>",
      "<!--",
      "-->",
      "</title>",
    ],
    ...[
      "</pre></details>",
      "&lt;b&gt;",
      "&#60;",
      "]]>",
      "javascript:x()",
      "\u0000",
      "\u009b",
      "\u2028",
      "\r\n",
      "\ud800",
      "`${x}`",
    ],
  );
  const text = fc
    .array(fc.oneof(attack, fc.string({ unit: "binary" })), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join(""));

  it("the page has only the templates' elements, and shows the text", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        const tests = [
          {
            ...failedTest(`${one}.${other}`, one, `the kernel reported ${other}`),
            device: other,
            mode: one,
            notes: [one, `kernel: ${other}`],
          },
          { ...skippedTest(other, one), mode: other, notes: [`not checked: ${one}`] },
          sampleTest(`f.${one}.x`, { device: one }),
        ];
        const fields = { target: [one, other], kernel: other, command: ["run", one], errors: [one], notes: [other] };
        const runs = [
          {
            name: one,
            report: sampleReport([sampleTest(`${one}.${other}`, { device: other, mode: one })], {
              ...fields,
              ...began(1),
            }),
          },
          { name: `${other} 2`, report: sampleReport(tests, { ...fields, ...began(2) }) },
        ];
        const [figure] = sampleBenchReport().results;
        const [plot] = sampleBenchReport().distributions;
        const measured = { name: one, variant: other, unit: one };
        const report = {
          ...sampleBenchReport({ node: one, cpu: other }),
          results: [{ ...figure!, ...measured }],
          distributions: [{ ...plot!, ...measured }],
        };
        const rows = [{ path: one, shares: [{ title: other, lines: 2, reached: 1 }] }];
        const page = new ReadPage(
          reportPage({
            runs,
            benchmarks: [{ name: other, report }],
            coverages: [{ name: one, facts: [other], folders: rows, files: rows }],
          }),
        );
        expect(page.errors.filter(({ code }) => !["noncharacter-in-input-stream"].includes(code))).toEqual([]);
        expect(page.comments).toBe(0);
        expect(new Set([...page.elements.map(({ tagName }) => tagName), ...ELEMENTS.split(" ")]).size).toBe(
          ELEMENTS.split(" ").length,
        );
        const attributes = page.elements.flatMap(({ attrs }) => attrs.map(({ name }) => name));
        expect(attributes.filter((name) => !ATTRIBUTES.split(" ").includes(name))).toEqual([]);
        for (const link of page.all("a")) expect(attribute(link, "href")).toMatch(/^#[a-z0-9-]+$/);
        const shown = page.all("pre").map((pre) => textOf(pre));
        expect(shown.some((content) => content.includes(visible(one)))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  /** The text as a page can show it. */
  function visible(content: string): string {
    return content
      .replace(/[\ud800-\udfff\u007f-\u009f]/gu, "\ufffd")
      .replace(/\r\n/g, "\n")
      .replace(/[\u0000-\u0008\u000b-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)))
      .replace(/^\n/, "");
  }
});

it("needs no network, and its policy names its one script", () => {
  const page = pageOf(sampleReport([failedTest("f.iommufd.a", "x")]));
  expect(page.all("script")).toHaveLength(1);
  const hash = createHash("sha256")
    .update(textOf(page.all("script")[0]!))
    .digest("base64");
  const policy = page.all("meta").find((meta) => attribute(meta, "http-equiv") === "Content-Security-Policy");
  expect(attribute(policy!, "content")).toContain(
    `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`,
  );
  const loading = page.elements.filter((element) =>
    ["src", "srcset", "data"].some((name) => attribute(element, name) !== undefined),
  );
  expect(loading).toEqual([]);
  expect(page.all("link")).toEqual([]);
});

describe("matrix", () => {
  /** The cells of the suites' tables, a list for each row. */
  function cells(page: ReadPage): readonly (readonly string[])[] {
    const tables = page.all("table", "matrix").map((table) => page.inside(table, "tr"));
    return tables.flatMap((rows) => rows.map((row) => page.inside(row, "th", "td").map(plainText)));
  }

  it("has a column for each kernel, device and mode, and names only what differs", () => {
    const older = [sampleTest("f.iommufd.a"), sampleTest("f.auto.a"), skippedTest("f.iommufd.b", "no")];
    const newer = [failedTest("f.iommufd.a", "x"), sampleTest("f.auto.a", { mode: "auto", device: "0000:02:00.0" })];
    const page = pageOf(sampleReport(older, began(1)), sampleReport(newer, { ...began(2), kernel: "7.4.0" }));
    expect(cells(page)).toEqual([
      ["kernel", "7.3.4", "7.4.0"],
      ["device", "0000:01:00.0", "0000:01:00.0", "0000:02:00.0"],
      ["mode", "iommufd", "auto", "iommufd", "auto"],
      ["a", "ok", "–", "FAIL", "–"],
      ["auto.a", "–", "ok", "–", "ok"],
      ["b", "skip", "–", "–", "–"],
    ]);
    expect(cells(pageOf(sampleReport(older)))[0]).toEqual(["mode", "iommufd", "auto"]);
  });

  it("a failure leads to its card", () => {
    const page = pageOf(sampleReport([sampleTest("f.iommufd.a"), failedTest("f.iommufd.b", "VfioError: x")]));
    const [link] = page.all("td", "failed").flatMap((cell) => page.inside(cell, "a"));
    const target = page.all("article").find((card) => `#${attribute(card, "id")}` === attribute(link!, "href"));
    expect(plainText(target!)).toContain("VfioError: x");
  });

  it("shows the newest run, whatever the order of the files; a failure outweighs other repetitions", () => {
    const failing = sampleReport([failedTest("f.iommufd.a", "x")], began(1));
    const mended = sampleReport([sampleTest("f.iommufd.a")], began(2));
    expect(cells(pageOf(mended, failing))[1]).toEqual(["a", "ok±"]);
    expect(cells(pageOf(failing, mended))[1]).toEqual(["a", "ok±"]);
    const repeated = [1, 2, 3].map((repetition) => ({
      ...(repetition === 2 ? failedTest("f.iommufd.a", "x") : sampleTest("f.iommufd.a")),
      repetition,
    }));
    expect(cells(pageOf(sampleReport(repeated)))[1]).toEqual(["a", "FAIL±"]);
  });
});

describe("difference", () => {
  it("tells new failures first, then what is gone, then what is mended", () => {
    const before = ["a", "b", "c", "d"].map((name) => sampleTest(`f.iommufd.${name}`));
    const after = [
      failedTest("f.iommufd.a", "x"),
      skippedTest("f.iommufd.b", "no"),
      sampleTest("f.iommufd.c"),
      sampleTest("f.iommufd.e"),
    ];
    const text = pageOf(sampleReport(before, began(1)), sampleReport(after, began(2))).section("difference");
    expect(text).toMatch(
      /1 new failure New failures \(1\) passed → failed f.iommufd.a .* skipped now \(1\) passed → skipped f.iommufd.b .* before \(1\) passed → none f.iommufd.d .* New tests \(1\) none → passed f.iommufd.e /,
    );
    expect(text).not.toContain("f.iommufd.c");
  });

  it("a new kernel or another address of the one device is the same test", () => {
    const before = sampleReport([sampleTest("f.iommufd.a")], began(1));
    const after = sampleReport([{ ...failedTest("f.iommufd.a", "x"), device: "0000:09:00.0" }], {
      ...began(2),
      kernel: "8",
    });
    expect(pageOf(before, after).section("difference")).toContain("New failures (1)");
  });

  it("a run is compared with the last one of the same tests on the same devices", () => {
    const one = (device: string): readonly JsonTest[] => [sampleTest("f.iommufd.a", { device })];
    const pair = ["0000:01:00.0", "0000:02:00.0"].flatMap(one);
    const other = ["0000:08:00.0", "0000:09:00.0"].flatMap(one);
    const reports = [pair, other, pair].map((tests, day) => sampleReport(tests, began(day + 1)));
    const text = pageOf(...reports).section("difference");
    expect(text).toBe("Difference run-1 → run-3: no new failures Every test has the same result.");
  });

  it("runs without a common test are not compared", () => {
    const reports = [
      sampleReport([sampleTest("f.iommufd.a")], began(1)),
      sampleReport([sampleTest("g.x.a")], began(2)),
    ];
    expect(pageOf(...reports).section("difference")).toContain("no two runs with the same tests");
  });
});

describe("flaky tests", () => {
  it("are those that passed and failed on one kernel; a new kernel is another matter", () => {
    const failing = (day: number, kernel = "7.3.4"): JsonReport =>
      sampleReport([failedTest("f.iommufd.a", "x"), sampleTest("f.iommufd.b")], { ...began(day), kernel });
    const good = (day: number): JsonReport =>
      sampleReport([sampleTest("f.iommufd.a"), sampleTest("f.iommufd.b")], began(day));
    const flaky = pageOf(good(1), failing(2), good(3)).section("flaky");
    expect(flaky).toContain("f.iommufd.a");
    expect(flaky).toContain("1 of 3 ✓✗✓");
    expect(flaky).not.toContain("f.iommufd.b");
    expect(pageOf(good(1), good(2), failing(3, "7.4")).section("flaky")).toContain("No test both passed and failed");
  });
});

describe("failures", () => {
  it("tell errno, ioctl, the kernel's log, notes, and the command that repeats them", () => {
    const test = {
      ...failedTest(
        "f.iommufd.a",
        "VfioError: IOMMU_IOAS_MAP failed on 0000:01:00.0: EBUSY, not ENOSUCH",
        "the kernel reported WARNING:\nCall Trace:",
      ),
      notes: ["kernel: DMAR: fault addr 0x1000", "seed 5"],
    };
    const page = pageOf(sampleReport([test], { command: ["lab", "run", "--device=igb", "--append=a b"] }));
    const [card] = page.all("article");
    expect(page.all("span", "tag").map(plainText)).toEqual(["EBUSY", "IOMMU_IOAS_MAP"]);
    expect(page.inside(card!, "pre").map(textOf)).toEqual([
      "VfioError: IOMMU_IOAS_MAP failed on 0000:01:00.0: EBUSY, not ENOSUCH",
      "the kernel reported WARNING:\nCall Trace:\nDMAR: fault addr 0x1000",
      "vfio-selftests lab run --device=igb '--append=a b' -r f.iommufd.a",
    ]);
    expect(plainText(card!)).toContain("Notes seed 5");
  });

  it("of equal text are one card with all places", () => {
    const page = pageOf(
      sampleReport([failedTest("f.iommufd.a", "x"), failedTest("f.auto.a", "x"), failedTest("g.auto.a", "y")]),
    );
    expect(page.all("article")).toHaveLength(2);
    expect(plainText(page.all("article")[0]!)).toContain("-r f.iommufd.a \\ -r f.auto.a");
  });
});

it("skips of one reason are one group with its remedy, the largest first", () => {
  const tests = [
    skippedTest("f.auto.a", "no MSI"),
    skippedTest("f.auto.b", "one device"),
    skippedTest("g.auto.a", "one device"),
  ];
  expect(pageOf(sampleReport(tests)).section("skips")).toMatch(
    /^Skips 2 tests: one device Remedy: mend one device .*f.auto.b.*g.auto.a.* 1 test: no MSI Remedy: mend no MSI/,
  );
});

it("durations tell suites and single tests, the longest first", () => {
  const tests = [
    sampleTest("f.auto.a", { durationMs: 1500 }),
    sampleTest("f.auto.b"),
    sampleTest("g.auto.a", { durationMs: 9000 }),
  ];
  expect(pageOf(sampleReport(tests)).section("durations")).toMatch(
    /Suites .*g 1 9\.0 s f 2 1\.5 s .*slowest .*g\.auto\.a.*f\.auto\.a.*f\.auto\.b/,
  );
});

it("errors outside any test and a run without tests are there", () => {
  const page = pageOf(
    sampleReport([], { errors: ["the kernel reported after all: BUG"], notes: ["3 of 3 tests did not run"] }),
  );
  expect(page.section("runs")).toContain("the kernel reported after all: BUG");
  expect(page.section("runs")).toContain("3 of 3 tests did not run");
  expect(plainText(page.all("title")[0]!)).toContain("nothing ran");
});

describe("benchmarks", () => {
  const slower = sampleBenchReport({
    results: [{ ...sampleBenchReport().results[0]!, typescript: { min: 16, median: 32, max: 64, runs: 7 } }],
  });
  const page = new ReadPage(
    reportPage({
      benchmarks: [
        { name: "before", report: sampleBenchReport() },
        { name: "after", report: slower },
      ],
    }),
  );

  /** The numbers of an element's style: `--at` and its like. */
  function places(element: Parameters<typeof attribute>[0]): Readonly<Record<string, number>> {
    const parts = (attribute(element, "style") ?? "").split(";").map((part) => part.split(":"));
    return Object.fromEntries(parts.map(([name = "", value = ""]) => [name.slice(2), Number(value)]));
  }

  it("tell figures and goals of all files on one scale, C beside TypeScript", () => {
    expect(page.section("benchmarks")).toMatch(
      /register read TypeScript · ioat · host · before 8\.00 \(4\.00–16\.00\) µs TS\/C 4\.00 ≤ 3 MISSED register read C · ioat · host · before 2\.00 .* after 32\.00 \(16\.00–64\.00\) µs TS\/C 16\.00/,
    );
    const [first, c, second] = page.all("span", "range").map(places);
    // From 1 to 64 µs: six doublings.
    expect(first).toEqual({ from: 0.333, at: 0.5, to: 0.667 });
    expect(c).toEqual({ from: 0, at: 0.167, to: 0.333 });
    expect(second).toEqual({ from: 0.667, at: 0.833, to: 1 });
  });

  it("have a histogram for each distribution and file, with percentiles", () => {
    const plots = page.all("div", "histogram");
    expect(plots.map((plot) => attribute(plot, "aria-label"))).toEqual(
      Array(2).fill("Histogram of 13 events: p50 8.00 µs, p90 16.00 µs, p99 16.00 µs, max 16.00 µs"),
    );
    const columns = page.inside(plots[0]!, "span").filter((one) => attribute(one, "class") === "column");
    expect(columns.map((column) => places(column))).toEqual([
      { at: 0, wide: 0.3333, share: 0.125 },
      { at: 0.3333, wide: 0.3333, share: 1 },
      { at: 0.6667, wide: 0.3333, share: 0.5 },
    ]);
    const marks = page.inside(plots[0]!, "span").filter((one) => attribute(one, "class")?.startsWith("mark "));
    expect(marks.map((mark) => [plainText(mark), places(mark)["at"]])).toEqual([
      ["p50", 0.6667],
      ["p90", 1],
      ["p99", 1],
    ]);
  });

  it("without a run there are no tests, and nothing says that none ran", () => {
    expect(plainText(page.all("title")[0]!)).toBe("vfio-selftests: 2 files");
    expect(page.all("section").map((section) => attribute(section, "id"))).toEqual(["benchmarks"]);
    expect(page.all("script")).toEqual([]);
  });
});

it("coverage tells folders and files, a share for each kind of run", () => {
  const shares = (tests: number, commands: number): { title: string; lines: number; reached: number }[] => [
    { title: "tests", lines: 8, reached: tests },
    { title: "commands", lines: 8, reached: commands },
  ];
  const page = new ReadPage(
    reportPage({
      coverages: [
        {
          name: "database",
          facts: ["Machines: igb+intel"],
          folders: [{ path: "drivers/vfio", shares: shares(6, 3) }],
          files: [{ path: "drivers/vfio/group.c", shares: shares(6, 0) }],
        },
      ],
    }),
  );
  expect(page.section("coverage")).toMatch(
    /Machines: igb\+intel linestestscommands drivers\/vfio 8 75\.0 %, 637\.5 %, 3 Files \(1\) .*group\.c 8 75\.0 %, 60\.0 %, 0$/,
  );
});
