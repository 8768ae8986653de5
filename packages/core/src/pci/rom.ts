import type { VfioDevice } from "../contracts/vfio-device";
import { argumentError } from "../errors/vfio-error";
import { VFIO_PCI_ROM_REGION_INDEX } from "../uapi/vfio-numbers";

/** The expansion ROM of a device. */
export class ExpansionRom {
  readonly #device: VfioDevice;
  #size: number | undefined;

  /** Asks the device nothing yet. */
  constructor(device: VfioDevice) {
    this.#device = device;
  }

  /**
   * Bytes; 0 when the device has none. Asked of the device at the first use, since that is no mere question: vfio-pci
   * enables memory space and the ROM, maps it and looks for its images (vfio_pci_ioctl_get_region_info, pci_map_rom).
   */
  get size(): number {
    this.#size ??= this.#askForSize();
    return this.#size;
  }

  /** `length` bytes from `offset`. Memory space must be enabled. */
  read(offset = 0, length = this.size - offset): Uint8Array {
    const operation = "ExpansionRom.read";
    if (this.size === 0)
      throw argumentError(operation, "size", 0, `a device with a ROM (${this.#device.address} has none)`);
    if (!Number.isInteger(offset) || offset < 0 || offset > this.size) {
      throw argumentError(operation, "offset", offset, `0 to ${this.size}`);
    }
    if (!Number.isInteger(length) || length < 0 || offset + length > this.size) {
      throw argumentError(operation, "length", length, `0 to ${this.size - offset}`);
    }
    const bytes = new Uint8Array(length);
    this.#device.readRegion(VFIO_PCI_ROM_REGION_INDEX, offset, bytes);
    return bytes;
  }

  #askForSize(): number {
    const offered = this.#device.info.regionCount > VFIO_PCI_ROM_REGION_INDEX;
    return offered ? this.#device.regionInfo(VFIO_PCI_ROM_REGION_INDEX).size : 0;
  }
}
