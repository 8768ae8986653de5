import { type JsonReport, kcidbReport, type KcidbStatus } from "@vfio-selftests/harness/reports";
import type { JobResult, NodeErrorCode, NodeResult, TestResult } from "./job-node";

/** A verdict of KCIDB as a node has it, and as KernelCI's bridge makes that verdict of it again (send_kcidb.py). */
const RESULTS: Readonly<Record<KcidbStatus, Pick<TestResult, "result" | "errorCode">>> = {
  PASS: { result: "pass" },
  FAIL: { result: "fail" },
  SKIP: { result: "skip" },
  ERROR: { result: "incomplete", errorCode: "Test" },
  MISS: { result: "incomplete", errorCode: "invalid_job_params" },
};

/** Characters of a message. */
const LONGEST = 2000;

const BOOTED: TestResult = { name: "boot", result: "pass" };

/** The result of a job whose kernel booted, and on which the suites ran. */
export function suitesResult(report: JsonReport): JobResult {
  // Who submits, and the build, are what KernelCI knows: its own bridge adds them.
  const { tests } = kcidbReport([report], { origin: "lab", build: "lab:build" });
  const results = tests.map(({ path, status, log_excerpt: log }): TestResult => ({
    name: path,
    ...RESULTS[status],
    ...(log !== undefined && { message: log.slice(0, LONGEST) }),
  }));
  return { result: jobVerdict(results), tests: [BOOTED, ...results] };
}

/** A test that neither passed nor was skipped fails its job. */
function jobVerdict(tests: readonly TestResult[]): NodeResult {
  if (tests.some(({ result }) => result === "fail" || result === "incomplete")) return "fail";
  return tests.some(({ result }) => result === "pass") ? "pass" : "skip";
}

export function bootedResult(): JobResult {
  return { result: "pass", tests: [BOOTED] };
}

export function notBootedResult(message: string): JobResult {
  return { result: "fail", tests: [{ name: "boot", result: "fail", message: message.slice(0, LONGEST) }] };
}

/** The kernel booted, and something went wrong that no test's result tells, such as a crash of the kernel. */
export function brokenResult(message: string, tests: readonly TestResult[] = [BOOTED]): JobResult {
  const outside: TestResult = {
    name: "vfio_selftests.outside_any_test",
    result: "fail",
    message: message.slice(0, LONGEST),
  };
  return { result: "fail", tests: [...tests, outside] };
}

/** Nothing is known of the kernel: the job, this lab or its owner is why. */
export function noResult(errorCode: NodeErrorCode, message: string): JobResult {
  return { result: "incomplete", errorCode, message: message.slice(0, LONGEST), tests: [] };
}
