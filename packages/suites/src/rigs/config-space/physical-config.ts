import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/** A device's own configuration registers, without vfio-pci between. The kernel shows them to root in sysfs. */
export class PhysicalConfig implements Disposable {
  readonly #fd: number;

  constructor(address: string) {
    this.#fd = openSync(systemPaths.pciDevice(address, "config"), "r+");
  }

  bytes(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const count = readSync(this.#fd, bytes, 0, length, offset);
    if (count !== length) throw new RangeError(`configuration space ends after ${offset + count} bytes`);
    return bytes;
  }

  read8(offset: number): number {
    return this.bytes(offset, 1).readUInt8();
  }

  read16(offset: number): number {
    return this.bytes(offset, 2).readUInt16LE();
  }

  read32(offset: number): number {
    return this.bytes(offset, 4).readUInt32LE();
  }

  /** The kernel cuts it into aligned accesses of at most four bytes. */
  write(offset: number, bytes: Uint8Array): void {
    writeSync(this.#fd, bytes, 0, bytes.length, offset);
  }

  write16(offset: number, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    this.write(offset, bytes);
  }

  write32(offset: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    this.write(offset, bytes);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
