import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";

/** Bytes of an entry: address, upper address, data, control (PCI 3.0, section 6.8.2). */
const TABLE_ENTRY = 16;
/** The bit of an entry's control word that masks its vector. */
export const ENTRY_MASKED = 1;

/** The MSI-X table itself, through the mapping of its BAR. */
export class MsixTable {
  readonly #device: PciDevice;
  readonly #bar: number;
  readonly #offset: number;

  /** Skips the test where the table cannot be mapped. */
  constructor(device: PciDevice) {
    const capability = device.config.findCapability(PciCapabilityId.msix);
    if (capability === undefined) skip({ reason: "the device has no MSI-X", remedy: "use a device with MSI-X" });
    const place = device.config.read32(capability.offset + 4);
    this.#device = device;
    this.#bar = place & 7;
    this.#offset = place - this.#bar;
    if (!device.bar(this.#bar).region.msixMappable) {
      skip({ reason: "the kernel does not let the MSI-X table be mapped", remedy: "use Linux 4.16 or newer" });
    }
  }

  entry(vector: number): { address: number; data: number; control: number } {
    const at = this.#offset + vector * TABLE_ENTRY;
    const bar = this.#device.bar(this.#bar);
    return { address: bar.read32(at), data: bar.read32(at + 8), control: bar.read32(at + 12) };
  }

  writeAddress(vector: number, address: number): void {
    this.#device.bar(this.#bar).write32(this.#offset + vector * TABLE_ENTRY, address);
  }
}
