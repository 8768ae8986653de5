/** What the process says to its caller; numbers as the kernel's selftests use them. Part of the interface. */
export const ExitCode = {
  ok: 0,
  /** A test failed, or the command could not do what was asked. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** Nothing ran: no device, or every test was skipped (KSFT_SKIP). */
  skipped: 4,
} as const;
