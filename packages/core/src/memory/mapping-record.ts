import type { DmaMapping } from "../contracts/memory";
import { VfioError } from "../errors/vfio-error";

/**
 * Where one piece of memory is mapped for DMA at present. The kernel pins mapped pages: after an unmap from the process,
 * a device would still read and write memory that nobody sees. So memory asks here before it closes.
 *
 * It holds the IOVAs and not the mappings: an old array that takes a new object costs V8's garbage collector a note.
 */
export class MappingRecord {
  readonly #iovas: bigint[] = [];

  add(mapping: DmaMapping): void {
    this.#iovas.push(mapping.iova);
  }

  /** Does nothing for a mapping that is not in the record. */
  remove(mapping: DmaMapping): void {
    const last = this.#iovas.pop();
    if (last !== undefined && last !== mapping.iova) this.#replace(mapping.iova, last);
  }

  /** Throws ERR_STILL_MAPPED, with the IOVAs, while a mapping exists. */
  requireNone(operation: string, subject: string): void {
    if (this.#iovas.length === 0) return;
    const shown = this.#iovas.slice(0, 4).map((iova) => `0x${iova.toString(16)}`);
    if (this.#iovas.length > shown.length) shown.push("…");
    throw new VfioError(`${operation}: ${subject} is still mapped for DMA at IOVA ${shown.join(", ")}`, {
      code: "ERR_STILL_MAPPED",
      operation,
      subject,
      remedy: "unmap the region, or close its Iommu, before the memory",
    });
  }

  /** Puts `last` in the place of an IOVA. If that is not in the record, the record is as it was. */
  #replace(iova: bigint, last: bigint): void {
    const index = this.#iovas.indexOf(iova);
    if (index < 0) this.#iovas.push(last);
    else this.#iovas[index] = last;
  }
}
