import { asCalled, VfioError } from "@vfio-selftests/core/errors";
import { ExitCode } from "./exit-codes";

/** When this variable has any value, errors are printed with their stack. */
const DEBUG_VARIABLE = "VFIO_SELFTESTS_DEBUG";

const EXIT_CODE_OF_ERROR: Readonly<Record<string, number>> = {
  ERR_INVALID_ARGUMENT: ExitCode.usage,
  ERR_LAB_BOOT: ExitCode.notBooted,
  ERR_NOTHING_TO_RUN: ExitCode.nothingRan,
};

/** Writes for a person what went wrong and what to do, without a stack. Returns the exit code. */
export function reportError(error: unknown, write: (text: string) => void): number {
  if (process.env[DEBUG_VARIABLE] !== undefined) {
    write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  } else {
    write(`vfio-selftests: ${asCalled(messageOf(error))}\n`);
  }
  if (!(error instanceof VfioError)) return ExitCode.failed;
  return EXIT_CODE_OF_ERROR[error.code] ?? ExitCode.failed;
}

/** The same on standard error. */
export function tellError(error: unknown): number {
  return reportError(error, (text) => process.stderr.write(text));
}

/** `@vfio-selftests/native` stands below core, and knows no VfioError. */
function hasNoAddon(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_NO_ADDON";
}

function messageOf(error: unknown): string {
  if (error instanceof VfioError || hasNoAddon(error)) return error.message;
  const message = error instanceof Error ? error.message : String(error);
  return `${message}\n  (not an error this program foresees; ${DEBUG_VARIABLE}=1 shows where it comes from)`;
}
