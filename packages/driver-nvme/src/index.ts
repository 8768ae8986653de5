import { nvmeDriver, nvmeDriverFor } from "./nvme-driver";

export { nvmeDriver, nvmeDriverFor };
export { SCRATCH_VARIABLE, type ScratchDisk } from "./scratch-disks";
/** What `vfio-selftests` looks for in a driver package. */
export const driver = nvmeDriver;
