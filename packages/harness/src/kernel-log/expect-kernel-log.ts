import type { NOTES } from "../outcome/note";
import { notChecked } from "../outcome/note";

/** Global of a test's realm that collects the running test's patterns; the environment puts it there. @internal */
export const EXPECTED = Symbol.for("vfio-selftests.expected-kernel-log");

/**
 * Says that the running test makes the kernel print this. A report that matches does not fail the test; a test whose
 * message does not come fails. The pattern is looked for in each line of the kernel's, and in a report as a whole. Where
 * nobody watches the kernel's log, the test's notes say that it was not checked.
 */
export function expectKernelLog(pattern: RegExp): void {
  const globals = globalThis as { [EXPECTED]?: RegExp[]; [NOTES]?: unknown };
  if (globals[EXPECTED] !== undefined) globals[EXPECTED].push(pattern);
  else notChecked(`the kernel's message ${String(pattern)}`, "nobody watches its log");
}
