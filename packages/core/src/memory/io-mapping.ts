import type { NativeIo } from "@vfio-selftests/native";
import type { MappedRegisters } from "../contracts/mapped-registers";
import type { DmaMapping } from "../contracts/memory";
import { Errno } from "../errors/errno";
import { argumentError, closedError, systemError, type VfioError } from "../errors/vfio-error";
import { MappingRecord } from "./mapping-record";
import { checkRegisterValue, checkWideRegisterValue } from "./register-value";

/**
 * Device registers mapped into the process. Every access has exactly its width, happens once, in program order, and
 * after earlier stores to memory. Offsets are bytes from the start of the mapping and multiples of the width.
 *
 * Errors (VfioError): `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` for an offset outside or misaligned; `EFAULT` if the device
 * did not answer because its memory space is off or it is in reset.
 */
export class IoMapping implements MappedRegisters {
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  /** Their name in error messages: `0000:01:00.0 BAR 0`. */
  readonly name: string;
  readonly #io: NativeIo;
  readonly #mappings = new MappingRecord();
  readonly #onClose: ((mapping: IoMapping) => void) | undefined;
  #closed = false;

  /** Calls `onClose` once, after the mapping is gone. */
  constructor(io: NativeIo, name: string, onClose?: (mapping: IoMapping) => void) {
    this.#io = io;
    this.address = io.address;
    this.length = io.length;
    this.name = name;
    this.#onClose = onClose;
  }

  get closed(): boolean {
    return this.#closed;
  }

  read8(offset: number): number {
    const value = this.#io.read8(offset);
    if (value < 0) throw this.#failure(value, "read8", offset);
    return value;
  }

  read16(offset: number): number {
    const value = this.#io.read16(offset);
    if (value < 0) throw this.#failure(value, "read16", offset);
    return value;
  }

  read32(offset: number): number {
    const value = this.#io.read32(offset);
    if (value < 0) throw this.#failure(value, "read32", offset);
    return value;
  }

  read64(offset: number): bigint {
    const value = this.#io.read64(offset);
    if (typeof value === "number") throw this.#failure(value, "read64", offset);
    return value;
  }

  // The addon checks the value of every write. A check here as well would make a write a fifth slower, so this one only
  // says what is wrong.
  write8(offset: number, value: number): void {
    let result: number;
    try {
      result = this.#io.write8(offset, value);
    } catch (error) {
      checkRegisterValue("write8", value, 8);
      throw error;
    }
    if (result < 0) throw this.#failure(result, "write8", offset);
  }

  write16(offset: number, value: number): void {
    let result: number;
    try {
      result = this.#io.write16(offset, value);
    } catch (error) {
      checkRegisterValue("write16", value, 16);
      throw error;
    }
    if (result < 0) throw this.#failure(result, "write16", offset);
  }

  write32(offset: number, value: number): void {
    let result: number;
    try {
      result = this.#io.write32(offset, value);
    } catch (error) {
      checkRegisterValue("write32", value, 32);
      throw error;
    }
    if (result < 0) throw this.#failure(result, "write32", offset);
  }

  write64(offset: number, value: bigint): void {
    let result: number;
    try {
      result = this.#io.write64(offset, value);
    } catch (error) {
      checkWideRegisterValue("write64", value);
      throw error;
    }
    if (result < 0) throw this.#failure(result, "write64", offset);
  }

  /**
   * Stores 64 bytes of `source` at `offset` (a multiple of 64): one MOVDIR64B where the CPU has it, else eight 8-byte
   * stores in ascending order.
   */
  store64Bytes(offset: number, source: Uint8Array, sourceOffset = 0): void {
    if (!(ArrayBuffer.isView(source) && sourceOffset >= 0 && sourceOffset + 64 <= source.byteLength)) {
      const given = ArrayBuffer.isView(source) ? `${source.byteLength} bytes from ${sourceOffset} on` : source;
      throw argumentError("store64Bytes", "source", given, "a Uint8Array with 64 bytes from sourceOffset on");
    }
    const result = this.#io.store64Bytes(offset, source, sourceOffset);
    if (result < 0) throw this.#failure(result, "store64Bytes", offset);
  }

  addMapping(mapping: DmaMapping): void {
    this.#mappings.add(mapping);
  }

  removeMapping(mapping: DmaMapping): void {
    this.#mappings.remove(mapping);
  }

  requireNotMapped(operation: string): void {
    this.#mappings.requireNone(operation, this.name);
  }

  /** Unmaps. Idempotent. Throws ERR_STILL_MAPPED while it is mapped for DMA. */
  close(): void {
    if (this.#closed) return;
    this.requireNotMapped("close");
    this.#closed = true;
    this.#io.unmap();
    this.#onClose?.(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #failure(result: number, operation: string, offset: number): VfioError {
    const where = `${this.name} + ${typeof offset === "number" ? `0x${offset.toString(16)}` : String(offset)}`;
    switch (-result) {
      case Errno.EBADF:
        return closedError(operation, this.name);
      case Errno.EINVAL: {
        const width = WIDTHS[operation] ?? 1;
        return argumentError(
          `${operation} of ${this.name}`,
          "offset",
          offset,
          `multiples of ${width} from 0 to ${this.length - width}`,
        );
      }
      default:
        return systemError(result, "MMIO access", { subject: `${where} (${operation})` });
    }
  }
}

const WIDTHS: Readonly<Record<string, number>> = {
  read8: 1,
  read16: 2,
  read32: 4,
  read64: 8,
  write8: 1,
  write16: 2,
  write32: 4,
  write64: 8,
  store64Bytes: 64,
};
