import { PciCapabilityId, PciExtendedCapabilityId } from "@vfio-selftests/core/pci";

/** Configuration space of a PCIe endpoint with the capabilities that `info` decodes. */
export function exampleConfig(): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  const word = (offset: number, value: number) => view.setUint16(offset, value, true);
  const long = (offset: number, value: number) => view.setUint32(offset, value, true);
  word(0x00, 0x8086);
  word(0x02, 0x10c9);
  word(0x04, 0x0006);
  word(0x06, 0x0010);
  bytes[0x34] = 0x40;
  bytes[0x3d] = 1;

  const standard = (at: number, id: number, next: number) => word(at, (next << 8) | id);
  standard(0x40, PciCapabilityId.powerManagement, 0x50);
  word(0x42, 0x0003);
  word(0x44, 0x0008);
  standard(0x50, PciCapabilityId.msi, 0x70);
  // 8 vectors, 64-bit, maskable, off.
  word(0x52, (3 << 1) | 0x180);
  standard(0x70, PciCapabilityId.msix, 0xa0);
  // 10 vectors, on; the table in BAR 3, the pending bits behind it.
  word(0x72, 0x8009);
  long(0x74, 0x0003);
  long(0x78, 0x2003);
  standard(0xa0, PciCapabilityId.pciExpress, 0xe0);
  word(0xa2, 0x0002);
  long(0xa4, (1 << 28) | 1);
  long(0xac, (4 << 4) | 2);
  word(0xb2, (1 << 4) | 1);
  standard(0xe0, 0x1e, 0);

  const extended = (at: number, id: number, next: number) => long(at, ((next << 20) | (1 << 16) | id) >>> 0);
  extended(0x100, PciExtendedCapabilityId.advancedErrorReporting, 0x140);
  long(0x104, 0x4000);
  extended(0x140, PciExtendedCapabilityId.deviceSerialNumber, 0x150);
  long(0x144, 0x44332211);
  long(0x148, 0x88776655);
  extended(0x150, PciExtendedCapabilityId.accessControlServices, 0x160);
  word(0x154, 0x0005);
  word(0x156, 0x0001);
  extended(0x160, PciExtendedCapabilityId.singleRootIov, 0x1a0);
  word(0x16e, 8);
  word(0x170, 2);
  word(0x17a, 0x10ca);
  extended(0x1a0, PciExtendedCapabilityId.addressTranslationServices, 0x1b0);
  word(0x1a6, 0x8000);
  extended(0x1b0, PciExtendedCapabilityId.processAddressSpaceId, 0x1c0);
  word(0x1b4, (20 << 8) | 2);
  extended(0x1c0, PciExtendedCapabilityId.resizableBar, 0);
  long(0x1c8, (1 << 5) | (8 << 8) | 2);
  return bytes;
}
