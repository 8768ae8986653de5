import { nvFalconDriver } from "./nv-falcon-driver";

export { nvFalconDriver };
/** What `vfio-selftests` looks for in a driver package. */
export const driver = nvFalconDriver;
