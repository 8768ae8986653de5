import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JestTestResult, outcomeOf } from "./test-result";

const ROOT = join(__dirname, "../..");
const HARNESS = JSON.stringify(join(ROOT, "src/index.ts"));

/** Runs jest on one test file in a process of its own and gives its results by full title. */
function runJest(source: string, config: object, second?: string): { tests: Map<string, JestTestResult>; tap: string } {
  const directory = mkdtempSync(join(tmpdir(), "harness-environment-"));
  try {
    const tap = join(directory, "out.tap");
    const json = join(directory, "out.json");
    writeFileSync(join(directory, "sample.test.js"), source);
    if (second !== undefined) writeFileSync(join(directory, "second.test.js"), second);
    const jest = require.resolve("jest/bin/jest");
    const all = {
      rootDir: ROOT,
      roots: [directory],
      testMatch: ["**/*.test.js"],
      transform: { "\\.ts$": "@swc/jest" },
      // jest does not transform reporters: the built one.
      reporters: [[join(ROOT, "dist/jest/reporter.js"), { reports: [{ format: "tap", file: tap }] }]],
      ...config,
    };
    const args = ["--config", JSON.stringify(all), "--json", "--outputFile", json, "--runInBand", "--watchman=false"];
    try {
      execFileSync(process.execPath, [jest, ...args], { stdio: "pipe", cwd: ROOT });
    } catch (error) {
      // A failing test makes jest fail, which some samples want.
      if ((error as { status?: number }).status !== 1) throw error;
    }
    const results = JSON.parse(readFileSync(json, "utf8")) as { testResults: { assertionResults: JestTestResult[] }[] };
    const tests = results.testResults.flatMap((file) => file.assertionResults);
    return {
      tests: new Map(tests.map((test) => [[...test.ancestorTitles, test.title].join("."), test])),
      tap: readFileSync(tap, "utf8"),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const ENVIRONMENT = { testEnvironment: join(__dirname, "jest-environment.ts") };

const SAMPLE = `
const { note, notChecked, skip } = require(${HARNESS});
const why = { reason: "no device", remedy: "name one" };
describe("fixture", () => {
  it("passes", () => { note("took 3 laps"); notChecked("page size", "no debugfs"); });
  it("skips", () => skip(why));
  it("skips_later", async () => { await null; skip(why); });
  it("fails", () => { throw new Error("broken"); });
  describe("each", () => { beforeEach(() => skip(why)); it("test", () => { throw new Error("must not run"); }); });
  describe("all", () => { beforeAll(() => skip(why)); it("test", () => { throw new Error("must not run"); }); });
  describe("cleanup", () => { afterEach(() => { throw new Error("cleanup broke"); }); it("test", () => skip(why)); });
});
`;

describe("HarnessEnvironment", () => {
  it("turns a thrown skip into a skipped result with reason and remedy, and leaves failures failed", () => {
    const { tests } = runJest(SAMPLE, ENVIRONMENT);
    for (const id of ["fixture.skips", "fixture.skips_later", "fixture.each.test", "fixture.all.test"]) {
      const result = tests.get(id);
      expect({ id, status: result?.status }).toEqual({ id, status: "pending" });
      expect(outcomeOf(result as JestTestResult).skip).toEqual({ reason: "no device", remedy: "name one" });
    }
    expect(tests.get("fixture.passes")?.status).toBe("passed");
    expect(tests.get("fixture.fails")?.failureMessages[0]).toContain("broken");
    const cleanup = tests.get("fixture.cleanup.test");
    expect(cleanup?.status).toBe("failed");
    expect(cleanup?.failureMessages.map((text) => text.split("\n")[0])).toEqual(["Error: cleanup broke"]);
  });

  it("hands notes to the reporter and counts the tests for its plan", () => {
    const { tap } = runJest(SAMPLE, ENVIRONMENT);
    expect(tap).toContain("1..7\n# Starting 7 tests from 4 test cases.\n");
    expect(tap).toContain("# took 3 laps\n# not checked: page size: no debugfs\n#            OK  fixture.passes\n");
  });

  it("reports tests that the source marks as skipped, and counts them", () => {
    const source = `
      it("runs", () => undefined);
      it.skip("marked", () => undefined);
      it.todo("planned");
      describe.skip("block", () => { it("inside", () => undefined); });
      it.skip("left_out", () => undefined);`;
    const filter = { pattern: "^(?!left_out)" };
    const { tap } = runJest(source, { ...ENVIRONMENT, testEnvironmentOptions: { filter } });
    expect(tap).toContain("1..4\n");
    expect(
      tap
        .match(/^ok \d \S+/gm)
        ?.map((line) => line.slice(5))
        .sort(),
    ).toEqual(["block.inside", "marked", "planned", "runs"]);
  });

  it("keeps the notes of a test from one of another file with the same titles", () => {
    const noted = `require(${HARNESS}).note("of the first")`;
    const { tap } = runJest(`it("same", () => ${noted});`, ENVIRONMENT, 'it("same", () => undefined);');
    expect(tap.match(/of the first/g)).toHaveLength(1);
  });

  it("runs only what the filter selects", () => {
    const { tap } = runJest(SAMPLE, {
      ...ENVIRONMENT,
      testEnvironmentOptions: { filter: { pattern: "each|passes$" } },
    });
    expect(tap.match(/^(?:not )?ok .*$/gm)).toEqual([
      "ok 1 fixture.passes",
      "ok 2 fixture.each.test # SKIP no device (remedy: name one)",
    ]);
  });

  it("leaves out what the filter excepts", () => {
    const filter = { pattern: "each|passes$", except: ["fixture.each.test"] };
    const { tap } = runJest(SAMPLE, { ...ENVIRONMENT, testEnvironmentOptions: { filter } });
    expect(tap.match(/^(?:not )?ok .*$/gm)).toEqual(["ok 1 fixture.passes"]);
  });

  it("hands the target to the test file", () => {
    const source = `
      const { targetOptions } = require(${HARNESS});
      it("reads_it", () => expect(targetOptions()).toMatchObject({ devices: ["model:ioat"], full: true }));`;
    const target = { devices: ["model:ioat"], full: true };
    const { tests } = runJest(source, { ...ENVIRONMENT, testEnvironmentOptions: { target } });
    expect(tests.get("reads_it")).toMatchObject({ status: "passed", failureMessages: [] });
  });

  it.each([
    ["30 s where nothing else is said", {}, "", 30_000],
    ["the project's", { testTimeout: 7000 }, "", 7000],
    ["the file's", {}, "jest.setTimeout(6000);", 6000],
  ])("gives a test a time-out: %s", (_, config, prologue, timeoutMs) => {
    // jest-circus keeps its state, with the time-out of tests that have none of their own, below a symbol of this name.
    const source = `
      ${prologue}
      const symbol = Object.getOwnPropertySymbols(globalThis).find((key) => key.description === "JEST_STATE_SYMBOL");
      const state = globalThis[symbol];
      it("has_it", () => expect(state.testTimeout).toBe(${timeoutMs}));`;
    const { tests } = runJest(source, { ...ENVIRONMENT, ...config });
    expect(tests.get("has_it")).toMatchObject({ status: "passed", failureMessages: [] });
  });

  it("without it a skip is a failure that says what to configure", () => {
    const { tests } = runJest(SAMPLE, {});
    expect(tests.get("fixture.skips")?.status).toBe("failed");
    expect(tests.get("fixture.skips")?.failureMessages[0]).toContain("@vfio-selftests/harness/jest-environment");
  });
});
