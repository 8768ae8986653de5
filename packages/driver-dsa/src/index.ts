import { dsaDriver, dsaDriverOn } from "./dsa-driver";

export { dsaDriver, dsaDriverOn };
export type { Processor } from "./portal-stores";
/** What `vfio-selftests` looks for in a driver package. */
export const driver = dsaDriver;
