import type { DmaMapping } from "../contracts/memory";
import { VfioError } from "../errors/vfio-error";

/**
 * The present DMA mappings of one piece of memory. The kernel pins mapped pages: after an unmap from the process, a
 * device would still read and write memory that nobody sees. So memory asks here before it closes.
 */
export class MappingRecord {
  readonly #mappings: DmaMapping[] = [];

  /** Records a mapping that begins. */
  add(mapping: DmaMapping): void {
    this.#mappings.push(mapping);
  }

  /** Does nothing for a mapping that is not in the record. */
  remove(mapping: DmaMapping): void {
    const last = this.#mappings.pop();
    if (last === undefined || last === mapping) return;
    // One that is not in the record leaves it as it was.
    const index = this.#mappings.indexOf(mapping);
    if (index < 0) this.#mappings.push(last);
    else this.#mappings[index] = last;
  }

  /** Throws ERR_STILL_MAPPED, with the IOVAs, while a mapping exists. */
  requireNone(operation: string, subject: string): void {
    if (this.#mappings.length === 0) return;
    const shown = this.#mappings.slice(0, 4).map(({ iova }) => `0x${iova.toString(16)}`);
    if (this.#mappings.length > shown.length) shown.push("…");
    throw new VfioError(`${operation}: ${subject} is still mapped for DMA at IOVA ${shown.join(", ")}`, {
      code: "ERR_STILL_MAPPED",
      operation,
      subject,
      remedy: "unmap the region, or close its Iommu, before the memory",
    });
  }
}
