/** What a driver, and what runs one, is built from (`@vfio-selftests/core/driver`). */
export type { Driver, DriverInstance, DriverLimits } from "../contracts/driver";
export { DEFAULT_WAIT_MS } from "../interrupts/time-out";
export {
  DRIVER_KEYWORD,
  discoverDrivers,
  loadDriver,
  resolveDriver,
  type DiscoveredDrivers,
  type FoundDriver,
} from "./discover-drivers";
export { DriverRegistry, type DriverVerdict, type RegisteredDriver } from "./driver-registry";
export { DriverSession, type DriverSessionOptions } from "./driver-session";
export { memcpyChunks, type MemcpyChunk } from "./memcpy-chunks";
export { pollUntil, type PollOptions } from "./poll-until";
export { loadProjectConfig, type LoadedProjectConfig, type ProjectConfig } from "./project-config";
export { sleepSync } from "./sleep-sync";
export { driverOfModule, validateDriver } from "./validate-driver";
