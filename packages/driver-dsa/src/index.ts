import { dsaDriver } from "./dsa-driver";

export { dsaDriver };
/** What `vfio-selftests` looks for in a driver package. */
export const driver = dsaDriver;
