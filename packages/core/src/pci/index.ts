/** PCI's registers and capabilities as data (`@vfio-selftests/core/pci`). */
export { walkCapabilities, walkExtendedCapabilities } from "./config/capabilities";
export type { CapabilityWalk, ConfigReader } from "./config/capabilities";
export * from "./config/registers";
