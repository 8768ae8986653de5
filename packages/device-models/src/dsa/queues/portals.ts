import type { ModelRegion } from "@vfio-selftests/vfio-user";
import { Descriptor, DESCRIPTOR_BYTES } from "../descriptors/descriptor";
import type { WriteKind } from "../descriptors/submission";
import { BAR2_SIZE } from "../registers/capabilities";
import type { WorkQueues } from "./work-queues";

const PAGE_SHIFT = 12;
const STORE_BYTES = 8;

/** The part of a descriptor that has arrived. */
interface Slot {
  readonly view: DataView;
  arrived: number;
}

/**
 * BAR2 (section 9.3): four pages per work queue. Any 64-byte slot of a page is the same portal.
 *
 * A descriptor arrives as one 64-byte store, or as eight 8-byte stores in ascending order. Processors without MOVDIR64B
 * write it so, and QEMU passes it on so. Each slot collects on its own. A store to a slot's first 8 bytes starts anew.
 * A store out of order, or of another width, clears the slot.
 */
export class Portals implements ModelRegion {
  readonly size = BAR2_SIZE;
  readonly #workQueues: WorkQueues;
  /** By offset in BAR2. */
  readonly #slots = new Map<number, Slot>();

  constructor(workQueues: WorkQueues) {
    this.#workQueues = workQueues;
  }

  /** Reads return all ones (0x00 would do as well). */
  read(_offset: number, width: 1 | 2 | 4): number {
    return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
  }

  read64(): bigint {
    return 0xffff_ffff_ffff_ffffn;
  }

  write(offset: number): void {
    this.#slots.delete(slotOf(offset));
  }

  write64(offset: number, value: bigint): void {
    const start = slotOf(offset);
    const position = offset - start;
    if (position === 0) this.#slots.set(start, { view: new DataView(new ArrayBuffer(DESCRIPTOR_BYTES)), arrived: 0 });
    const slot = this.#slots.get(start);
    if (slot?.arrived !== position) {
      this.#slots.delete(start);
      return;
    }
    slot.view.setBigUint64(position, value, true);
    slot.arrived += STORE_BYTES;
    if (slot.arrived < DESCRIPTOR_BYTES) return;
    this.#slots.delete(start);
    this.#submit(offset, slot.view, "posted");
  }

  write64Bytes(offset: number, data: Uint8Array): void {
    this.#slots.delete(offset);
    this.#submit(offset, copyOf(data), "posted");
  }

  /** A deferrable memory write (ENQCMD), for programs that hold the model itself: vfio-user has no message for it. */
  enqueue(offset: number, data: Uint8Array): "success" | "retry" {
    return this.#submit(offset, copyOf(data), "deferrable") ? "success" : "retry";
  }

  /** Forgets descriptors that have arrived in part. */
  reset(): void {
    this.#slots.clear();
  }

  #submit(offset: number, descriptor: DataView, kind: WriteKind): boolean {
    const page = offset >>> PAGE_SHIFT;
    // Pages 2 and 3 of each queue are for interrupts from the IMS. The model has no IMS, so it has no such portals.
    if ((page & 2) !== 0) return false;
    const workQueue = this.#workQueues.all[page >>> 2];
    return workQueue?.submit(new Descriptor(descriptor), kind, { limited: (page & 1) !== 0 }) ?? false;
  }
}

function slotOf(offset: number): number {
  return offset & ~(DESCRIPTOR_BYTES - 1);
}

function copyOf(data: Uint8Array): DataView {
  const bytes = new Uint8Array(DESCRIPTOR_BYTES);
  bytes.set(data.subarray(0, DESCRIPTOR_BYTES));
  return new DataView(bytes.buffer);
}
