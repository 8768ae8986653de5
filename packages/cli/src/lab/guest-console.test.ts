import { JUMP_MARK } from "@vfio-selftests/lab";
import { parseConsole } from "./guest-console";

const WARN = [
  "------------[ cut here ]------------",
  "WARNING: a.c:1 at f, CPU#0: node/1",
  "---[ end trace 0000000000000000 ]---",
];
const BEGIN = "vfio-selftests: run begins";
const END = "vfio-selftests: run ends";

function consoleOf(...lines: string[]): string {
  return lines.map((line, index) => `[    ${index}.000000] ${line}\r\n`).join("");
}

function told(...lines: string[]): string[] {
  return parseConsole(consoleOf(...lines)).reports.map(({ when, report }) => `${report.name} ${when}`);
}

test("what a run in the guest has looked at is not told again", () => {
  expect(told(...WARN, BEGIN, "vfio-selftests: test a.b", ...WARN, END)).toEqual([]);
});

test("what comes after the run is told", () => {
  const lines = [BEGIN, "vfio-selftests: test a.b", ...WARN, END, ...WARN, "reboot: Power down"];
  expect(told(...lines)).toEqual(["WARNING after the last test, a.b"]);
});

test("where the run did not come to its end, the report is the running test's", () => {
  const lines = [
    BEGIN,
    "vfio-selftests: test a.b",
    ...WARN,
    "vfio-selftests: test a.c",
    "Kernel panic - not syncing: x",
  ];
  expect(told(...lines)).toEqual(["panic while a.c ran"]);
});

test("without a run all is told", () => {
  expect(told(...WARN, "hello")).toEqual(["WARNING during the command"]);
});

test("the tests that failed are the console's to tell the host", () => {
  const lines = ["vfio-selftests: test a.b", "vfio-selftests: failed a.b", "vfio-selftests: test a.c"];
  expect(parseConsole(consoleOf(...lines)).failed).toEqual(["a.b"]);
});

test("a time stamp with the caller is none of the line", () => {
  const console = WARN.map((line) => `[    1.000000][  T123] ${line}\n`).join("");
  expect(parseConsole(console).reports[0]?.report.lines).toEqual(WARN);
});

test("each of two kernels has its reports, after the end of the run on it", () => {
  const run = [BEGIN, "vfio-selftests: test a.b", END];
  expect(told(...run, ...WARN, JUMP_MARK, ...run, ...WARN)).toEqual([
    "WARNING after the last test, a.b",
    "WARNING after the last test, a.b",
  ]);
});
