import type { RegisterAccess } from "../../contracts/register-access";
import type { RegionInfo, VfioDevice } from "../../contracts/vfio-device";
import { argumentError, systemError } from "../../errors/vfio-error";
import { checkRegisterValue, checkWideRegisterValue } from "../../memory/register-value";

const EACCES = 13;

/**
 * Registers of a region by reads and writes of the device's file (or by messages), for I/O port BARs and for memory
 * BARs that cannot be mapped.
 */
export class RegionAccess implements RegisterAccess {
  readonly #device: VfioDevice;
  readonly #region: RegionInfo;
  readonly #name: string;
  readonly #view = new DataView(new ArrayBuffer(8));
  readonly #bytes = {
    1: new Uint8Array(this.#view.buffer, 0, 1),
    2: new Uint8Array(this.#view.buffer, 0, 2),
    4: new Uint8Array(this.#view.buffer, 0, 4),
    8: new Uint8Array(this.#view.buffer),
  };

  /** `name` is for errors: `0000:01:00.0 BAR 2`. */
  constructor(device: VfioDevice, region: RegionInfo, name: string) {
    this.#device = device;
    this.#region = region;
    this.#name = name;
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

  read64(offset: number): bigint {
    this.#read(offset, 8);
    return this.#view.getBigUint64(0, true);
  }

  write8(offset: number, value: number): void {
    checkRegisterValue("write8", value, 8);
    this.#view.setUint8(0, value);
    this.#write(offset, 1);
  }

  write16(offset: number, value: number): void {
    checkRegisterValue("write16", value, 16);
    this.#view.setUint16(0, value, true);
    this.#write(offset, 2);
  }

  write32(offset: number, value: number): void {
    checkRegisterValue("write32", value, 32);
    this.#view.setUint32(0, value, true);
    this.#write(offset, 4);
  }

  write64(offset: number, value: bigint): void {
    checkWideRegisterValue("write64", value);
    this.#view.setBigUint64(0, value, true);
    this.#write(offset, 8);
  }

  /**
   * One write of 64 bytes. A vfio-user device gets it as one message; the kernel splits it into 4- or 8-byte stores.
   */
  store64Bytes(offset: number, source: Uint8Array, sourceOffset = 0): void {
    this.#check("store64Bytes", offset, 64, this.#region.writable);
    if (!Number.isInteger(sourceOffset) || sourceOffset < 0 || sourceOffset + 64 > source.length) {
      throw argumentError("store64Bytes", "sourceOffset", sourceOffset, `0 to ${source.length - 64}`);
    }
    this.#device.writeRegion(this.#region.index, offset, source.subarray(sourceOffset, sourceOffset + 64));
  }

  #read(offset: number, width: 1 | 2 | 4 | 8): void {
    this.#check(`read${width * 8}`, offset, width, this.#region.readable);
    this.#device.readRegion(this.#region.index, offset, this.#bytes[width]);
  }

  #write(offset: number, width: 1 | 2 | 4 | 8): void {
    this.#check(`write${width * 8}`, offset, width, this.#region.writable);
    this.#device.writeRegion(this.#region.index, offset, this.#bytes[width]);
  }

  #check(operation: string, offset: number, width: number, permitted: boolean): void {
    const where = `${operation} of ${this.#name}`;
    if (!permitted) throw systemError(-EACCES, "region access", { subject: `${this.#name} (${operation})` });
    const last = this.#region.size - width;
    if (!Number.isInteger(offset) || offset < 0 || offset % width !== 0 || offset > last) {
      throw argumentError(where, "offset", offset, `multiples of ${width} from 0 to ${last}`);
    }
  }
}
