import { configSpace, PcieType, pciExpress, powerManagement } from "../config-space/index";
import type { RegisterFile } from "../registers/index";
import {
  accessControl,
  accessCorrelation,
  designatedVendorSpecific,
  powerAllocation,
  powerBudgeting,
  processingHints,
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
  serialAta,
  subsystemIds,
  vendorSpecific,
  vitalProductData,
} from "./standard-capabilities";

export const BAR0_BYTES = 0x1000;

/**
 * Each capability that vfio-pci knows and QEMU's devices lack. Those that vfio-pci hides stand first, last and between others,
 * because it removes each of them in another way.
 */
export const CAPABILITIES_CONFIG = configSpace("capabilities config", {
  header: {
    vendor: 0x1234,
    device: 0xcab5,
    revision: 0x01,
    classCode: 0xff0000,
    bars: [{ index: 0, bytes: BAR0_BYTES, width: 32 }],
  },
  capabilities: [
    powerManagement(0x40),
    vitalProductData(0x48),
    subsystemIds(0xec),
    messageSignalledInterrupts(0x50),
    pciExpress(0x68, { type: PcieType.rootComplexIntegratedEndpoint }),
    advancedFeatures(0xa4),
    hyperTransport(0xac),
    serialAta(0xcc),
    pciX(0xe0),
    vendorSpecific(0xf4),
    debugPort(0xfc),
  ],
  extended: [
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
  ],
  registers: {},
});

export type Config = RegisterFile<(typeof CAPABILITIES_CONFIG)["declarations"]>;
