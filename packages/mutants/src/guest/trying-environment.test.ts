import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCampaignLines } from "../campaign/result";
import type { TrialPlan } from "../campaign/trial";
import { batchesOf } from "./try-in-jest";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mutants-"));
  writeFileSync(join(folder, "key"), "abc\n");
  writeFileSync(join(folder, "active"), "0");
  writeFileSync(join(folder, "kmsg"), "");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs sample.test.js in the environment, with plan.json. */
function runJest(): { readonly stderr: string } {
  const config = {
    rootDir: join(__dirname, "../.."),
    roots: [folder],
    testMatch: ["**/*.test.js"],
    testEnvironment: join(__dirname, "trying-environment.ts"),
    transform: { "\\.ts$": "@swc/jest" },
  };
  const args = ["--config", JSON.stringify(config), "--runInBand", "--watchman=false"];
  const env = { ...process.env, VFIO_SELFTESTS_MUTANTS_PLAN: join(folder, "plan.json") };
  return spawnSync(process.execPath, [require.resolve("jest/bin/jest"), ...args], { env, encoding: "utf8" });
}

test("mutants are tried one after the other in one process, with the hooks around each test", () => {
  const lines = join(folder, "lines.jsonl");
  const source = `
const { appendFileSync, readFileSync } = require("node:fs");
const mutant = () => Number(readFileSync(${JSON.stringify(join(folder, "active"))}, "utf8"));
const log = (text) => appendFileSync(${JSON.stringify(join(folder, "log"))}, text + mutant() + " ");
describe("fixture", () => {
  beforeAll(() => log("before"));
  it("one", () => { log("one"); expect(mutant()).not.toBe(5); });
  it("two", () => { log("two"); expect(mutant()).not.toBe(6); });
  it("three", () => log("three"));
});
`;
  writeFileSync(join(folder, "sample.test.js"), source);
  const tests = ["fixture.one", "fixture.two"];
  const plan: TrialPlan = {
    key: "abc",
    command: [],
    silenceMs: 0,
    lines,
    folder,
    trials: [5, 6, 7].map((number) => ({ number, tests, of: 2 })),
  };
  writeFileSync(join(folder, "plan.json"), JSON.stringify(plan));
  const jest = runJest();
  expect(jest.stderr).toContain("2 failed");
  const results = parseCampaignLines(readFileSync(lines, "utf8"));
  expect(results).toMatchObject([
    { kind: "start", number: 5, tests: 2 },
    { kind: "result", result: { number: 5, status: "killed", by: "fixture.one" } },
    { kind: "start", number: 6, tests: 2 },
    { kind: "result", result: { number: 6, status: "killed", by: "fixture.two" } },
    { kind: "start", number: 7, tests: 2 },
    { kind: "result", result: { number: 7, status: "survived" } },
  ]);
  expect(readFileSync(join(folder, "log"), "utf8").trim().split(" ")).toEqual(
    [
      ["before5", "one5", "before0", "one0"],
      ["before6", "one6", "before6", "two6", "before0", "two0"],
      ["before7", "one7", "before7", "two7"],
    ].flat(),
  );
  expect(readFileSync(join(folder, "active"), "utf8")).toBe("0");
});

test("a test with a mutant ends at its limit", () => {
  const lines = join(folder, "lines.jsonl");
  const source = `describe("fixture", () => { it("waits", () => new Promise(() => undefined)); });`;
  writeFileSync(join(folder, "sample.test.js"), source);
  const trials = [{ number: 5, tests: ["fixture.waits"], of: 1 }];
  const plan: TrialPlan = {
    key: "abc",
    command: [],
    silenceMs: 0,
    lines,
    folder,
    trials,
    limitsMs: { "fixture.waits": 20 },
  };
  writeFileSync(join(folder, "plan.json"), JSON.stringify(plan));
  runJest();
  expect(parseCampaignLines(readFileSync(lines, "utf8"))[1]).toMatchObject({
    kind: "stale",
    number: 5,
  });
});

test("a process gets as many trials as it may run tests, and one at least", () => {
  const trial = (number: number, count: number) => ({ number, tests: Array<string>(count).fill("x.a"), of: count });
  const batches = batchesOf([trial(1, 2), trial(2, 3), trial(3, 1), trial(4, 9), trial(5, 1)], 5);
  expect(batches.map((batch) => batch.map(({ number }) => number))).toEqual([[1, 2], [3], [4], [5]]);
});
