import { findReports } from "./splat-reports";
import { SPLATS } from "./splats";
import { HARMLESS_LINES, RECORDED_LOGS } from "./testing/recorded-logs";

test.each(Object.entries(RECORDED_LOGS))("%s is found whole, among lines that mean nothing", (name, lines) => {
  const around = [...HARMLESS_LINES, ...lines, ...HARMLESS_LINES];
  expect(findReports(around)).toEqual([
    {
      name,
      source: expect.any(String) as string,
      lines: lines.slice(lines[0] === "" ? 1 : 0),
      open: false,
    },
  ]);
});

test("lines that mean nothing are no report", () => {
  expect(findReports(HARMLESS_LINES)).toEqual([]);
});

test("all of them one after the other are all found, in order", () => {
  const logs = Object.entries(RECORDED_LOGS);
  expect(findReports(logs.flatMap(([, lines]) => lines)).map(({ name }) => name)).toEqual(logs.map(([name]) => name));
});

test("a report that is cut off is open", () => {
  for (const [name, lines] of Object.entries(RECORDED_LOGS)) {
    if (lines.length < 4) continue;
    const report = findReports(lines.slice(0, -1)).at(-1);
    expect({ name: report?.name, open: report?.open }).toEqual({ name, open: true });
  }
});

test("a report of a kind that nobody knows is one, too", () => {
  const lines = ["------------[ cut here ]------------", "the cake is a lie", "---[ end trace 0000000000000000 ]---"];
  expect(findReports(lines)).toMatchObject([{ name: "report", lines: lines.slice(0, 3) }]);
});

test("a new report ends one whose end did not come", () => {
  const cut = "------------[ cut here ]------------";
  const lines = [cut, "WARNING: a.c:1 at f, CPU#0: x/1", cut, "WARNING: b.c:2 at g, CPU#0: x/1"];
  expect(findReports(lines).map((report) => report.lines)).toEqual([lines.slice(0, 2), lines.slice(2)]);
});

test("every kind of the table has a recorded report, or is another's neighbour", () => {
  const without = SPLATS.filter(({ name }) => RECORDED_LOGS[name] === undefined).map(({ name }) => name);
  expect(without).toEqual([
    "KFENCE",
    "KMSAN",
    "lockdep: lock misuse",
    "lockdep",
    "lockdep: key",
    "kernel BUG",
    "oops",
    "BUG",
  ]);
});
