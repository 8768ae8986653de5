import type { Capability } from "../config-space/index";
import { placedAt } from "../registers/index";
import { BYTE, HALF, WORD } from "./writable-registers";

/** Vital product data (PCI 3.0, appendix I). The model moves the data. */
export function vitalProductData(at: number) {
  return {
    name: "VPD",
    id: 0x03,
    at,
    bytes: 8,
    registers: placedAt(at, {
      VPD_ADDRESS: { offset: 2, bytes: 2, readWrite: 0xfffc },
      VPD_DATA: { offset: 4, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Of the bridge's subsystem (PCI-to-PCI Bridge 1.2, section 3.2.5.13). No such thing belongs to an endpoint. */
export function subsystemIds(at: number) {
  return {
    name: "SSVID",
    id: 0x0d,
    at,
    bytes: 8,
    registers: placedAt(at, {
      SSVID_RESERVED: { offset: 2, bytes: 2 },
      SSVID_IDS: { offset: 4, ...WORD, reset: 0x5678_1234 },
    }),
  } as const satisfies Capability;
}

/** Vectors of the model, as a power of two. */
const MSI_VECTORS_LOG2 = 2;
export const MSI_VECTORS = 2 ** MSI_VECTORS_LOG2;

/** MSI with 64-bit addresses and a mask for each vector (PCI 3.0, section 6.8.1). VFIO programs the vectors by SET_IRQS. */
export function messageSignalledInterrupts(at: number) {
  const vectors = 2 ** MSI_VECTORS - 1;
  return {
    name: "MSI",
    id: 0x05,
    at,
    bytes: 24,
    registers: placedAt(at, {
      MSI_CONTROL: { offset: 2, bytes: 2, reset: (MSI_VECTORS_LOG2 << 1) | (1 << 7) | (1 << 8), readWrite: 0x0071 },
      MSI_ADDRESS: { offset: 4, bytes: 4, readWrite: 0xffff_fffc },
      MSI_UPPER_ADDRESS: { offset: 8, ...WORD },
      MSI_DATA: { offset: 12, ...HALF },
      MSI_MASK: { offset: 16, bytes: 4, readWrite: vectors },
      MSI_PENDING: { offset: 20, bytes: 4 },
    }),
  } as const satisfies Capability;
}

/** Bit of AF_CONTROL that starts a function level reset. It reads 0. */
export const AF_INITIATE_RESET = 0x01;

/** Advanced features for conventional PCI (ECN of 2006), with function level reset. */
export function advancedFeatures(at: number) {
  return {
    name: "AF",
    id: 0x13,
    at,
    bytes: 8,
    registers: placedAt(at, {
      AF_LENGTH: { offset: 2, bytes: 1, reset: 6 },
      AF_CAPABILITIES: { offset: 3, bytes: 1, reset: 0x03 },
      AF_CONTROL: { offset: 4, bytes: 1, readWrite: 0xff & ~AF_INITIATE_RESET },
      /** Bit 0 is Transactions Pending, and this device has none. */
      AF_STATUS: { offset: 5, bytes: 1, readWrite: 0xfe },
      AF_BEHIND: { offset: 6, ...BYTE, repeat: { count: 2 } },
    }),
  } as const satisfies Capability;
}

/** A slave or primary interface of HyperTransport (I/O Link 3.10, section 7.5): 28 bytes, and four behind it. */
export function hyperTransport(at: number) {
  return {
    name: "HT",
    id: 0x08,
    at,
    bytes: 32,
    registers: placedAt(at, {
      HT_COMMAND: { offset: 2, bytes: 2 },
      HT_BODY: { offset: 4, ...WORD, repeat: { count: 6 } },
      HT_BEHIND: { offset: 28, ...WORD },
    }),
  } as const satisfies Capability;
}

/** SATA (AHCI 1.3.1, section 2.4), whose index and data follow in config space (location 0xf): 16 bytes, and four behind. */
export function serialAta(at: number) {
  return {
    name: "SATA",
    id: 0x12,
    at,
    bytes: 20,
    registers: placedAt(at, {
      SATA_REVISION: { offset: 2, bytes: 2, reset: 0x10 },
      SATA_LOCATION: { offset: 4, bytes: 4, reset: 0xf, readWrite: 0xffff_fff0 },
      SATA_INDEX: { offset: 8, ...WORD },
      SATA_INDEXED_DATA: { offset: 12, ...WORD },
      SATA_BEHIND: { offset: 16, ...WORD },
    }),
  } as const satisfies Capability;
}

/** PCI-X (PCI-X 2.0, section 7.2), version 0: 8 bytes, and four behind. */
export function pciX(at: number) {
  return {
    name: "PCIX",
    id: 0x07,
    at,
    bytes: 12,
    registers: placedAt(at, {
      /** Bits 13:12 are the version. */
      PCIX_COMMAND: { offset: 2, bytes: 2, readWrite: 0xcfff },
      PCIX_STATUS: { offset: 4, ...WORD },
      PCIX_BEHIND: { offset: 8, ...WORD },
    }),
  } as const satisfies Capability;
}

/** PCI-X of version 1 or 2 (PCI-X 2.0, section 7.2): 24 bytes with the registers of error correction, and four behind. */
export function pciXWithErrorCorrection(at: number, version: 1 | 2) {
  return {
    name: "PCIX",
    id: 0x07,
    at,
    bytes: 28,
    registers: placedAt(at, {
      PCIX_COMMAND: { offset: 2, bytes: 2, reset: version << 12, readWrite: 0xcfff },
      PCIX_STATUS: { offset: 4, ...WORD },
      PCIX_ECC_CONTROL: { offset: 8, ...WORD },
      PCIX_ECC_FIRST_ADDRESS: { offset: 12, ...WORD },
      PCIX_ECC_SECOND_ADDRESS: { offset: 16, ...WORD },
      PCIX_ECC_ATTRIBUTE: { offset: 20, ...WORD },
      PCIX_BEHIND: { offset: 24, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Vendor-specific (PCI 3.0, appendix H): the length, and five bytes. */
export function vendorSpecific(at: number) {
  return {
    name: "VENDOR",
    id: 0x09,
    at,
    bytes: 8,
    registers: placedAt(at, {
      VENDOR_LENGTH: { offset: 2, bytes: 1, reset: 8 },
      VENDOR_BODY: { offset: 3, ...BYTE, repeat: { count: 5 } },
    }),
  } as const satisfies Capability;
}

/** The debug port (EHCI 1.0, appendix C). */
export function debugPort(at: number) {
  return {
    name: "DEBUG",
    id: 0x0a,
    at,
    bytes: 4,
    registers: placedAt(at, { DEBUG_LOCATION: { offset: 2, ...HALF } }),
  } as const satisfies Capability;
}
