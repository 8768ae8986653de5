/** PCI's registers and capabilities as data (`@vfio-selftests/core/pci`). */
export { walkCapabilities, walkExtendedCapabilities } from "./capabilities";
export type { CapabilityWalk, ConfigReader } from "./capabilities";
export * from "./registers";
