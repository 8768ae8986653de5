import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "../outcome/test-identity";
import { RunReport } from "./run-report";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "run-report-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What is in the file that held an earlier report, after a run that chose these tests and ran none. */
function afterRunOf(size: { all: string[]; unsharded?: string[] }, error?: string): string {
  const file = join(folder, "report.json");
  writeFileSync(file, "earlier");
  const report = new RunReport([{ format: "json", file }]);
  const tests = (ids: string[]) => ids.map((id) => identify([id]));
  const { all, unsharded } = size;
  report.counted({ tests: 0, cases: 0, all: tests(all), ...(unsharded && { unsharded: tests(unsharded) }) });
  if (error !== undefined) report.failed(error);
  report.ended();
  return readFileSync(file, "utf8");
}

test("a run that has chosen no test leaves an earlier report alone", () => {
  expect(afterRunOf({ all: [] })).toBe("earlier");
});

test("an empty shard, and a run that failed outside its tests, write a report", () => {
  expect(JSON.parse(afterRunOf({ all: [], unsharded: ["a"] }))).toMatchObject({ tests: [] });
  expect(JSON.parse(afterRunOf({ all: [] }, "it went down"))).toMatchObject({ errors: ["it went down"] });
});
