import { readFileSync } from "node:fs";
import { listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";

/** Bits of VT-d's extended capability register (drivers/iommu/intel/iommu.h, ecap_*). */
export const ECAP = {
  /** The IOMMU can forbid accesses without snooping. */
  snoopControl: 1n << 7n,
  /** Tables can be nested in others. */
  nesting: 1n << 26n,
  scalableMode: 1n << 43n,
  firstStage: 1n << 47n,
} as const;

/** Bits of addresses of a second-stage table, by the bits of SAGAW. The first of these is reserved. */
const TABLE_BITS = [0, 39, 48, 57] as const;

/** The extended capability register of each of the machine's Intel IOMMUs; empty where there is none. */
export function intelExtendedCapabilities(): bigint[] {
  return intelRegisters("ecap");
}

/** The capability register of each. */
export function intelCapabilities(): bigint[] {
  return intelRegisters("cap");
}

/**
 * Bits of the addresses that a second-stage page table of this IOMMU translates: as many as the hardware takes (MGAW), and as many as
 * its largest table has (SAGAW; VT-d 4.1, section 11.4.2).
 */
export function addressBits(capabilities: bigint): number {
  const hardware = Number((capabilities >> 16n) & 0x3fn) + 1;
  const tables = TABLE_BITS.filter((_, bit) => ((capabilities >> BigInt(8 + bit)) & 1n) !== 0n);
  return Math.min(hardware, Math.max(...tables));
}

/** The large pages that every Intel IOMMU has in its second-stage tables, as a bitmap of sizes; none without such an IOMMU. */
export function intelSuperPages(): bigint | undefined {
  const capabilities = intelCapabilities();
  if (capabilities.length === 0) return undefined;
  const common = capabilities.reduce((all, one) => all & one);
  // SLLPS: bit 34 for 2 MiB, bit 35 for 1 GiB (VT-d 4.1, section 11.4.2).
  return [34n, 35n].reduce((all, bit, level) => all | (((common >> bit) & 1n) << BigInt(21 + 9 * level)), 0n);
}

function intelRegisters(name: "cap" | "ecap"): bigint[] {
  const directory = systemPaths.sys("class", "iommu");
  return listDirectory(directory)
    .filter((unit) => unit.startsWith("dmar"))
    .map((unit) => {
      const file = systemPaths.sys("class", "iommu", unit, "intel-iommu", name);
      return BigInt(`0x${readFileSync(file, "utf8").trim()}`);
    });
}

/** Whether the Intel driver uses first-stage page tables for its domains (intel/iommu.c). */
export function usesFirstStage(): boolean {
  const needed = ECAP.scalableMode | ECAP.firstStage;
  return intelExtendedCapabilities().some((capabilities) => (capabilities & needed) === needed);
}
