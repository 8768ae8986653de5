import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectKernelLog, skip } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";

/** LKDTM: a write of a crash's name makes it happen (Documentation/fault-injection/provoke-crashes.rst). */
const PROVOKE = "/sys/kernel/debug/provoke-crash/DIRECT";
/** drivers/misc/lkdtm/bugs.c, in a kernel that says where a warning is. */
const WARNING = /^WARNING: .*lkdtm/m;

const TESTS = join(__dirname, "../..");
const TIMEOUT_MS = 240_000;
jest.setTimeout(TIMEOUT_MS);

interface JestResults {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** A test run within this one, with the kernel's log watched. */
interface InnerRun {
  /** Failures by title; none for a test that passed. */
  readonly tests: Readonly<Record<string, readonly string[]>>;
  readonly report: string;
  readonly code: number | null;
}

function runTests(source: string): InnerRun {
  const folder = mkdtempSync(join(tmpdir(), "planted-warning-"));
  const [json, tap] = [join(folder, "out.json"), join(folder, "out.tap")];
  try {
    const prologue = `
      const { expectKernelLog } = require(${JSON.stringify(require.resolve("@vfio-selftests/harness"))});
      const warn = () => require("node:fs").writeFileSync(${JSON.stringify(PROVOKE)}, "WARNING");`;
    writeFileSync(join(folder, "planted.test.js"), `${prologue}\n${source}`);
    const config = {
      rootDir: TESTS,
      roots: [folder],
      testMatch: ["**/*.test.js"],
      transform: {},
      testEnvironment: require.resolve("@vfio-selftests/harness/jest-environment"),
      // As a run in the lab watches it: nothing that came before is this run's.
      testEnvironmentOptions: { kernelLog: {} },
      reporters: [[require.resolve("@vfio-selftests/harness/reporter"), { reports: [{ format: "tap", file: tap }] }]],
    };
    const args = [
      "--config",
      JSON.stringify(config),
      "--json",
      "--outputFile",
      json,
      "--runInBand",
      "--watchman=false",
    ];
    const jestProgram = require.resolve("jest/bin/jest");
    const { status, stderr } = spawnSync(process.execPath, [jestProgram, ...args], {
      cwd: TESTS,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
    });
    if (!existsSync(json)) throw new Error(`the inner run did not end: ${stderr}`);
    const { testResults } = JSON.parse(readFileSync(json, "utf8")) as JestResults;
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
    return {
      tests: Object.fromEntries(
        tests.map(({ fullName, status: result, failureMessages }) => [
          fullName,
          result === "passed" ? [] : failureMessages,
        ]),
      ),
      report: readFileSync(tap, "utf8"),
      code: status,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("a warning planted in the kernel", () => {
  onlyInLab("the test makes the kernel warn");
  beforeEach(() => {
    if (existsSync(PROVOKE)) return;
    skip({
      reason: "this kernel warns of nothing on demand (CONFIG_LKDTM)",
      remedy: "pnpm vfio lab setup --with lkdtm, and lab run --with lkdtm",
    });
  });

  it("fails exactly the test during which it comes, with the report quoted", () => {
    expectKernelLog(WARNING);
    const { tests, report, code } = runTests(`
      it("before", () => expect(1).toBe(1));
      it("warns", () => { warn(); expect(1).toBe(1); });
      it("warns_later", () => void setImmediate(warn));
      it("after", () => expect(1).toBe(1));`);
    const failed = Object.entries(tests).filter(([, failures]) => failures.length > 0);
    expect(failed.map(([name]) => name)).toEqual(["warns", "warns_later"]);
    for (const [, failures] of failed) {
      expect(failures).toEqual([
        expect.stringMatching(/^the kernel reported WARNING \(kernel\/panic\.c __warn\):\n-+\[ cut here \]/),
      ]);
      expect(failures[0]).toMatch(WARNING);
      // Whole: the stack leads to the write that asked for it, and the end is there.
      expect(failures[0]).toMatch(/\blkdtm_WARNING\b[^]*\bvfs_write\b[^]*---\[ end trace/);
    }
    expect(report).toMatch(/^not ok 2 warns$/m);
    expect(report).toMatch(/^# WARNING: .*lkdtm/m);
    expect(code).toBe(1);
  });

  it("does not fail a test that expects it", () => {
    expectKernelLog(WARNING);
    const { tests, code } = runTests(`
      it("expects", () => { expectKernelLog(${String(WARNING)}); warn(); });
      it("expects_another", () => { expectKernelLog(/^BUG: KASAN/m); warn(); });
      it("waits_in_vain", () => expectKernelLog(${String(WARNING)}));`);
    expect(tests["expects"]).toEqual([]);
    expect(tests["expects_another"]).toHaveLength(2);
    expect(tests["waits_in_vain"]).toEqual([
      expect.stringContaining("the kernel did not say what this test provokes") as string,
    ]);
    expect(code).toBe(1);
  });

  it("fails the run, and no test, where no test runs", () => {
    expectKernelLog(WARNING);
    const { tests, report, code } = runTests(`
      it("first", () => expect(1).toBe(1));
      describe("block", () => {
        beforeAll(warn);
        afterAll(warn);
        it("second", () => expect(1).toBe(1));
      });`);
    expect(tests).toEqual({ first: [], "block second": [] });
    expect(report.match(/^# outside any test: the kernel reported .*: WARNING/gm)).toEqual([
      "# outside any test: the kernel reported between first and block.second: WARNING",
      "# outside any test: the kernel reported after the last test, block.second: WARNING",
    ]);
    expect(report).toContain("# FAILED: 2 / 2 tests passed.");
    expect(code).toBe(1);
  });

  it("passes a test that expects it and makes it itself", () => {
    expectKernelLog(WARNING);
    expect(() => writeFileSync(PROVOKE, "WARNING")).not.toThrow();
  });
});
