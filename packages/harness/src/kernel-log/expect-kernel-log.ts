import { notChecked } from "../outcome/note";

/** Global of a test's realm that collects what the running test expects. The environment sets it. @internal */
export const EXPECTED = Symbol.for("vfio-selftests.expected-kernel-log");

/** @internal */
export interface ExpectedMessage {
  readonly pattern: RegExp;
  /** The page that describes a kernel defect. A kernel without the defect does not print the message. */
  readonly finding?: string;
}

/**
 * Says that the running test makes the kernel print this. A report that matches does not fail the test. Without a match
 * the test fails. The pattern may match one line of the kernel's log or a whole report. Where nobody watches the log,
 * the test's notes say that the message was not checked.
 */
export function expectKernelLog(pattern: RegExp): void {
  if (!expectMessage({ pattern })) notChecked(`the kernel's message ${String(pattern)}`, "nobody watches its log");
}

/**
 * Says that a known defect of kernels may print this during the running test. A report that matches does not fail the
 * test; its notes name the defect's page (`docs/kernel-findings/…`).
 */
export function knownKernelDefect(pattern: RegExp, finding: string): void {
  expectMessage({ pattern, finding });
}

function expectMessage(message: ExpectedMessage): boolean {
  const expected = (globalThis as { [EXPECTED]?: ExpectedMessage[] })[EXPECTED];
  expected?.push(message);
  return expected !== undefined;
}
