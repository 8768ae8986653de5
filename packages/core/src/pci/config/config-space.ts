import type { VfioDevice } from "../../contracts/vfio-device";
import { argumentError } from "../../errors/vfio-error";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "../../uapi/vfio-numbers";
import {
  type CapabilityWalk,
  type ConfigReader,
  type PciCapability,
  walkCapabilities,
  walkExtendedCapabilities,
} from "./capabilities";
import { PciCommand, PciConfig } from "./registers";

/**
 * A device's configuration space, as VFIO presents it (vfio-pci virtualises some registers). Every access is one read
 * or write of the region. Offsets are bytes and must be multiples of the access's width.
 */
export class ConfigSpace implements ConfigReader {
  /** Bytes: 256, or 4096 for PCI Express. */
  readonly size: number;
  readonly #device: VfioDevice;
  readonly #view = new DataView(new ArrayBuffer(4));
  readonly #bytes = {
    1: new Uint8Array(this.#view.buffer, 0, 1),
    2: new Uint8Array(this.#view.buffer, 0, 2),
    4: new Uint8Array(this.#view.buffer),
  };

  /** Reads nothing yet. */
  constructor(device: VfioDevice) {
    this.#device = device;
    this.size = device.regionInfo(VFIO_PCI_CONFIG_REGION_INDEX).size;
  }

  read8(offset: number): number {
    this.#read(offset, 1);
    return this.#view.getUint8(0);
  }

  read16(offset: number): number {
    this.#read(offset, 2);
    return this.#view.getUint16(0, true);
  }

  read32(offset: number): number {
    this.#read(offset, 4);
    return this.#view.getUint32(0, true);
  }

  /** Writes the low 8 bits of `value`. */
  write8(offset: number, value: number): void {
    this.#write(offset, value, 1);
  }

  /** Writes the low 16 bits of `value`. */
  write16(offset: number, value: number): void {
    this.#write(offset, value, 2);
  }

  /** Writes the low 32 bits of `value`. */
  write32(offset: number, value: number): void {
    this.#write(offset, value, 4);
  }

  /** `length` bytes from `offset`, in one read. */
  bytes(offset = 0, length = this.size - offset): Uint8Array {
    this.#check("ConfigSpace.bytes", offset, length, 1);
    const into = new Uint8Array(length);
    this.#device.readRegion(VFIO_PCI_CONFIG_REGION_INDEX, offset, into);
    return into;
  }

  /** 16 bits, at 0x00. */
  get vendorId(): number {
    return this.read16(PciConfig.vendorId);
  }

  /** 16 bits, at 0x02. */
  get deviceId(): number {
    return this.read16(PciConfig.deviceId);
  }

  /** 8 bits, at 0x08. */
  get revision(): number {
    return this.read8(PciConfig.revision);
  }

  /** Base class, sub-class and programming interface: 24 bits. */
  get classCode(): number {
    return this.read32(PciConfig.revision) >>> 8;
  }

  /** 16 bits, at 0x2c. */
  get subsystemVendorId(): number {
    return this.read16(PciConfig.subsystemVendorId);
  }

  /** 16 bits, at 0x2e. */
  get subsystemId(): number {
    return this.read16(PciConfig.subsystemId);
  }

  /** 0: no INTx; 1 to 4: INTA to INTD. */
  get interruptPin(): number {
    return this.read8(PciConfig.interruptPin);
  }

  /** The status register: 16 bits, at 0x06. */
  get status(): number {
    return this.read16(PciConfig.status);
  }

  /** The command register; see {@link PciCommand}. */
  get command(): number {
    return this.read16(PciConfig.command);
  }

  set command(value: number) {
    this.write16(PciConfig.command, value);
  }

  /** Sets bits of the command register and keeps the others. */
  setCommand(bits: number): void {
    this.command = this.command | bits;
  }

  /** Clears bits of the command register and keeps the others. */
  clearCommand(bits: number): void {
    this.command = this.command & ~bits & 0xffff;
  }

  /** Whether the device may start DMA and send MSI. */
  get busMaster(): boolean {
    return (this.command & PciCommand.busMaster) !== 0;
  }

  set busMaster(on: boolean) {
    this.#switch(PciCommand.busMaster, on);
  }

  /** Whether the device answers at its memory BARs. */
  get memoryEnable(): boolean {
    return (this.command & PciCommand.memory) !== 0;
  }

  set memoryEnable(on: boolean) {
    this.#switch(PciCommand.memory, on);
  }

  /** Whether the device must not assert INTx. */
  get interruptDisable(): boolean {
    return (this.command & PciCommand.interruptDisable) !== 0;
  }

  set interruptDisable(on: boolean) {
    this.#switch(PciCommand.interruptDisable, on);
  }

  /** The standard capabilities, in the order of the list. Every call reads them anew. */
  capabilities(): CapabilityWalk {
    return walkCapabilities(this);
  }

  /** The extended capabilities, in the order of the list. Every call reads them anew. */
  extendedCapabilities(): CapabilityWalk {
    return walkExtendedCapabilities(this);
  }

  /** The first standard capability with this id (see `PciCapabilityId`), or undefined. */
  findCapability(id: number): PciCapability | undefined {
    return this.capabilities().capabilities.find((capability) => capability.id === id);
  }

  /** The first extended capability with this id (see `PciExtendedCapabilityId`), or undefined. */
  findExtendedCapability(id: number): PciCapability | undefined {
    return this.extendedCapabilities().capabilities.find((capability) => capability.id === id);
  }

  #switch(bit: number, on: boolean): void {
    if (on) this.setCommand(bit);
    else this.clearCommand(bit);
  }

  #read(offset: number, width: 1 | 2 | 4): void {
    this.#check(`ConfigSpace.read${width * 8}`, offset, width, width);
    this.#device.readRegion(VFIO_PCI_CONFIG_REGION_INDEX, offset, this.#bytes[width]);
  }

  #write(offset: number, value: number, width: 1 | 2 | 4): void {
    const operation = `ConfigSpace.write${width * 8}`;
    this.#check(operation, offset, width, width);
    const limit = 2 ** (8 * width);
    if (!Number.isInteger(value) || value < 0 || value >= limit) {
      throw argumentError(operation, "value", value, `an integer from 0 to 0x${(limit - 1).toString(16)}`);
    }
    // Little-endian: the low bytes come first, so a narrower write takes the same ones.
    this.#view.setUint32(0, value, true);
    this.#device.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, offset, this.#bytes[width]);
  }

  #check(operation: string, offset: number, length: number, alignment: number): void {
    if (!Number.isInteger(offset) || offset < 0 || offset % alignment !== 0 || offset + length > this.size) {
      const multiple = alignment === 1 ? "" : `multiples of ${alignment} `;
      throw argumentError(operation, "offset", offset, `${multiple}from 0 to ${this.size - length}`);
    }
    if (!Number.isInteger(length) || length < 0) {
      throw argumentError(operation, "length", length, `0 to ${this.size - offset}`);
    }
  }
}
