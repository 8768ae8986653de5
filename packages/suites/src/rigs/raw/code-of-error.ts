import { VfioError } from "@vfio-selftests/core";

/** `ok`, or the code of the error that the action throws. */
export function codeOfError(act: () => unknown): string {
  try {
    act();
    return "ok";
  } catch (error) {
    if (error instanceof VfioError) return error.code;
    throw error;
  }
}
