import { notChecked } from "../outcome/note";

/** Global of a test's realm that collects what the running test expects; the environment puts it there. @internal */
export const EXPECTED = Symbol.for("vfio-selftests.expected-kernel-log");

/** @internal */
export interface ExpectedMessage {
  readonly pattern: RegExp;
  /** Of a defect of kernels: the page that describes it. A kernel without the defect does not print the message. */
  readonly finding?: string;
}

/**
 * Says that the running test makes the kernel print this. A report that matches does not fail the test; a test whose
 * message does not come fails. The pattern is looked for in each line of the kernel's, and in a report as a whole. Where
 * nobody watches the kernel's log, the test's notes say that it was not checked.
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
