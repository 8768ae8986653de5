import type { Capability } from "../../config-space/index";
import {
  advancedErrorReporting,
  configSpace,
  msix,
  PcieType,
  pciExpress,
  powerManagement,
} from "../../config-space/index";
import { placedAt } from "../../registers/index";
import { BAR0_SIZE, BAR2_SIZE, DSA, type DsaOptions, Table } from "./capabilities";

/** ATS_CONTROL and PASID_CONTROL: the enable bits. */
export const ATS_ENABLE = 0x8000;
export const PASID_ENABLE = 0x1;

/** Address translation services (PCI Express 4.0, section 10.5.1). Requests may use any page alignment. */
function addressTranslation(at: number) {
  return {
    name: "ATS",
    id: 0x000f,
    at,
    bytes: 8,
    registers: placedAt(at, {
      ATS_CAPABILITIES: { offset: 4, bytes: 2, reset: 0x20 },
      ATS_CONTROL: { offset: 6, bytes: 2, readWrite: ATS_ENABLE | 0x1f },
    }),
  } as const satisfies Capability;
}

/** Process address space ids (PCI Express 4.0, section 7.8.8): 20 bits, without execute and privileged mode. */
function processAddressSpace(at: number) {
  return {
    name: "PASID",
    id: 0x001b,
    at,
    bytes: 8,
    registers: placedAt(at, {
      PASID_CAPABILITIES: { offset: 4, bytes: 2, reset: 20 << 8 },
      PASID_CONTROL: { offset: 6, bytes: 2, readWrite: PASID_ENABLE },
    }),
  } as const satisfies Capability;
}

/** Config space (specification 341204, appendix C): places and values of the header and the standard capabilities. */
export function dsaConfigSpace(options: DsaOptions) {
  return configSpace("dsa", {
    header: {
      vendor: 0x8086,
      device: 0x0b25,
      classCode: 0x088000,
      // "Existing hardware device emulation" (QEMU, docs/specs/pci-ids.rst). It tells a driver that descriptors need
      // not come in one write.
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      bars: [
        { index: 0, bytes: BAR0_SIZE, width: 64, prefetchable: true },
        { index: 2, bytes: BAR2_SIZE, width: 64, prefetchable: true },
      ],
    },
    capabilities: [
      pciExpress(0x40, { type: PcieType.rootComplexIntegratedEndpoint }),
      msix(0x80, {
        vectors: DSA.msixVectors,
        table: { bar: 0, offset: Table.msix },
        pendingBits: { bar: 0, offset: Table.msixPending },
      }),
      powerManagement(0x90),
    ],
    extended: [
      advancedErrorReporting(0x100),
      ...(options.ats === true ? [addressTranslation(0x150)] : []),
      ...(options.pasid === true ? [processAddressSpace(0x160)] : []),
    ],
    registers: {},
  });
}

export type DsaConfigRegisters = ReturnType<typeof dsaConfigSpace>["declarations"];
