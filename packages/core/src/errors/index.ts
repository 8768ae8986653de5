/** How this project's errors are made (`@vfio-selftests/core/errors`). */
export * from "./errno";
export { remedyFor } from "./remedies";
export * from "./vfio-error";
