import { readFileSync } from "node:fs";
import { type ConfigReader, PciConfig } from "@vfio-selftests/core/pci";
import type { SystemPaths } from "@vfio-selftests/core/sysfs";

/** A device's configuration space as sysfs gave it at one moment. A read beyond its end is all ones, as on the bus. */
export class ConfigImage implements ConfigReader {
  readonly size: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Undefined where it cannot be read. */
  static ofDevice(address: string, paths: SystemPaths): ConfigImage | undefined {
    try {
      return new ConfigImage(readFileSync(paths.pciDevice(address, "config")));
    } catch {
      return undefined;
    }
  }

  /** Without CAP_SYS_ADMIN, pci_read_config (drivers/pci/pci-sysfs.c) gives the header alone. */
  get isHeaderOnly(): boolean {
    return this.size <= PciConfig.headerEnd;
  }

  read8(offset: number): number {
    return offset + 1 <= this.size ? this.#view.getUint8(offset) : 0xff;
  }

  read16(offset: number): number {
    return offset + 2 <= this.size ? this.#view.getUint16(offset, true) : 0xffff;
  }

  read32(offset: number): number {
    return offset + 4 <= this.size ? this.#view.getUint32(offset, true) : 0xffffffff;
  }
}
