import type { DmaFault, DmaSpace } from "@vfio-selftests/vfio-user";
import type { Outcome } from "./completion-record";
import { Status } from "./status";

/** Ends an operation when the client resets the device or vanishes during its memory access. */
export class DmaAborted extends Error {}

/** An access that failed after `completed` bytes. */
export class AccessFault {
  constructor(
    readonly completed: number,
    readonly address: bigint,
    readonly write: boolean,
  ) {}
}

/** Bytes in one message to a client that shares no file. */
const MESSAGE_BYTES = 128 * 1024;
const PAGE_BYTES = 4096;

/**
 * How many lost writes of one descriptor the model reports to the client. These are enough for its IOMMU to log the
 * fault. Reporting a large transfer page by page would take minutes and say no more.
 */
const REPORTED_LOST_WRITES = 16;

/**
 * Memory as one descriptor sees it, by the rules of section 3.13.
 *
 * With ATS, the device asks before it accesses, and knows the faulting address. Without ATS, it gets an error for a
 * refused read, and learns nothing of a refused write.
 */
export class DeviceMemory {
  #lostWrites = 0;

  readonly #dma: DmaSpace;

  constructor(
    dma: DmaSpace,
    /** ATS is on for this work queue. */
    readonly translated: boolean,
  ) {
    this.#dma = dma;
  }

  /**
   * Up to `length` bytes from `address` on, at least one. They may be the memory itself, so use them before any next
   * access.
   */
  read(address: bigint, length: number): Uint8Array | AccessFault {
    const start = BigInt.asUintN(64, address);
    const view = this.#dma.view(start, length, "read");
    if (view !== undefined) return view;
    const bytes = new Uint8Array(Math.min(length, MESSAGE_BYTES));
    const fault = this.#dma.read(start, bytes);
    if (fault === undefined) return bytes;
    const good = reached(fault, start);
    return good > 0 ? bytes.subarray(0, good) : new AccessFault(0, fault.iova, false);
  }

  /**
   * Writes all of `bytes`, or returns how far it came. Without ATS the device learns nothing of lost writes, so they
   * count as done.
   */
  write(address: bigint, bytes: Uint8Array): AccessFault | undefined {
    let from = bytes;
    let done = 0;
    while (done < bytes.length) {
      const at = BigInt.asUintN(64, further(address, done));
      const view = this.#dma.view(at, bytes.length - done, "write");
      if (view !== undefined) {
        view.set(view.length === from.length ? from : from.subarray(done, done + view.length));
        done += view.length;
        continue;
      }
      if (this.#lostWrites >= REPORTED_LOST_WRITES) {
        done += toPageEnd(at);
        continue;
      }
      // `bytes` may be the source's memory, which does not stay valid across a message.
      if (from === bytes) from = bytes.slice();
      const fault = this.#dma.write(at, from.subarray(done, done + MESSAGE_BYTES));
      if (fault === undefined) {
        done += MESSAGE_BYTES;
        continue;
      }
      done += reached(fault, at);
      if (this.translated) return new AccessFault(done, fault.iova, true);
      this.#lostWrites++;
      done += toPageEnd(fault.iova);
    }
    return undefined;
  }

  /** How many of `length` bytes the device can write in place. It is 0, too, where a write would fault. */
  directlyWritable(address: bigint, length: number): number {
    return this.#dma.view(BigInt.asUintN(64, address), length, "write")?.length ?? 0;
  }

  /** Reads one byte and drops it, for a destination readback, or to learn whether an address translates. */
  probe(address: bigint): AccessFault | undefined {
    const result = this.read(address, 1);
    return result instanceof AccessFault ? result : undefined;
  }

  /** Stores a completion record so that its status appears last. */
  publish(address: bigint, record: Uint8Array): AccessFault | undefined {
    const fault = this.#dma.publish(address, record);
    if (fault === undefined) return undefined;
    reached(fault, address);
    return this.translated ? new AccessFault(0, fault.iova, true) : undefined;
  }

  /** The outcome of a descriptor that could not reach its source or destination. */
  outcomeOf(fault: AccessFault, completed: number, more: Partial<Outcome> = {}): Outcome {
    if (!this.translated) return { status: Status.hardwareError };
    const { address, write } = fault;
    return { status: Status.pageFault, completed, fault: { address, write }, ...more };
  }
}

/** The address so many bytes further on. Most copies are a single piece, and its address is not calculated. */
export function further(address: bigint, bytes: number): bigint {
  return bytes === 0 ? address : address + BigInt(bytes);
}

/** Bytes before the fault. An aborted access ends everything. */
function reached(fault: DmaFault, start: bigint): number {
  if (fault.reason === "aborted") throw new DmaAborted();
  return fault.iova > start ? Number(fault.iova - start) : 0;
}

function toPageEnd(address: bigint): number {
  return PAGE_BYTES - Number(address & BigInt(PAGE_BYTES - 1));
}
