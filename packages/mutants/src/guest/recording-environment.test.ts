import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseReach } from "../campaign/reach";
import { KernelSwitch } from "./kernel-switch";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mutants-"));
  writeFileSync(join(folder, "key"), "abc\n");
  // From the boot.
  writeFileSync(join(folder, "seen"), "9 1\n");
});
afterEach(() => rmSync(folder, { recursive: true }));

test("each test is recorded with the mutants that it passed, also in the hooks before it and after it", () => {
  const record = join(folder, "record.jsonl");
  const source = `
const { appendFileSync } = require("node:fs");
const pass = (lines) => appendFileSync(${JSON.stringify(join(folder, "seen"))}, lines);
describe("fixture", () => {
  beforeAll(() => pass("\\n7 1\\n"));
  afterAll(() => pass("\\n8 1\\n"));
  it("one", () => pass("\\n1 1\\n2 0\\n"));
  describe("block", () => {
    beforeAll(() => pass("\\n5 1\\n"));
    it("two", () => pass("\\n1 0\\n2 1\\n"));
  });
  it("fails", () => { pass("\\n3 1\\n"); throw new Error("broken"); });
  it("was_recorded_before", () => pass("\\n4 1\\n"));
});
`;
  writeFileSync(join(folder, "sample.test.js"), source);
  const done = join(folder, "done.jsonl");
  const before = { test: "fixture.was_recorded_before", status: "passed", durationMs: 1, reached: [], differs: [4] };
  writeFileSync(done, JSON.stringify(before));
  const config = {
    rootDir: join(__dirname, "../.."),
    roots: [folder],
    testMatch: ["**/*.test.js"],
    testEnvironment: join(__dirname, "recording-environment.ts"),
    transform: { "\\.ts$": "@swc/jest" },
  };
  const args = ["--config", JSON.stringify(config), "--runInBand", "--watchman=false"];
  const env = {
    ...process.env,
    VFIO_SELFTESTS_MUTANTS_KEY: "abc",
    VFIO_SELFTESTS_MUTANTS_FOLDER: folder,
    VFIO_SELFTESTS_MUTANTS_RECORD: record,
    VFIO_SELFTESTS_MUTANTS_RECORDED: done,
  };
  const jest = spawnSync(process.execPath, [require.resolve("jest/bin/jest"), ...args], { env, encoding: "utf8" });
  expect(jest.stderr).toContain("2 passed");
  const records = parseReach(readFileSync(record, "utf8")).map(({ durationMs: _, ...rest }) => rest);
  expect(records).toEqual([
    { test: "fixture.one", status: "passed", reached: [2], differs: [1, 7, 8] },
    { test: "fixture.block.two", status: "passed", reached: [1], differs: [2, 5, 7, 8] },
    { test: "fixture.fails", status: "failed", reached: [], differs: [3, 7, 8] },
  ]);
});

test("a kernel with other mutants, or none, is refused", () => {
  expect(() => new KernelSwitch("abd", folder)).toThrow("has the mutants abc, not abd");
  expect(() => new KernelSwitch("abc", join(folder, "none"))).toThrow("has no mutants");
});
