import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeReportFolder } from "./report-folder";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "report-folder-"))));
afterEach(() => rmSync(folder, { recursive: true }));

it("is made with all folders above it, and may be there already", () => {
  const deep = join(folder, "a", "b");
  makeReportFolder(deep, "lab matrix");
  makeReportFolder(deep, "lab matrix");
  expect(existsSync(deep)).toBe(true);
});

it.each([
  ["/proc/reports", "ENOENT"],
  ["/proc/reports/of/today", "ENOENT"],
])("%s cannot be made, and is refused at once", (path, code) => {
  expect(() => makeReportFolder(path, "lab matrix")).toThrow(expect.objectContaining({ code, subject: path }) as Error);
});

it("a file in its way is an error", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  const made = (path: string) => () => makeReportFolder(path, "lab matrix");
  expect(made(file)).toThrow(expect.objectContaining({ code: "EEXIST" }) as Error);
  expect(made(join(file, "below"))).toThrow(/cannot make the folder .*below: E(EXIST|NOTDIR)/);
});
