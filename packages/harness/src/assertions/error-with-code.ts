import type { VfioErrorCode } from "@vfio-selftests/core";

/** For `expect(…).toThrow`: a VfioError with this code (`EOVERFLOW`), whatever its message. */
export function errorWithCode(code: VfioErrorCode): Error {
  return expect.objectContaining({ name: "VfioError", code }) as Error;
}
