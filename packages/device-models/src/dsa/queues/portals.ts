import type { ModelRegion } from "@vfio-selftests/vfio-user";
import { Descriptor, DESCRIPTOR_BYTES } from "../descriptors/descriptor";
import type { WriteKind } from "../descriptors/submission";
import { BAR2_SIZE } from "../registers/capabilities";
import type { WorkQueues } from "./work-queues";

const PAGE_SHIFT = 12;
const STORE_BYTES = 8;

/** What has arrived of a descriptor. */
interface Slot {
  readonly view: DataView;
  arrived: number;
}

/**
 * BAR2 (section 9.3): four pages per work queue; any 64-byte slot of a page is the same portal.
 *
 * A descriptor arrives as one 64-byte store, or as eight 8-byte stores in ascending order, as processors without
 * MOVDIR64B write it and QEMU passes it on. Each slot collects on its own. A store to a slot's first 8 bytes starts
 * anew; one out of order, or of another width, makes the slot forget what it has.
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

  /** A deferrable memory write (ENQCMD). vfio-user has no message for it: for programs that hold the model itself. */
  enqueue(offset: number, data: Uint8Array): "success" | "retry" {
    return this.#submit(offset, copyOf(data), "deferrable") ? "success" : "retry";
  }

  /** Forgets descriptors of which a part has arrived. */
  reset(): void {
    this.#slots.clear();
  }

  #submit(offset: number, descriptor: DataView, kind: WriteKind): boolean {
    const page = offset >>> PAGE_SHIFT;
    // Pages 2 and 3 of each queue are for interrupts from the IMS, which does not exist: they do not either.
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
