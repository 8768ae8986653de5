import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireWritable } from "./report-file";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "report-file-"))));
afterEach(() => rmSync(folder, { recursive: true }));

it("a link to a file that is not there yet counts as that file, and nothing is written", () => {
  symlinkSync("run.json", join(folder, "link"));
  expect(requireWritable(join(folder, "link"), "run")).toBe(folder);
  expect(existsSync(join(folder, "run.json"))).toBe(false);
});

it.each([
  [".", "EISDIR"],
  ["missing/run.json", "ENOENT"],
  ["circle/run.json", "ELOOP"],
  ["r".repeat(300), "ENAMETOOLONG"],
])("%s is refused with the system's reason", (name, code) => {
  symlinkSync("circle", join(folder, "circle"));
  const output = join(folder, name);
  const error = expect.objectContaining({ name: "VfioError", code, subject: output }) as Error;
  expect(() => requireWritable(output, "run")).toThrow(error);
});
