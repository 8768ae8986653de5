import { pciCapabilityNames, PciConfig, pciExtendedCapabilityNames, PciStatus } from "./registers";

/** One entry of a device's capability list. */
export interface PciCapability {
  /** See `PciCapabilityId`, and `PciExtendedCapabilityId` for an extended one. */
  readonly id: number;
  /** For people. `Unknown 0x1c` if the table has none. */
  readonly name: string;
  /** Offset in configuration space, in bytes. */
  readonly offset: number;
  /** Version field of an extended capability; undefined for a standard one. */
  readonly version?: number;
}

/** The result of a walk, and why it ended early if the list is broken. */
export interface CapabilityWalk {
  /** In the order of the list. */
  readonly capabilities: readonly PciCapability[];
  /** What is wrong with the list; undefined if it ended as it should. The capabilities before the problem are good. */
  readonly problem?: string;
}

/** The input of a walk: `size` bytes of configuration space. */
export interface ConfigReader {
  /** Bytes: 256, or 4096 for PCI Express. */
  readonly size: number;
  /** Reads 8 bits. */
  read8(offset: number): number;
  /** Reads 16 bits, unsigned. */
  read16(offset: number): number;
  /** Reads 32 bits, unsigned. */
  read32(offset: number): number;
}

/** Walks the list at 0x34. It ends whatever the content, because it visits an offset at most once. */
export function walkCapabilities(config: ConfigReader): CapabilityWalk {
  const capabilities: PciCapability[] = [];
  if ((config.read16(PciConfig.status) & PciStatus.capabilityList) === 0) return { capabilities };
  const visited = new Set<number>();
  const end = Math.min(config.size, PciConfig.conventionalSize);
  // The two low bits of every pointer are reserved: software must mask them (PCI 3.0, section 6.7).
  let offset = config.read8(PciConfig.capabilityPointer) & 0xfc;
  while (offset !== 0) {
    const problem = offsetProblem(offset, PciConfig.headerEnd, end - 2, visited);
    if (problem !== undefined) return { capabilities, problem };
    visited.add(offset);
    const id = config.read8(offset);
    // All ones: the device does not answer, because it was removed or is in reset.
    if (id === 0xff) return { capabilities, problem: `capability at ${hex(offset)} reads as all ones` };
    capabilities.push({ id, name: nameOf(pciCapabilityNames, id), offset });
    offset = config.read8(offset + 1) & 0xfc;
  }
  return { capabilities };
}

/** Walks the list at 0x100. Empty for a device with 256 bytes of configuration space. It ends whatever the content. */
export function walkExtendedCapabilities(config: ConfigReader): CapabilityWalk {
  const capabilities: PciCapability[] = [];
  if (config.size <= PciConfig.conventionalSize) return { capabilities };
  const visited = new Set<number>();
  let offset: number = PciConfig.conventionalSize;
  while (offset !== 0) {
    const problem = offsetProblem(offset, PciConfig.conventionalSize, config.size - 4, visited);
    if (problem !== undefined) return { capabilities, problem };
    visited.add(offset);
    const header = config.read32(offset);
    // "No extended capabilities" is a zero header at 0x100 (PCIe, section 7.6.3), or all ones where they cannot be
    // read.
    if (header === 0 || header === 0xffffffff) {
      if (offset === PciConfig.conventionalSize) return { capabilities };
      if (header !== 0) return { capabilities, problem: `extended capability at ${hex(offset)} reads as all ones` };
    }
    const id = header & 0xffff;
    // vfio-pci hides a capability at 0x100 behind id 0 and keeps the chain (vfio_ecap_init). The list shows it as
    // "Null".
    capabilities.push({
      id,
      name: nameOf(pciExtendedCapabilityNames, id),
      offset,
      version: (header >>> 16) & 0xf,
    });
    offset = (header >>> 20) & 0xffc;
  }
  return { capabilities };
}

function offsetProblem(offset: number, first: number, last: number, visited: Set<number>): string | undefined {
  if (offset < first || offset > last) {
    return `capability pointer ${hex(offset)} is outside ${hex(first)}..${hex(last)}`;
  }
  if (visited.has(offset)) return `capability list loops back to ${hex(offset)}`;
  return undefined;
}

function nameOf(names: Readonly<Record<number, string>>, id: number): string {
  return names[id] ?? `Unknown ${hex(id)}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
