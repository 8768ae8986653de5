import { configSpace, PcieType, pciExpress, powerManagement } from "../config-space/index";
import type { RegisterFile, RegisterMap } from "../registers/index";
import {
  accessControl,
  accessCorrelation,
  designatedVendorSpecific,
  powerAllocation,
  powerBudgeting,
  processingHints,
  resizableBars,
  serialNumber,
  unknownCapability,
  vendorSpecificExtended,
  virtualChannels,
} from "./extended-capabilities";
import {
  advancedFeatures,
  debugPort,
  hyperTransport,
  messageSignalledInterrupts,
  pciX,
  pciXWithErrorCorrection,
  serialAta,
  subsystemIds,
  vendorSpecific,
  vitalProductData,
} from "./standard-capabilities";

export const BAR0_BYTES = 0x1000;
export const BAR2_BYTES = 0x10_0000;

const HEADER = {
  vendor: 0x1234,
  device: 0xcab5,
  revision: 0x01,
  classCode: 0xff0000,
  bars: [
    { index: 0, bytes: BAR0_BYTES, width: 32 },
    { index: 2, bytes: BAR2_BYTES, width: 64, prefetchable: true },
  ],
} as const;

const FIRST = [
  powerManagement(0x40, { wakes: true }),
  vitalProductData(0x48),
  subsystemIds(0xec),
  messageSignalledInterrupts(0x50),
  pciExpress(0x68, { type: PcieType.rootComplexIntegratedEndpoint }),
  advancedFeatures(0xa4),
] as const;
const LAST = [vendorSpecific(0xf4), debugPort(0xfc)] as const;

const EXTENDED = [
  unknownCapability(0x100),
  virtualChannels(0x110),
  serialNumber(0x160),
  powerBudgeting(0x170),
  vendorSpecificExtended(0x188),
  accessControl(0x1a8),
  accessCorrelation(0x1bc),
  powerAllocation(0x1c4),
  processingHints(0x1dc),
  designatedVendorSpecific(0x1f8),
  resizableBars(0x210),
] as const;

/**
 * Each capability that vfio-pci knows and QEMU's devices lack. Those that vfio-pci hides stand first, last and between others,
 * because it removes each of them in another way.
 */
export const CAPABILITIES_CONFIG = configSpace("capabilities config", {
  header: HEADER,
  capabilities: [...FIRST, hyperTransport(0xac), serialAta(0xcc), pciX(0xe0), ...LAST],
  extended: EXTENDED,
  registers: {},
});

/** The same with PCI-X of another version, which needs the room of two others. */
export const PCIX_CONFIGS = { 1: withErrorCorrection(1), 2: withErrorCorrection(2) } as const;

function withErrorCorrection(version: 1 | 2) {
  return configSpace(`capabilities config with PCI-X of version ${version}`, {
    header: HEADER,
    capabilities: [...FIRST, pciXWithErrorCorrection(0xac, version), ...LAST],
    extended: EXTENDED,
    registers: {},
  });
}

/** What every one of these has and the model needs. */
type Needed = Pick<
  (typeof CAPABILITIES_CONFIG)["declarations"],
  "PCIE_DEVICE_CONTROL" | "AF_CONTROL" | "VPD_ADDRESS" | "VPD_DATA"
>;

export type ConfigMap = RegisterMap<Needed>;
export type Config = RegisterFile<Needed>;
