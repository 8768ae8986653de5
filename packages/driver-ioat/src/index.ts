import { ioatDriver } from "./ioat-driver";

export { ioatDriver };
/** What `vfio-selftests` looks for in a driver package. */
export const driver = ioatDriver;
