import type { Capability } from "../config-space/index";
import { placedAt } from "../registers/index";
import { BYTE, HALF, WORD } from "./writable-registers";

/** With an id that no specification has given away. */
export function unknownCapability(at: number) {
  return {
    name: "UNKNOWN",
    id: 0x3f,
    at,
    bytes: 8,
    registers: placedAt(at, { UNKNOWN_BODY: { offset: 4, ...WORD } }),
  } as const satisfies Capability;
}

/**
 * Virtual channels (PCI Express 4.0, section 7.9.1): two, both of low priority, and an arbitration table of 32 phases at
 * 0x30, which has 16 bytes. Behind it are 16 bytes more.
 */
export function virtualChannels(at: number) {
  const each = { count: 2, stride: 12 } as const;
  return {
    name: "VC",
    id: 0x0002,
    at,
    bytes: 0x50,
    registers: placedAt(at, {
      VC_PORT_CAPABILITIES: { offset: 0x04, bytes: 4, reset: 0x11 },
      VC_PORT_CAPABILITIES_2: { offset: 0x08, bytes: 4, reset: 0x0300_0002 },
      /** Load VC Arbitration Table (bit 0) reads 0. */
      VC_PORT_CONTROL: { offset: 0x0c, bytes: 2, readWrite: 0xfffe },
      /** Bit 0: the table is being loaded, which takes no time here. */
      VC_PORT_STATUS: { offset: 0x0e, bytes: 2, readWrite: 0xfffe },
      VC_RESOURCE_CAPABILITIES: { offset: 0x10, bytes: 4, repeat: each },
      /** Neither Load Port Arbitration Table (bit 16), which reads 0, nor VC Enable (bit 31). */
      VC_RESOURCE_CONTROL: { offset: 0x14, bytes: 4, readWrite: 0x7ffe_ffff, repeat: each },
      /** Neither the table's nor the negotiation's pending bit. */
      VC_RESOURCE_STATUS: { offset: 0x18, bytes: 4, readWrite: 0xfffc_ffff, repeat: each },
      VC_BETWEEN: { offset: 0x28, ...WORD, repeat: { count: 2 } },
      VC_ARBITRATION_TABLE: { offset: 0x30, ...WORD, repeat: { count: 4 } },
      VC_BEHIND: { offset: 0x40, ...WORD, repeat: { count: 4 } },
    }),
  } as const satisfies Capability;
}

/** The device's serial number (PCI Express 4.0, section 7.9.3): 12 bytes, and four behind. */
export function serialNumber(at: number) {
  return {
    name: "DSN",
    id: 0x0003,
    at,
    bytes: 16,
    registers: placedAt(at, {
      DSN_NUMBER: { offset: 4, ...WORD, reset: 0x1234_5678, repeat: { count: 2 } },
      DSN_BEHIND: { offset: 12, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Power budgeting (PCI Express 4.0, section 7.8.1): 16 bytes, and four behind. */
export function powerBudgeting(at: number) {
  return {
    name: "POWER",
    id: 0x0004,
    at,
    bytes: 20,
    registers: placedAt(at, {
      POWER_DATA_SELECT: { offset: 4, ...WORD },
      POWER_DATA: { offset: 8, ...WORD },
      POWER_CAPABILITY: { offset: 12, ...WORD },
      POWER_BEHIND: { offset: 16, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Vendor-specific extended capability, VSEC (PCI Express 4.0, section 7.9.5): id 0xcab, revision 1, 32 bytes. */
export function vendorSpecificExtended(at: number) {
  return {
    name: "VSEC",
    id: 0x000b,
    at,
    bytes: 32,
    registers: placedAt(at, {
      VSEC_IDENTITY: { offset: 4, bytes: 4, reset: 0x0201_0cab },
      VSEC_BODY: { offset: 8, ...WORD, repeat: { count: 6 } },
    }),
  } as const satisfies Capability;
}

/** Access control services (PCI Express 4.0, section 7.7.7) with egress control of 40 functions: 16 bytes, and four behind. */
export function accessControl(at: number) {
  return {
    name: "ACS",
    id: 0x000d,
    at,
    bytes: 20,
    registers: placedAt(at, {
      ACS_CAPABILITIES: { offset: 4, bytes: 2, reset: 0x287f },
      ACS_CONTROL: { offset: 6, ...HALF },
      ACS_EGRESS_VECTOR: { offset: 8, ...WORD, repeat: { count: 2 } },
      ACS_BEHIND: { offset: 16, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Configuration access correlation (PCI Express 2.0, section 7.17), which later revisions dropped. */
export function accessCorrelation(at: number) {
  return {
    name: "CAC",
    id: 0x000c,
    at,
    bytes: 8,
    registers: placedAt(at, { CAC_BODY: { offset: 4, ...WORD } }),
  } as const satisfies Capability;
}

/** Dynamic power allocation (PCI Express 4.0, section 7.9.12) with 5 substates: 21 bytes, and three behind. */
export function powerAllocation(at: number) {
  return {
    name: "DPA",
    id: 0x0016,
    at,
    bytes: 24,
    registers: placedAt(at, {
      /** Bits 4:0: the last substate. */
      DPA_CAPABILITY: { offset: 4, bytes: 4, reset: 4, readWrite: 0xffff_ffe0 },
      DPA_LATENCY_INDICATOR: { offset: 8, ...WORD },
      DPA_STATUS: { offset: 12, ...HALF },
      DPA_CONTROL: { offset: 14, ...HALF },
      DPA_ALLOCATION: { offset: 16, ...BYTE, repeat: { count: 5 } },
      DPA_BEHIND: { offset: 21, ...BYTE, repeat: { count: 3 } },
    }),
  } as const satisfies Capability;
}

/** TPH requester (PCI Express 4.0, section 7.9.13) with a steering table of 6 entries in it: 24 bytes, and four behind. */
export function processingHints(at: number) {
  return {
    name: "TPH",
    id: 0x0017,
    at,
    bytes: 28,
    registers: placedAt(at, {
      TPH_CAPABILITY: { offset: 4, bytes: 4, reset: 0x0005_0207 },
      TPH_CONTROL: { offset: 8, ...WORD },
      TPH_STEERING_TABLE: { offset: 12, ...HALF, repeat: { count: 6 } },
      TPH_BEHIND: { offset: 24, ...WORD },
    }),
  } as const satisfies Capability;
}

/** Designated vendor-specific extended capability, DVSEC (PCI Express 4.0, section 7.9.6): vendor 1234, id 0xcab, 24 bytes. */
export function designatedVendorSpecific(at: number) {
  return {
    name: "DVSEC",
    id: 0x0023,
    at,
    bytes: 24,
    registers: placedAt(at, {
      DVSEC_VENDOR: { offset: 4, bytes: 4, reset: 0x0181_1234 },
      DVSEC_ID: { offset: 8, bytes: 2, reset: 0x0cab },
      DVSEC_BODY: { offset: 10, ...HALF, repeat: { count: 7 } },
    }),
  } as const satisfies Capability;
}

/**
 * Resizable BARs (PCI Express 4.0, section 7.8.6): BAR 2 alone, which has 1 MiB and can have no other size. 12 bytes, and four
 * behind.
 */
export function resizableBars(at: number) {
  return {
    name: "REBAR",
    id: 0x0015,
    at,
    bytes: 16,
    registers: placedAt(at, {
      /** Bit 4: 1 MiB. */
      REBAR_SIZES: { offset: 4, bytes: 4, reset: 0x10 },
      /** Bits 2:0: the BAR; bits 7:5: how many there are; bits 13:8: the size, of which 0 is 1 MiB. */
      REBAR_CONTROL: { offset: 8, bytes: 4, reset: 0x22 },
      REBAR_BEHIND: { offset: 12, ...WORD },
    }),
  } as const satisfies Capability;
}
