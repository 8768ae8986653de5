import { VfioError } from "@vfio-selftests/core";
import { ExitCode } from "../exit-codes";

/** What `git bisect run` makes of an exit status: 0 good, 125 cannot be told, 128 and more end it, anything else bad. */
export const BISECT = {
  bad: 1,
  skip: 125,
  /** The command line makes no sense, at any commit. */
  stop: 128,
} as const;

/** The status of a run, told to `git bisect run`. A test that failed, or the end of a VM under the tests, is bad. */
export function bisectStatus(code: number): number {
  return code === ExitCode.ok || code === ExitCode.failed || code >= BISECT.skip ? code : BISECT.skip;
}

/** The same for a command that could not do its work. */
export function bisectErrorStatus(error: unknown): number {
  const code = error instanceof VfioError ? error.code : undefined;
  return code === "ERR_LAB_GUEST_LOST" ? BISECT.bad : BISECT.skip;
}

/** Runs a command under `--bisect`, or without. */
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
