import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeLock } from "./cache-lock";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-lock-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test("a second holder is refused while the first lives, and welcome after", () => {
  const path = join(folder, "deep", "lock");
  {
    using _lock = takeLock(path);
    expect(() => takeLock(path)).toThrow(
      expect.objectContaining({
        code: "ERR_LAB_BUSY",
        message: expect.stringContaining(String(process.pid)) as string,
      }) as Error,
    );
  }
  expect(existsSync(path)).toBe(false);
  using _again = takeLock(path);
  expect(readdirSync(join(folder, "deep"))).toEqual(["lock"]);
});

test.each([
  ["of a process that is gone", JSON.stringify({ pid: 2 ** 22 + 1, startTime: "1" })],
  ["of an earlier process with our id", JSON.stringify({ pid: process.pid, startTime: "1" })],
  ["that is damaged", "{"],
])("a lock %s is taken over", (_which, content) => {
  const path = join(folder, "lock");
  writeFileSync(path, content);
  using _lock = takeLock(path);
  expect(() => takeLock(path)).toThrow(/another lab set-up/);
});
