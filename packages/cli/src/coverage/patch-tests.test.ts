import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Coverage } from "@vfio-selftests/coverage";
import type * as Lab from "@vfio-selftests/lab";
import { CoverageStore } from "./coverage-store";
import { describePatch, patchLines, unconcernedTests } from "./patch-tests";

let folder = "";
jest.mock("@vfio-selftests/lab", () => ({
  ...jest.requireActual<typeof Lab>("@vfio-selftests/lab"),
  labCache: () => ({ folder: join(folder, "cache") }),
}));

const FILE = "drivers/vfio/a.c";
const LINES = Array.from({ length: 30 }, (_, i) => `line ${i + 1};`);
const git = (...args: string[]): unknown =>
  execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], {
    cwd: join(folder, "tree"),
    stdio: "pipe",
  });
const write = (lines: readonly string[]): void =>
  writeFileSync(join(folder, "tree", FILE), lines.map((line) => `${line}\n`).join(""));
const replace = (line: number, ...by: string[]): string[] => LINES.toSpliced(line - 1, 1, ...by);

let kernel: Lab.KeptBuild;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patch-tests-"));
  mkdirSync(join(folder, "tree/drivers/vfio"), { recursive: true });
  git("init", "-q");
  write(LINES);
  git("add", ".");
  git("commit", "-qm", "base");
  kernel = { name: "tree-0", tree: join(folder, "tree"), variants: ["gcov"] } as unknown as Lab.KeptBuild;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function measure(tests: Readonly<Record<string, readonly number[]>>): void {
  const measured = Object.entries(tests).map(([id, ran]): [string, Coverage] => {
    const lines = new Map([10, 11, 20].map((line) => [line, ran.includes(line) ? 1 : 0]));
    return [id, new Map([[FILE, { lines, functions: new Map() }]])];
  });
  new CoverageStore(kernel).add("igb+intel", new Map(measured));
}

test("a patch that was measured says who reaches each line", () => {
  write(replace(10, "changed;"));
  measure({ "dma.map": [10], "dma.unmap": [20] });
  expect(patchLines(kernel, kernel.tree, "HEAD")).toEqual([
    { path: FILE, line: 10, state: "reached", tests: ["dma.map"] },
  ]);
  expect(unconcernedTests(kernel, kernel.tree, "HEAD")).toEqual({ reaching: ["dma.map"], others: ["dma.unmap"] });
});

test("a patch that is newer than the measured kernel stands for what it replaces", () => {
  measure({ "dma.map": [10], "dma.unmap": [20] });
  write(replace(10, "one;", "two;"));
  const lines = patchLines(kernel, kernel.tree, "HEAD");
  expect(lines).toEqual([
    { path: FILE, line: 10, state: "new", tests: ["dma.map"] },
    { path: FILE, line: 11, state: "new", tests: ["dma.map"] },
  ]);
  expect(describePatch(lines)).toContain("0 lines of the patch run, 0 run in no test, 2 are newer");
});

test("what was measured of another text of the file does not count any more", () => {
  measure({ "dma.map": [10] });
  write(replace(1, "a;", "b;"));
  measure({ "dma.unmap": [20] });
  expect(new CoverageStore(kernel).database().machines).toEqual({
    "igb+intel": { "dma.map": {}, "dma.unmap": { [FILE]: "20" } },
  });
});

test("a commit that is none, a folder without git and a kernel without a measurement are told", () => {
  expect(() => patchLines(kernel, kernel.tree, "HEAD")).toThrow(
    expect.objectContaining({ code: "ERR_LAB_NO_COVERAGE" }) as Error,
  );
  measure({ "dma.map": [10] });
  for (const ref of ["nowhere", "--all", ""]) {
    expect(() => patchLines(kernel, kernel.tree, ref)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", subject: ref }) as Error,
    );
  }
  expect(() => patchLines(kernel, join(folder, "cache"), "HEAD")).toThrow("git failed");
});
