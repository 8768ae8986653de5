/** A command's exit codes, beside those of a run (`exitCodeOf` of the harness). Part of the interface. */
export const ExitCode = {
  ok: 0,
  /** The command could not do its task. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
} as const;
