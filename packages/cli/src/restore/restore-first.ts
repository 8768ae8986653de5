import { restoreLeftovers } from "@vfio-selftests/harness";

/**
 * Puts back what an earlier process left changed, which was killed together with its guardian. Failures are left to
 * `restore`, which reports them.
 */
export function restoreFirst(): void {
  for (const { path, value, error } of restoreLeftovers()) {
    if (error === undefined) process.stderr.write(`put back after a run that crashed: ${path} is ${value}\n`);
  }
}
