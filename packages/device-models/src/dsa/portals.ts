import type { ModelRegion } from "@vfio-selftests/vfio-user";
import { BAR2_SIZE } from "./capabilities";
import { DESCRIPTOR_BYTES } from "./descriptor";

const PAGE_SHIFT = 12;
const STORE_BYTES = 8;

/** How a descriptor was written: MOVDIR64B and plain stores are posted; ENQCMD waits for an answer. */
export type WriteKind = "posted" | "deferrable";

export interface PortalAddress {
  readonly workQueue: number;
  readonly limited: boolean;
}

/** What becomes of a descriptor; false is what ENQCMD reports as Retry. */
export type Submit = (portal: PortalAddress, descriptor: Uint8Array, kind: WriteKind) => boolean;

/**
 * BAR2 (section 9.3): four pages per work queue; any 64-byte slot of a page is the same portal.
 *
 * A descriptor arrives as one 64-byte store, or as eight 8-byte stores in ascending order, as processors without
 * MOVDIR64B write it and QEMU passes it on. Each slot collects on its own. A store to a slot's first 8 bytes starts
 * anew; one out of order, or of another width, makes the slot forget what it has.
 */
export class Portals implements ModelRegion {
  readonly size = BAR2_SIZE;
  /** By offset of the slot: what has arrived of a descriptor. */
  readonly #slots = new Map<number, { readonly bytes: Uint8Array; readonly view: DataView; arrived: number }>();

  constructor(private readonly submit: Submit) {}

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
    if (position === 0) {
      const bytes = new Uint8Array(DESCRIPTOR_BYTES);
      this.#slots.set(start, { bytes, view: new DataView(bytes.buffer), arrived: 0 });
    }
    const slot = this.#slots.get(start);
    if (slot?.arrived !== position) {
      this.#slots.delete(start);
      return;
    }
    slot.view.setBigUint64(position, value, true);
    slot.arrived += STORE_BYTES;
    if (slot.arrived < DESCRIPTOR_BYTES) return;
    this.#slots.delete(start);
    this.#submit(offset, slot.bytes, "posted");
  }

  write64Bytes(offset: number, data: Uint8Array): void {
    this.#slots.delete(offset);
    this.#submit(offset, data.slice(0, DESCRIPTOR_BYTES), "posted");
  }

  /** A deferrable memory write (ENQCMD). vfio-user has no message for it: for programs that hold the model itself. */
  enqueue(offset: number, data: Uint8Array): "success" | "retry" {
    return this.#submit(offset, data.slice(0, DESCRIPTOR_BYTES), "deferrable") ? "success" : "retry";
  }

  /** Forgets descriptors of which a part has arrived. */
  reset(): void {
    this.#slots.clear();
  }

  #submit(offset: number, descriptor: Uint8Array, kind: WriteKind): boolean {
    const page = offset >>> PAGE_SHIFT;
    // Pages 2 and 3 of each queue are for interrupts from the IMS, which does not exist: they do not either.
    if ((page & 2) !== 0) return false;
    return this.submit({ workQueue: page >>> 2, limited: (page & 1) !== 0 }, descriptor, kind);
  }
}

function slotOf(offset: number): number {
  return offset & ~(DESCRIPTOR_BYTES - 1);
}
