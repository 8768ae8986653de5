import { fileShares, folderShares, functionShares, shareTable } from "./coverage-table";
import { mergeCoverage } from "./file-coverage";
import { gcovCoverage, parseGcovOutput } from "./gcov-json";
import { coveragePage } from "./html-page";
import { lcovTrace } from "./lcov";

/** What gcov 12 says of an object in a build folder outside of the tree, without what we do not read. */
function gcovLine(counts: { never: number; inlined: number }): string {
  return JSON.stringify({
    format_version: "1",
    current_working_directory: "/build",
    data_file: "drivers/vfio/a.gcda",
    files: [
      {
        file: "/tree/drivers/vfio/a.c",
        functions: [
          { name: "never", start_line: 3, end_line: 6, execution_count: counts.never },
          { name: "main", start_line: 8, end_line: 9, execution_count: 1 },
        ],
        lines: [
          { line_number: 3, count: counts.never, function_name: "never" },
          { line_number: 8, count: 1, function_name: "main" },
          // A macro that makes two functions in one line
          { line_number: 9, count: 1, function_name: "main" },
          { line_number: 9, count: 4, function_name: "get_1" },
        ],
      },
      {
        file: "/build/../tree/drivers/vfio/h.h",
        functions: [{ name: "twice<", start_line: 1, end_line: 6, execution_count: counts.inlined }],
        lines: [{ line_number: 3, count: counts.inlined }],
      },
      { file: "include/generated/asm.h", functions: [], lines: [{ line_number: 1, count: 1 }] },
      { file: "/tree/include/linux/list.h", functions: [], lines: [{ line_number: 1, count: 1 }] },
    ],
  });
}

const isWanted = (path: string): boolean => path.startsWith("drivers/vfio/");
const coverage = mergeCoverage(
  parseGcovOutput(`${gcovLine({ never: 0, inlined: 0 })}\n${gcovLine({ never: 0, inlined: 7 })}\n`).map((document) =>
    gcovCoverage(document, "/tree", isWanted),
  ),
);

test("files are known by their paths in the tree; others and generated ones are left out", () => {
  expect([...coverage.keys()]).toEqual(["drivers/vfio/a.c", "drivers/vfio/h.h"]);
});

test("the counts of a line are added: over functions, over objects that include a header", () => {
  expect([...(coverage.get("drivers/vfio/a.c")?.lines ?? [])]).toEqual([
    [3, 0],
    [8, 2],
    [9, 10],
  ]);
  expect(coverage.get("drivers/vfio/h.h")?.lines.get(3)).toBe(7);
  expect(coverage.get("drivers/vfio/h.h")?.functions.get("twice<")).toEqual({ line: 1, lastLine: 6, count: 7 });
});

test("the table counts lines by file, folder and function", () => {
  const files = fileShares(coverage);
  expect(files).toEqual([
    { name: "drivers/vfio/a.c", lines: 3, reached: 2 },
    { name: "drivers/vfio/h.h", lines: 1, reached: 1 },
  ]);
  expect(folderShares(files)).toEqual([{ name: "drivers/vfio", lines: 4, reached: 3 }]);
  expect(functionShares(coverage.get("drivers/vfio/a.c")!)).toEqual([
    { name: "never", lines: 1, reached: 0 },
    { name: "main", lines: 2, reached: 2 },
  ]);
  expect(shareTable({ title: "reached", shares: files })).toBe(
    "                  lines  reached\ndrivers/vfio/a.c      3        2   66.7 %\ndrivers/vfio/h.h      1        1  100.0 %\n",
  );
});

test("the tracefile has what lcov reads", () => {
  expect(lcovTrace(coverage, "/tree").split("end_of_record\n")[0]).toBe(
    [
      "TN:",
      "SF:/tree/drivers/vfio/a.c",
      "FN:3,6,never",
      "FN:8,9,main",
      "FNDA:0,never",
      "FNDA:2,main",
      "FNF:2",
      "FNH:1",
      "DA:3,0",
      "DA:8,2",
      "DA:9,10",
      "LF:3",
      "LH:2",
      "",
    ].join("\n"),
  );
});

test("the page holds the sources with what ran, and needs nothing else", () => {
  const readSource = (path: string): string | undefined =>
    path.endsWith("a.c") ? "\n\nif (a < b) never();\n" : undefined;
  const page = coveragePage(coverage, { title: "Linux <7>", facts: ["2 tests"], readSource });
  expect(page).toContain("<title>Linux &lt;7&gt;</title>");
  expect(page).toMatch(/<span class="miss">.*3 .*0 .*if \(a &lt; b\) never\(\);<\/span>/);
  expect(page).toContain("The source is not there any more.");
  expect(page).not.toMatch(/(src|href)="(?!#)/);
});
