import type { VfioDevice } from "../contracts/vfio-device";
import { argumentError } from "../errors/vfio-error";
import { VFIO_PCI_ROM_REGION_INDEX } from "../uapi/vfio-numbers";

/** The expansion ROM of a device. */
export class ExpansionRom {
  /** Bytes; 0 when the device has none. */
  readonly size: number;
  readonly #device: VfioDevice;

  constructor(device: VfioDevice) {
    this.#device = device;
    const offered = device.info.regionCount > VFIO_PCI_ROM_REGION_INDEX;
    this.size = offered ? device.regionInfo(VFIO_PCI_ROM_REGION_INDEX).size : 0;
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
}
