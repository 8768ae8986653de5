import { IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate } from "@vfio-selftests/core/uapi";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { type MockRig, type WithMockRig, words } from "../rigs/mock-iommu/mock-rig";
import { CACHED, nest } from "../rigs/mock-iommu/nested-table";
import {
  check_cache,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  MOCK_CACHES,
} from "../rigs/mock-iommu/test-command";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";

/** The cache of a nested page table, and how the user invalidates its entries. */
export function nestedCacheTests(withRig: WithMockRig): void {
  describe("nested_cache", () => {
    const cached = (rig: MockRig, id: number) =>
      Array.from({ length: MOCK_CACHES }, (_, cache) => {
        const check = (value: number) =>
          rig.test(IOMMU_TEST_OP_MD_CHECK_IOTLB, check_cache, { id, cache_id: cache, value }).outcome === 0;
        return check(CACHED) ? "held" : check(0) ? "empty" : "other";
      });
    const invalidate = (rig: MockRig, id: number, values: object, ...entries: readonly number[][]) => {
      const data = words(...entries.flat());
      const given = {
        hwpt_id: id,
        data_type: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
        entry_len: 8,
        entry_num: entries.length,
      };
      const { outcome, get } = rig.raw.call(
        { IOMMU_HWPT_INVALIDATE },
        iommu_hwpt_invalidate,
        { ...given, ...values },
        data.length === 0 ? undefined : { data_uptr: data },
      );
      return [outcome, get("entry_num")];
    };

    it("holds_what_the_caller_gave", () => {
      withRig((rig, device) => {
        expect(cached(rig, nest(rig, device).nested)).toEqual(["held", "held", "held", "held"]);
      });
    });

    it("loses_the_entries_that_are_invalidated", () => {
      withRig((rig, device) => {
        const { nested } = nest(rig, device);
        expect(invalidate(rig, nested, {}, [0, 1])).toEqual([0, 1]);
        expect(cached(rig, nested)).toEqual(["held", "empty", "held", "held"]);
        expect(invalidate(rig, nested, {}, [0, 0], [0, 3])).toEqual([0, 2]);
        expect(cached(rig, nested)).toEqual(["empty", "empty", "held", "empty"]);
        expect(invalidate(rig, nested, {}, [IOMMU_TEST_INVALIDATE_FLAG_ALL, 0])).toEqual([0, 1]);
        expect(cached(rig, nested)).toEqual(["empty", "empty", "empty", "empty"]);
      });
    });

    it("tells_how_many_entries_were_good", () => {
      withRig((rig, device) => {
        const { nested } = nest(rig, device);
        expect(invalidate(rig, nested, {}, [0, 2], [0, MOCK_CACHES], [0, 0])).toEqual(["EINVAL", 1]);
        expect(cached(rig, nested)).toEqual(["held", "held", "empty", "held"]);
        expect(invalidate(rig, nested, {}, [0x80, 0])).toEqual(["EOPNOTSUPP", 0]);
      });
    });

    it("asked_for_nothing_does_nothing", () => {
      withRig((rig, device) => {
        const { nested } = nest(rig, device);
        expect(invalidate(rig, nested, {})).toEqual([0, 0]);
        expect(invalidate(rig, nested, { data_type: 1 })).toEqual(["EINVAL", 0]);
        expect(cached(rig, nested)).toEqual(["held", "held", "held", "held"]);
      });
    });

    it("malformed_requests_are_refused", () => {
      withRig((rig, device) => {
        const { nested, parent } = nest(rig, device);
        const entry = [0, 0];
        expect(invalidate(rig, nested, { __reserved: 1 }, entry)).toEqual(["EOPNOTSUPP", 0]);
        expect(invalidate(rig, nested, { entry_len: 0 }, entry)).toEqual(["EINVAL", 0]);
        expect(invalidate(rig, nested, { entry_len: PAGE_SIZE + 8 }, entry)).toEqual(["EINVAL", 0]);
        expect(invalidate(rig, nested, { entry_num: (1 << 19) + 1 }, entry)).toEqual(["EINVAL", 0]);
        expect(invalidate(rig, nested, { entry_num: 1 })).toEqual(["EINVAL", 0]);
        expect(invalidate(rig, NO_SUCH_ID, {}, entry)).toEqual(["ENOENT", 0]);
        expect(invalidate(rig, parent, {}, entry)).toEqual(["EINVAL", 0]);
        expect(invalidate(rig, rig.ioas, {}, entry)).toEqual(["EINVAL", 0]);
        expect(cached(rig, nested)).toEqual(["held", "held", "held", "held"]);
      });
    });
  });
}
