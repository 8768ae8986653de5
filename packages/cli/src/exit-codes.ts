/** A command's exit codes, besides those of a run (`exitCodeOf` of the harness). They are part of the interface. */
export const ExitCode = {
  ok: 0,
  /** The command could not do its task. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The lab's VM did not boot: nothing is known of the tests, and more about the kernel. */
  notBooted: 3,
  /** There was nothing to do. A run in which no test ran has the same number. */
  nothingRan: 4,
} as const;

/** For help and the man page. A run's 1 and 4 are those of the harness. */
export const EXIT_CODE_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [ExitCode.ok, "all that ran passed"],
  [ExitCode.failed, "a failure"],
  [ExitCode.usage, "wrong usage"],
  [ExitCode.notBooted, "the VM did not boot"],
  [ExitCode.nothingRan, "nothing ran (no device, or all skipped)"],
];
