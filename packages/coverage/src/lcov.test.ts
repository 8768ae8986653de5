import type { Coverage } from "./file-coverage";
import { lcovTrace, parseLcov } from "./lcov";

const COVERAGE: Coverage = new Map([
  [
    "drivers/a.c",
    {
      lines: new Map([
        [3, 0],
        [4, 12],
      ]),
      functions: new Map([["f", { line: 3, lastLine: 4, count: 0 }]]),
    },
  ],
  ["virt/b.c", { lines: new Map([[1, 1]]), functions: new Map() }],
]);

it("what is written is read, below its tree", () => {
  const read = parseLcov(lcovTrace(COVERAGE, "/linux"));
  expect([...read.keys()]).toEqual(["/linux/drivers/a.c", "/linux/virt/b.c"]);
  expect([...read.values()].map(({ lines }) => [...lines])).toEqual([
    [
      [3, 0],
      [4, 12],
    ],
    [[1, 1]],
  ]);
});

it("records of other tools are read: checksums, branches, Windows' line ends, several records of a file, counts below 0", () => {
  const text =
    "TN:x\r\nSF:a.c\r\nFN:1,f\r\nBRDA:1,0,0,-\r\nDA:1,2,abc=\r\nDA:2,-1\r\nend_of_record\r\nSF:a.c\r\nDA:1,3\r\nend_of_record\r\n";
  expect([...(parseLcov(text).get("a.c")?.lines ?? [])]).toEqual([
    [1, 5],
    [2, 1],
  ]);
});

it.each([
  ["a line of no kind", "TN:\nSF:a.c\nDA:x,1\nend_of_record\n", "line 3 is no line of an lcov tracefile here: DA:x,1"],
  ["a count without a file", "TN:\nDA:1,1\n", "line 2 "],
  ["a file that is cut off", "TN:\nSF:a.c\nDA:1,1\n", "it ends within the record of a.c"],
  ["nothing", "TN:\n", "it has no record of a file"],
])("refuses %s", (_, text, message) => {
  expect(() => parseLcov(text)).toThrow(message);
});
