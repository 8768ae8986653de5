import { VfioError } from "@vfio-selftests/core";
import type { DeviceCopier } from "./copy-rig";

/** Bytes that one check moves. */
const PROBE_BYTES = 64;
let stamps = 0;

/**
 * What a device does at an IOVA, and what memory shows of it. Each check moves a pattern of its own, so that it cannot
 * take an older one for its own.
 */
export class Reach {
  readonly #copier: DeviceCopier;

  constructor(copier: DeviceCopier) {
    this.#copier = copier;
  }

  /** Expects the device's write to `iova` in `bytes` at `offset`, and the bytes around it unchanged. */
  expectWrite(iova: bigint, bytes: Uint8Array, offset = 0, length = PROBE_BYTES): void {
    const pattern = this.#pattern(length);
    const expected = Buffer.from(bytes);
    expected.set(pattern, offset);
    const { session, source } = this.#copier;
    source.bytes.set(pattern);
    session.memcpySync(source.iova, iova, length);
    expect({ write: hex(iova), arrived: expected.equals(bytes) }).toEqual({ write: hex(iova), arrived: true });
  }

  /** Expects that the device's read at `iova` brings what lies in `bytes` at `offset`. */
  expectRead(iova: bigint, bytes: Uint8Array, offset = 0, length = PROBE_BYTES): void {
    bytes.set(this.#pattern(length), offset);
    const { session, destination } = this.#copier;
    destination.bytes.fill(0);
    session.memcpySync(iova, destination.iova, length);
    const read = destination.bytes.subarray(0, length);
    const same = Buffer.compare(read, bytes.subarray(offset, offset + length)) === 0;
    expect({ read: hex(iova), same }).toEqual({ read: hex(iova), same: true });
  }

  /**
   * Expects that the device's write to `iova` changes none of these memories. They must still be alive, because a freed
   * page may come back as the new one and hide a stale translation. The driver tests check whether the device reports
   * the fault.
   */
  expectNoWrite(iova: bigint, ...memories: readonly Uint8Array[]): void {
    const before = memories.map((bytes) => Buffer.from(bytes));
    const { session, source } = this.#copier;
    source.bytes.set(this.#pattern(PROBE_BYTES));
    attempt(() => session.memcpySync(source.iova, iova, PROBE_BYTES));
    const unchanged = memories.map((bytes, number) => before[number]?.equals(bytes));
    expect({ write: hex(iova), unchanged }).toEqual({ write: hex(iova), unchanged: memories.map(() => true) });
  }

  /** Expects that the device's read at `iova` does not bring what lies in `bytes`. */
  expectNoRead(iova: bigint, bytes: Uint8Array): void {
    const secret = this.#pattern(PROBE_BYTES);
    bytes.set(secret);
    const { session, destination } = this.#copier;
    destination.bytes.fill(0);
    attempt(() => session.memcpySync(iova, destination.iova, PROBE_BYTES));
    const leaked = Buffer.compare(destination.bytes.subarray(0, PROBE_BYTES), secret) === 0;
    expect({ read: hex(iova), leaked }).toEqual({ read: hex(iova), leaked: false });
  }

  #pattern(length: number): Buffer {
    stamps++;
    return Buffer.from(Array.from({ length }, (_, index) => (stamps * 37 + index * 11 + (stamps >> 4)) & 0xff));
  }
}

/** A device may report a fault, or hide it. A copy that the session refuses to start would prove nothing. */
function attempt(copy: () => void): void {
  try {
    copy();
  } catch (error) {
    if (!(error instanceof VfioError) || error.code === "ERR_INVALID_ARGUMENT") throw error;
  }
}

function hex(iova: bigint): string {
  return `0x${iova.toString(16)}`;
}
