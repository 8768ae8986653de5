import { VfioError } from "@vfio-selftests/core/errors";
import { ExitCode } from "../exit-codes";

/**
 * How `git bisect run` reads an exit status: 0 is good, 125 skips the commit, 128 and more end the bisection, others
 * are bad.
 */
export const BISECT = {
  bad: 1,
  skip: 125,
  /** The command line is wrong, whatever the commit. */
  stop: 128,
} as const;

/** The status for `git bisect run` after a run. A failed test is bad, and so is a VM that went down under the tests. */
export function bisectStatus(code: number): number {
  return code === ExitCode.ok || code === ExitCode.failed || code >= BISECT.skip ? code : BISECT.skip;
}

/** The status for `git bisect run` after an error. */
export function bisectErrorStatus(error: unknown): number {
  const code = error instanceof VfioError ? error.code : undefined;
  return code === "ERR_LAB_GUEST_LOST" ? BISECT.bad : BISECT.skip;
}

/** Runs a command. With `--bisect` its exit code is that of `git bisect run`. */
export async function withBisectStatus(
  bisect: boolean | undefined,
  run: () => Promise<number>,
  report: (error: unknown) => void,
): Promise<number> {
  if (bisect !== true) return run();
  try {
    return bisectStatus(await run());
  } catch (error) {
    report(error);
    return bisectErrorStatus(error);
  }
}

export function usageStatus(args: readonly string[]): number {
  return args.includes("--bisect") ? BISECT.stop : ExitCode.usage;
}
