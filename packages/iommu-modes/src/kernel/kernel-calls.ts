import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { native, type NativeBinding } from "@vfio-selftests/native";

/** The system calls that the modes, devices and iommufd's objects make. */
export type KernelCalls = Pick<
  NativeBinding,
  | "open"
  | "close"
  | "createPoller"
  | "dup"
  | "ioctl"
  | "bindIoctl"
  | "read"
  | "write"
  | "pread"
  | "pwrite"
  | "pollBlocking"
  | "mapIo"
  | "pageSize"
  | "getResourceLimit"
>;

/** What the modes reach outside the process: system calls and paths. A test passes its own. */
export interface KernelEnvironment {
  /** The system calls. */
  readonly calls: KernelCalls;
  /** Where `/dev` and `/sys` are. */
  readonly paths: SystemPaths;
}

/** The machine's own kernel, by the native addon. */
export const realKernel: KernelEnvironment = { calls: native, paths: systemPaths };
