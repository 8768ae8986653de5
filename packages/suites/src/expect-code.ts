/** For `expect(…).toThrow`: a VfioError with this code (`EOVERFLOW`), whatever its text. */
export function errorWithCode(code: string): Error {
  return expect.objectContaining({ name: "VfioError", code }) as Error;
}
