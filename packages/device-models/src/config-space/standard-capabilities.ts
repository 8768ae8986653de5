import { placedAt, type RegisterDeclarations } from "../registers/index";
import type { Capability } from "./capability";

/** Bits of a device that can wake the machine: in PMC from all states, in PMCSR enabled and pending. */
const PME = { support: 0xf800, enable: 1 << 8, status: 1 << 15 } as const;

/**
 * Power management, version 3 (PCI Express 4.0, section 7.5.2): D0 and D3hot, no reset on the way back to D0. With `wakes`, the device
 * has a power management event (PME) to tell of, from the first moment and after each reset.
 */
export function powerManagement(at: number, { wakes = false } = {}) {
  return {
    name: "PM",
    id: 0x01,
    at,
    bytes: 8,
    registers: placedAt(at, {
      PM_CAPABILITIES: { offset: 2, bytes: 2, reset: wakes ? 0x0003 | PME.support : 0x0003 },
      /** PowerState, with No_Soft_Reset set. */
      PM_CONTROL_STATUS: {
        offset: 4,
        bytes: 4,
        reset: wakes ? 0x8 | PME.enable | PME.status : 0x8,
        readWrite: wakes ? 0x3 | PME.enable : 0x3,
        writeOneToClear: wakes ? PME.status : 0,
      },
    }),
  } as const satisfies Capability;
}

/** The MSI-X capability of a model (PCI 3.0, section 6.8.2). */
export interface MsixDeclaration {
  /** 1..2048. */
  readonly vectors: number;
  /** Where table and pending bits lie: BAR index and offset (a multiple of 8). */
  readonly table: { readonly bar: number; readonly offset: number };
  /** See `table`. */
  readonly pendingBits: { readonly bar: number; readonly offset: number };
}

/** Bits of MSI-X message control (PCI Express 4.0, section 7.7.2.2). */
export const MsixControl = { functionMask: 0x4000, enable: 0x8000 } as const;

/** MSI-X (PCI Express 4.0, section 7.7.2). */
export function msix(at: number, { vectors, table, pendingBits }: MsixDeclaration) {
  if (!Number.isSafeInteger(vectors) || vectors < 1 || vectors > 2048) {
    throw new RangeError(`MSI-X: ${vectors} vectors; allowed: 1..2048`);
  }
  return {
    name: "MSIX",
    id: 0x11,
    at,
    bytes: 12,
    registers: placedAt(at, {
      MSIX_CONTROL: {
        offset: 2,
        bytes: 2,
        reset: vectors - 1,
        readWrite: MsixControl.enable | MsixControl.functionMask,
      },
      MSIX_TABLE: { offset: 4, bytes: 4, reset: place("table", table) },
      MSIX_PENDING_BITS: { offset: 8, bytes: 4, reset: place("pending bits", pendingBits) },
    }),
  } as const satisfies Capability;
}

function place(what: string, { bar, offset }: { bar: number; offset: number }): number {
  if (offset % 8 !== 0 || bar < 0 || bar > 5) throw new RangeError(`MSI-X ${what}: BAR ${bar}, offset ${offset}`);
  return offset | bar;
}

/** An MSI-X table in a BAR as registers: per vector address, upper address, data and vector control (reset: masked). */
export function msixTableRegisters(offset: number, vectors: number) {
  const repeat = { count: vectors, stride: 16 };
  return placedAt(offset, {
    MSIX_ADDRESS: { offset: 0, bytes: 4, readWrite: 0xffff_fffc, repeat },
    MSIX_UPPER_ADDRESS: { offset: 4, bytes: 4, readWrite: 0xffff_ffff, repeat },
    MSIX_DATA: { offset: 8, bytes: 4, readWrite: 0xffff_ffff, repeat },
    MSIX_VECTOR_CONTROL: { offset: 12, bytes: 4, reset: 1, readWrite: 1, repeat },
  }) satisfies RegisterDeclarations;
}

/** Device and port types of the PCI Express capability (PCI Express 4.0, section 7.5.3.2). */
export const PcieType = { endpoint: 0x0, rootComplexIntegratedEndpoint: 0x9 } as const;

/**
 * Bit of PCIE_DEVICE_CONTROL that starts a function level reset. It reads 0, so a hook must look at the written value.
 */
export const INITIATE_FUNCTION_LEVEL_RESET = 0x8000;

const FLR_CAPABLE = 1 << 28;
const ROLE_BASED_ERRORS = 1 << 15;

/**
 * PCI Express, version 2 (PCI Express 4.0, section 7.5.3): 0x3c bytes, which QEMU demands. It is an integrated
 * endpoint, so its link, slot and root registers read 0. The device can do function level resets.
 */
export function pciExpress(at: number, { type }: { type: number }) {
  return {
    name: "PCIE",
    id: 0x10,
    at,
    bytes: 0x3c,
    registers: placedAt(at, {
      PCIE_CAPABILITIES: { offset: 0x02, bytes: 2, reset: 0x2 | (type << 4) },
      PCIE_DEVICE_CAPABILITIES: { offset: 0x04, bytes: 4, reset: FLR_CAPABLE | ROLE_BASED_ERRORS },
      PCIE_DEVICE_CONTROL: { offset: 0x08, bytes: 2, reset: 0x2810, readWrite: 0x7fff & ~0x0600 },
      PCIE_DEVICE_STATUS: { offset: 0x0a, bytes: 2, writeOneToClear: 0x000f },
      PCIE_DEVICE_CAPABILITIES_2: { offset: 0x24, bytes: 4, reset: 0x10 },
      PCIE_DEVICE_CONTROL_2: { offset: 0x28, bytes: 2, readWrite: 0x001f },
      PCIE_DEVICE_STATUS_2: { offset: 0x2a, bytes: 2 },
    }),
  } as const satisfies Capability;
}
