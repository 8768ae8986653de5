import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING as DIRTY,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE as ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  iommu_hwpt_get_dirty_bitmap,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR as NO_CLEAR,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  iommu_hwpt_set_dirty_tracking,
} from "@vfio-selftests/core/uapi";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { type MockIds, type MockRig, type WithMockRig } from "../rigs/mock-iommu/mock-rig";
import { dirty, IOMMU_TEST_OP_DIRTY } from "../rigs/mock-iommu/test-command";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";

const IOVA = 0x0200_0000n;
const PAGES = 4;
const LENGTH = PAGES * PAGE_SIZE;

/** Which pages a device has written: the tracking of a page table. */
export function dirtyTrackingTests(withRig: WithMockRig): void {
  describe("dirty_tracking", () => {
    const track = (rig: MockRig, id: number, flags: number) =>
      rig.raw.call({ IOMMU_HWPT_SET_DIRTY_TRACKING }, iommu_hwpt_set_dirty_tracking, { hwpt_id: id, flags }).outcome;
    const read = (rig: MockRig, id: number, values: object = {}) => {
      const bits = new Uint8Array(8);
      const { outcome } = rig.raw.call(
        { IOMMU_HWPT_GET_DIRTY_BITMAP },
        iommu_hwpt_get_dirty_bitmap,
        { hwpt_id: id, iova: IOVA, length: LENGTH, page_size: PAGE_SIZE, ...values },
        { data: bits },
      );
      return [outcome, bits[0]];
    };
    /** The mock device writes to these pages. */
    const write = (rig: MockRig, id: number, pages: number) =>
      rig.test(
        IOMMU_TEST_OP_DIRTY,
        dirty,
        { id, iova: IOVA, length: LENGTH, page_size: PAGE_SIZE },
        { uptr: Uint8Array.of(pages, 0, 0, 0, 0, 0, 0, 0) },
      ).outcome;
    const withTable = (use: (rig: MockRig, table: number, device: MockIds) => void): void => {
      withRig((rig, device) => {
        // One mapping for each page, so that no entry of the table stands for several.
        for (let page = 0; page < PAGES; page++) {
          const place = { iova: IOVA + BigInt(page * PAGE_SIZE), offset: page * PAGE_SIZE, length: PAGE_SIZE };
          rig.iommu.map(rig.memory, place);
        }
        use(rig, rig.pageTable(device, { flags: DIRTY }).need("out_hwpt_id"), device);
      });
    };

    it("shows_each_written_page_once", () => {
      withTable((rig, table) => {
        expect(track(rig, table, ENABLE)).toBe(0);
        expect(read(rig, table)).toEqual([0, 0]);
        expect(write(rig, table, 0b0101)).toBe(0);
        expect(read(rig, table, { flags: NO_CLEAR })).toEqual([0, 0b0101]);
        expect(read(rig, table)).toEqual([0, 0b0101]);
        expect(read(rig, table)).toEqual([0, 0]);
        expect(write(rig, table, 0b1010)).toBe(0);
        expect(read(rig, table)).toEqual([0, 0b1010]);
      });
    });

    it("begins_clean_and_ends", () => {
      withTable((rig, table) => {
        // Not yet on: the mock device refuses to mark a page.
        expect(write(rig, table, 0b1)).toBe("EINVAL");
        expect([track(rig, table, ENABLE), track(rig, table, ENABLE)]).toEqual([0, 0]);
        expect(write(rig, table, 0b1101)).toBe(0);
        expect([track(rig, table, 0), track(rig, table, 0)]).toEqual([0, 0]);
        expect(write(rig, table, 0b1)).toBe("EINVAL");
        // iopt_set_dirty_tracking clears what was there before, in every mapping.
        expect(track(rig, table, ENABLE)).toBe(0);
        expect(read(rig, table)).toEqual([0, 0]);
      });
    });

    it("malformed_requests_are_refused", () => {
      withTable((rig, table) => {
        expect(track(rig, table, ENABLE | 2)).toBe("EOPNOTSUPP");
        expect(track(rig, NO_SUCH_ID, ENABLE)).toBe("ENOENT");
        expect(track(rig, rig.ioas, ENABLE)).toBe("ENOENT");
        expect(track(rig, table, ENABLE)).toBe(0);
        for (const values of [
          { flags: 2 },
          { hwpt_id: NO_SUCH_ID },
          { page_size: 0 },
          { length: 0 },
          { iova: IOVA + 512n },
        ]) {
          expect([values, read(rig, table, values)[0]]).not.toEqual([values, 0]);
        }
        expect(read(rig, table, { flags: 2 })[0]).toBe("EOPNOTSUPP");
        expect(read(rig, NO_SUCH_ID)[0]).toBe("ENOENT");
      });
    });
  });
}
