/** What a driver, and the code that runs one, needs (`@vfio-selftests/core/driver`). */
export { BoundedWait, pollUntil, type BoundedWaitOptions, type PollOptions } from "../waits/poll-until";
export { sleepSync } from "../waits/sleep-sync";
export { DEFAULT_WAIT_MS } from "../waits/time-out";
export {
  DRIVER_KEYWORD,
  discoverDrivers,
  driverPackages,
  loadDriver,
  resolveDriver,
  type DiscoveredDrivers,
  type FoundDriver,
} from "./discover-drivers";
export type * from "./driver";
export { DriverRegistry, type DriverVerdict, type RegisteredDriver } from "./driver-registry";
export { DriverSession, type DriverSessionOptions } from "./driver-session";
export { memcpyChunks, type MemcpyChunk } from "./memcpy-chunks";
export { storesWhole64Bytes } from "./processor";
export { Recovery } from "./recovery";
export { loadProjectConfig, type LoadedProjectConfig, type ProjectConfig } from "./project-config";
export { driverOfModule, validateDriver } from "./validate-driver";
export { codeOwner, untrustedFolder, type CodeOwner } from "./untrusted-folder";
