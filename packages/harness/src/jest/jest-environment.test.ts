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
      reporters: [[join(ROOT, "dist/jest/reporter-module.js"), { reports: [{ format: "tap", file: tap }] }]],
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

const ENVIRONMENT = { testEnvironment: join(__dirname, "environment-module.ts") };

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

  it.each([
    ["on a host", {}, 1],
    ["in the lab", { lab: true }, 4],
    ["in the lab, on a kernel three times slower", { lab: true, slowdown: 3 }, 12],
    ["on a slow kernel of a host", { slowdown: 3 }, 1],
  ])("gives a test so many times its limit %s", (_, target, factor) => {
    const source = `
      const symbol = Object.getOwnPropertySymbols(globalThis).find((key) => key.description === "JEST_STATE_SYMBOL");
      const limit = () => globalThis[symbol].currentlyRunningTest.timeout;
      it("of_its_own", () => expect(limit()).toBe(${2000 * factor}), 2000);
      it("of_the_file", () => expect(limit()).toBe(${30_000 * factor}));`;
    const { tests } = runJest(source, { ...ENVIRONMENT, testEnvironmentOptions: { target } });
    expect([...tests.values()].map(({ status, failureMessages }) => [status, failureMessages])).toEqual([
      ["passed", []],
      ["passed", []],
    ]);
  });

  it("tells both failures where the end of a resource fails behind a test's", () => {
    // As TypeScript's `using` makes it where the engine has no SuppressedError.
    const source = `
      const suppressed = (error, first) => Object.assign(new Error("An error was suppressed during disposal."), {
        name: "SuppressedError", error, suppressed: first,
      });
      const inner = () => suppressed(new Error("cannot be closed"), new Error("not as expected"));
      it("fails", () => { throw suppressed(new Error("nor can this"), inner()); });
      it("fails_within", () => { throw new AggregateError([new Error("b", { cause: inner() })], "several"); });
      it("is_circular", () => { const error = suppressed(1, 2); throw Object.defineProperty(error, "suppressed", { value: error, enumerable: false }); });
      it("is_frozen", () => { throw Object.freeze(inner()); });
      describe("hook", () => { beforeAll(() => { throw inner(); }); it("test", () => undefined); });
      describe("late", () => { afterAll(() => { throw inner(); }); it("passes", () => undefined); });`;
    const { tests, tap } = runJest(source, ENVIRONMENT);
    for (const id of ["fails", "fails_within", "hook.test"]) {
      const text = tests.get(id)?.failureMessages.join("\n") ?? "";
      expect({ id, text }).toEqual({
        id,
        text: expect.stringMatching(/not as expected[^]*cannot be closed/) as string,
      });
    }
    expect(tests.get("fails")?.failureMessages[0]).toContain("nor can this");
    expect(tests.get("is_circular")?.failureMessages[0]).toContain("An error was suppressed");
    expect(tests.get("is_frozen")?.status).toBe("failed");
    expect(tap).toMatch(/^# \[errors\]: Error: not as expected$/m);
    expect(tap.slice(tap.indexOf("outside any test"))).toContain("cannot be closed");
  });

  it("gives a test the limit of the run and no more, in the lab, too", () => {
    const source = `it("hangs", () => new Promise(() => undefined), 60_000);`;
    const testEnvironmentOptions = { testTimeoutMs: 50, target: { lab: true, slowdown: 12 } };
    const { tests } = runJest(source, { ...ENVIRONMENT, testEnvironmentOptions });
    expect(tests.get("hangs")?.failureMessages).toEqual([expect.stringContaining("Exceeded timeout of 50 ms")]);
  });

  describe("with the kernel's log", () => {
    const WARN = `["------------[ cut here ]------------", "WARNING: a.c:1 at f, CPU#0: node/1", "---[ end trace 0000000000000000 ]---"]`;
    const kernel = (path: string): string => `
      const { appendFileSync } = require("node:fs");
      const { expectKernelLog, skip } = require(${HARNESS});
      globalThis.sequence ??= 0;
      const say = (lines, priority = 4) => {
        for (const line of lines) appendFileSync(${JSON.stringify(path)}, priority + "," + sequence++ + ",1,-;" + line + "\\n");
      };
      const warn = () => say(${WARN});`;

    /** Runs a test file that plays the kernel, too. */
    function runWatched(source: string): { tests: Map<string, JestTestResult>; tap: string } {
      const folder = mkdtempSync(join(tmpdir(), "harness-kernel-"));
      const path = join(folder, "kmsg");
      writeFileSync(path, "");
      try {
        const testEnvironmentOptions = { kernelLog: { path } };
        return runJest(`${kernel(path)}\n${source}`, { ...ENVIRONMENT, testEnvironmentOptions });
      } finally {
        rmSync(folder, { recursive: true });
      }
    }

    it("a report fails the test during which it comes, hooks and deferred closes included, and no other", () => {
      const { tests, tap } = runWatched(`
        it("before", () => say(["all is well"]));
        it("warns", () => warn());
        it("warns_later", () => void setImmediate(warn));
        it("of_user_space", () => say(${WARN}, 12));
        it("skips", () => { warn(); skip({ reason: "r", remedy: "m" }); });
        describe("hooks", () => {
          beforeEach(warn);
          it("in_hook", () => undefined);
        });
        it("after", () => undefined);`);
      const failed = [...tests].filter(([, test]) => test.status === "failed").map(([id]) => id);
      expect(failed).toEqual(["warns", "warns_later", "skips", "hooks.in_hook"]);
      const [failure = ""] = tests.get("warns")?.failureMessages ?? [];
      expect(failure).toBe(
        "the kernel reported WARNING (kernel/panic.c __warn):\n------------[ cut here ]------------\n" +
          "WARNING: a.c:1 at f, CPU#0: node/1\n---[ end trace 0000000000000000 ]---",
      );
      expect(tap).toContain("# WARNING: a.c:1 at f, CPU#0: node/1\n");
    });

    it("a report that a test expects does not fail it, one that does not come does", () => {
      const { tests } = runWatched(`
        it("expects", () => { expectKernelLog(/at f, CPU/); warn(); });
        it("expects_a_line", () => { expectKernelLog(/^resetting$/g); say(["resetting"]); });
        it("expects_another", () => { expectKernelLog(/at g/); warn(); });
        it("waits_in_vain", () => expectKernelLog(/resetting/));
        it("skips", () => { expectKernelLog(/resetting/); skip({ reason: "r", remedy: "m" }); });`);
      expect([...tests].map(([, { status }]) => status)).toEqual(["passed", "passed", "failed", "failed", "pending"]);
      expect(tests.get("expects_another")?.failureMessages).toHaveLength(2);
      expect(tests.get("waits_in_vain")?.failureMessages).toEqual([
        "the kernel did not say what this test provokes: /resetting/",
      ]);
    });

    it("a report outside a test fails the run, and is told where", () => {
      const { tests, tap } = runWatched(`
        warn();
        it("first", () => undefined);
        describe("block", () => {
          beforeAll(warn);
          afterAll(warn);
          it("second", () => undefined);
        });`);
      expect([...tests].map(([, { status }]) => status)).toEqual(["passed", "passed"]);
      expect(tap.match(/^# outside any test: .*$/gm)).toEqual([
        // While the file was loaded; nobody watched then.
        "# outside any test: the kernel reported between first and block.second: WARNING (kernel/panic.c __warn):",
        "# outside any test: the kernel reported after the last test, block.second: WARNING (kernel/panic.c __warn):",
      ]);
      expect(tap).toContain("# FAILED: 2 / 2 tests passed.");
    });

    it("refused accesses and lost messages are notes", () => {
      const fault = "DMAR: [DMA Read NO_PASID] Request device [00:10.0] fault addr 0x0 [fault reason 0x06]";
      const { tests, tap } = runWatched(`
        it("faults", () => { say(["x"]); sequence += 3; say([${JSON.stringify(fault)}]); });`);
      expect(tests.get("faults")?.status).toBe("passed");
      expect(tap).toContain(`# kernel: ${fault}\n`);
      expect(tap).toContain("# not checked: 3 messages of the kernel: overwritten before they could be read");
    });
  });

  it("fails a synchronous test that runs past its limit, whatever its assertions", () => {
    const { tests } = runJest(
      `
      const block = (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      it("too_long", () => block(300), 100);
      it("in_time", () => block(10), 10_000);
      it("asynchronous", () => new Promise(() => undefined), 100);`,
      ENVIRONMENT,
    );
    expect(tests.get("too_long")?.failureMessages).toEqual([
      expect.stringMatching(/^the test took 0\.3 s: more than its limit of 0\.1 s$/),
    ]);
    expect(tests.get("in_time")?.status).toBe("passed");
    expect(tests.get("asynchronous")?.failureMessages).toEqual([expect.stringContaining("Exceeded timeout of 100 ms")]);
  });

  describe("with options of a run", () => {
    const THREE = `
      let runs = 0;
      describe("block", () => {
        beforeAll(() => { runs += 1; });
        it("first", () => undefined);
        it("second", () => { if (runs === 2) throw new Error("the second time"); });
      });
      it("left_out", () => { throw new Error("must not run"); });
      it("third", () => undefined);`;
    const results = (tap: string): string[] => tap.match(/^(?:not )?ok .*$/gm) ?? [];
    const run = (testEnvironmentOptions: object): string[] =>
      results(
        runJest(THREE, {
          ...ENVIRONMENT,
          testEnvironmentOptions: { filter: { pattern: "^(?!left)" }, ...testEnvironmentOptions },
        }).tap,
      );

    it("repeats all chosen tests, each block with its hooks", () => {
      expect(run({ repeat: 3 })).toEqual([
        ...["ok 1 block.first", "ok 2 block.second", "ok 3 third"],
        ...["ok 4 block.first", "not ok 5 block.second", "ok 6 third"],
        ...["ok 7 block.first", "ok 8 block.second", "ok 9 third"],
      ]);
    });

    it("stops at the first failure", () => {
      expect(run({ repeat: 3, bail: true })).toEqual([
        ...["ok 1 block.first", "ok 2 block.second", "ok 3 third"],
        ...["ok 4 block.first", "not ok 5 block.second"],
      ]);
    });

    it("goes on where another process stopped", () => {
      expect(run({ repeat: 2, from: 4 })).toEqual(["ok 1 block.second", "ok 2 third"]);
    });

    it("takes a limit for every test", () => {
      const source = `it("hangs", () => new Promise(() => undefined), 60_000);`;
      const { tests } = runJest(source, { ...ENVIRONMENT, testEnvironmentOptions: { testTimeoutMs: 50 } });
      expect(tests.get("hangs")?.failureMessages).toEqual([expect.stringContaining("Exceeded timeout of 50 ms")]);
    });
  });

  it("without it a skip is a failure that says what to configure", () => {
    const { tests } = runJest(SAMPLE, {});
    expect(tests.get("fixture.skips")?.status).toBe("failed");
    expect(tests.get("fixture.skips")?.failureMessages[0]).toContain("@vfio-selftests/harness/jest-environment");
  });
});
