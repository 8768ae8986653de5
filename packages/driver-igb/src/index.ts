import { igbDriver } from "./igb-driver";

export { igbDriver };
/** What `vfio-selftests` looks for in a driver package. */
export const driver = igbDriver;
