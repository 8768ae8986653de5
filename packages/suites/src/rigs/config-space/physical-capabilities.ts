import type { PhysicalConfig } from "./physical-config";

/** Standard capabilities that vfio-pci shows: those to which pci_cap_length gives a length. It takes all others out of the list. */
export const SHOWN_CAPABILITIES: readonly number[] = [0x01, 0x02, 0x03, 0x05, 0x07, 0x08, 0x09, 0x10, 0x11, 0x12, 0x13];

/** Extended capabilities that vfio-pci shows (pci_ext_cap_length). */
export const SHOWN_EXTENDED_CAPABILITIES: readonly number[] = [
  0x01, 0x02, 0x03, 0x04, 0x08, 0x09, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x23,
];

/** A capability in the device's own registers. */
export interface PhysicalCapability {
  readonly id: number;
  readonly offset: number;
}

/** The device's own standard capabilities, in the order of the list. */
export function standardCapabilities(physical: PhysicalConfig): PhysicalCapability[] {
  const found: PhysicalCapability[] = [];
  for (let offset = physical.read8(0x34) & 0xfc; offset !== 0 && found.length < 48;) {
    found.push({ id: physical.read8(offset), offset });
    offset = physical.read8(offset + 1) & 0xfc;
  }
  return found;
}

/** The device's own extended capabilities, in the order of the list. `size`: bytes of configuration space. */
export function extendedCapabilities(
  physical: PhysicalConfig,
  size: number,
): (PhysicalCapability & { readonly version: number })[] {
  const found: (PhysicalCapability & { readonly version: number })[] = [];
  for (let offset = 0x100; size > 0x100 && offset !== 0 && found.length < 960;) {
    const header = physical.read32(offset);
    if (header === 0 || header === 0xffff_ffff) break;
    found.push({ id: header & 0xffff, offset, version: (header >>> 16) & 0xf });
    offset = (header >>> 20) & 0xffc;
  }
  return found;
}
