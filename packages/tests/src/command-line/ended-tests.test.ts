import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notInLab } from "../not-in-lab";
import { type CommandResult, PROGRAM, runCommand } from "./run-command";

const FIXTURE = "vfio_pci_driver_test.vfio-user";
const TESTS = ["init_remove", "memcpy_success", "memcpy_from_unmapped_iova"];

interface JsonReport {
  readonly exitCode: number;
  readonly errors: readonly string[];
  readonly tests: readonly { readonly id: string; readonly status: string; readonly failures?: readonly string[] }[];
}

describe("ended_tests", () => {
  let project: string;
  beforeEach(() => (project = mkdtempSync(join(tmpdir(), "ended-tests-"))));
  afterEach(() => rmSync(project, { recursive: true }));
  notInLab();

  /** Runs three of upstream's driver tests with a driver that executes this code for each copy. */
  function runWith(copy: string, ...options: string[]): CommandResult {
    return runCommand([...argumentsWith(copy), ...options], { XDG_STATE_HOME: project });
  }

  function argumentsWith(copy: string): string[] {
    const driver = join(project, "driver.cjs");
    writeFileSync(
      driver,
      `exports.driver = {
        name: "mine", ids: [{ vendor: 0x8086, device: 0x2021 }], regionSize: 4096,
        create: () => ({
          limits: { maxMemcpySize: 4096, minMemcpySize: 1, maxMemcpyCount: 1, alignment: 1 },
          memcpyStart() { ${copy} }, memcpyEnded: () => true, memcpyWait() {}, remove() {},
        }),
      };`,
    );
    const ids = TESTS.map((test) => `${FIXTURE}.${test}`);
    return ["run", "-d", "model:ioat", "--driver", driver, "-r", ...ids];
  }

  function results({ out }: CommandResult): string[] {
    return out.match(/^(?:ok|FAIL|skip) .*(?= \()/gm) ?? [];
  }

  it("a_test_that_hangs_in_a_blocking_call_is_ended_and_the_others_run", () => {
    const output = join(project, "report.json");
    const hang = `if (!require("node:fs").existsSync(${JSON.stringify(join(project, "hung"))})) {
      require("node:fs").writeFileSync(${JSON.stringify(join(project, "hung"))}, "");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    }`;
    const { code, out } = runWith(hang, "--test-timeout", "1", "--reporter", "json", "--output", output);
    expect(code).toBe(1);
    expect(out).toMatch(
      /FAIL \S+\.memcpy_success \(.* s\)\n +the test did not end within its limit of 1 s: ended from outside\n/,
    );
    const report = JSON.parse(readFileSync(output, "utf8")) as JsonReport;
    expect(report.tests.map(({ id }) => id)).toEqual(TESTS.map((test) => `${FIXTURE}.${test}`));
    expect(report.tests[1]).toMatchObject({ status: "failed" });
    // The second test hung. The third ran in a new process.
    expect(report.tests[0]).toMatchObject({ status: "passed" });
    expect(report.tests[2]?.failures?.[0] ?? "").not.toContain("did not end");
  });

  it("a_test_that_kills_its_process_fails_and_the_others_run", () => {
    const result = runWith(`process.kill(process.pid, "SIGSEGV"); for (;;);`);
    expect(result.code).toBe(1);
    expect(results(result)).toEqual([
      `ok   ${FIXTURE}.init_remove`,
      `FAIL ${FIXTURE}.memcpy_success`,
      `FAIL ${FIXTURE}.memcpy_from_unmapped_iova`,
    ]);
    expect(result.out.match(/^ {5}the process that ran the tests was ended by SIGSEGV$/gm)).toHaveLength(2);
    expect(result.out).toContain("    2 tests: the process that ran the tests was ended by SIGSEGV\n");
  });

  it("the_end_of_the_runs_time_is_told_and_what_was_measured_is_kept", () => {
    const result = runWith(`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`, "--timeout", "8");
    expect(result.code).toBe(1);
    expect(results(result)).toEqual([`ok   ${FIXTURE}.init_remove`, `FAIL ${FIXTURE}.memcpy_success`]);
    expect(result.out).toContain("the run's time of 8 s was over");
    expect(result.out).toContain("1 of 3 tests did not run");
  });

  it("ctrl_c_ends_with_the_totals_and_a_whole_report", async () => {
    const output = join(project, "report.json");
    const args = [...argumentsWith(`console.error("copies"); for (;;);`), "--reporter", "json", "--output", output];
    const environment = { ...process.env, XDG_STATE_HOME: project };
    // A group of its own, because a terminal sends SIGINT to the whole group.
    const run = spawn(process.execPath, [PROGRAM, ...args], { detached: true, env: environment });
    let out = "";
    let all = "";
    // Before the copy the second test has not begun, and the signal would come between two tests.
    const interruptOnceItCopies = (text: string) => {
      const before = all;
      all += text;
      if (!before.includes("copies") && all.includes("copies") && run.pid !== undefined) {
        process.kill(-run.pid, "SIGINT");
      }
    };
    run.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      interruptOnceItCopies(text);
    });
    run.stderr.setEncoding("utf8").on("data", interruptOnceItCopies);
    expect((await once(run, "close")) as unknown[]).toEqual([null, "SIGINT"]);
    expect(out).toMatch(/interrupted by SIGINT[^]*\n1 passed, 1 failed, 0 skipped\n$/);
    const report = JSON.parse(readFileSync(output, "utf8")) as JsonReport;
    expect(report.tests.map(({ status }) => status)).toEqual(["passed", "failed"]);
  });

  it("a_run_that_comes_to_no_test_leaves_no_empty_report", () => {
    const output = join(project, "report.json");
    expect(runCommand(["run", "-d", "0000:ff:1f.7", "--output", output]).code).toBe(1);
    expect(existsSync(output)).toBe(false);
  });

  it("bail_repeat_and_last_failed", () => {
    const fail = `throw new Error("no copy today");`;
    const bailed = runWith(fail, "--bail");
    expect(results(bailed)).toEqual([`ok   ${FIXTURE}.init_remove`, `FAIL ${FIXTURE}.memcpy_success`]);
    expect(bailed.out).toContain("1 of 3 tests did not run");
    expect(bailed.code).toBe(1);
    const repeated = runWith(fail, "--last-failed", "--repeat", "2");
    expect(results(repeated)).toEqual([`FAIL ${FIXTURE}.memcpy_success #1`, `FAIL ${FIXTURE}.memcpy_success #2`]);
    const until = runWith(fail, "--until-fail");
    expect(results(until)).toEqual([`ok   ${FIXTURE}.init_remove #1`, `FAIL ${FIXTURE}.memcpy_success #1`]);
  });

  it("last_failed_without_a_failure_runs_nothing", () => {
    const { code, err } = runWith("", "--last-failed");
    expect(err).toContain("no run is remembered");
    expect(code).toBe(4);
  });

  it("bisect_takes_what_did_not_run_for_no_answer", () => {
    expect(runWith("", "-t", "nothing_has_this_name", "--bisect").code).toBe(125);
    expect(runWith("", "--bisect", "--last-failed").code).toBe(125);
    expect(runWith("", "--bisect", "-t", "init_remove").code).toBe(0);
    expect(runWith(`throw new Error("x")`, "--bisect", "-t", "memcpy_success").code).toBe(1);
    expect(runWith("", "--bisect", "--no-such-option").code).toBe(128);
    const skipped = ["run", "-d", "model:ioat", "-r", "vfio_pci_irq_test.msi.enable_trigger_disable", "--bisect"];
    expect(runCommand(skipped, { XDG_STATE_HOME: project }).code).toBe(125);
  });
});
