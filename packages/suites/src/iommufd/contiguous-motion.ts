import { ContiguousMemory } from "../rigs/memory/contiguous-memory";
import { IOVA, type PageRig } from "../rigs/mock-iommu/page-rig";

const PAGES = 8;

/** Pages that are neighbours in the machine's memory leave a page table as one piece (batch_skip_carry). */
export function contiguousMotionTests(withPages: (use: (pages: PageRig) => void) => void): void {
  it("pins_amid_pages_that_leave_as_one_piece_outlive_the_device", () => {
    withPages((pages) => {
      using memory = new ContiguousMemory(PAGES);
      const { address: vaddr, length } = memory;
      expect(pages.file.map({ ioas: pages.ioas, vaddr, length, iova: IOVA }).code).toBe("ok");
      const device = pages.rig.device();
      expect(pages.holdsAt(device.pageTable, vaddr, length)).toBe(0);
      const pins = [pages.pin(2, 2), pages.pin(6, 1)];
      pages.remove(device);
      expect(pages.pinnedAt(vaddr, PAGES)).toEqual([2, 3, 6]);
      for (const pin of pins) pages.unpin(pin);
      expect(pages.pinnedAt(vaddr, PAGES)).toEqual([]);
    });
  });
}
