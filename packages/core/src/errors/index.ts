/** The makers of this project's errors (`@vfio-selftests/core/errors`). */
export { asCalled } from "./as-called";
export * from "./errno";
export { ERROR_CODES, type OwnErrorCode } from "./error-codes";
export { remedyFor, writeRemedy } from "./remedies";
export * from "./vfio-error";
