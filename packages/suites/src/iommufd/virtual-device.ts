import { IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate } from "@vfio-selftests/core/uapi";
import { type MockIds, words } from "../rigs/mock-iommu/mock-rig";
import {
  check_cache,
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_OP_DEV_CHECK_CACHE,
  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
  MOCK_CACHES,
} from "../rigs/mock-iommu/test-command";
import { VIRTUAL_ID, type VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";

/** Devices of a vIOMMU: their numbers, how long they live, and their caches. */
export function virtualDeviceTests(withRig: (use: (rig: VirtualRig) => void) => void): void {
  describe("device", () => {
    it("has_one_virtual_number", () => {
      withRig((virtual) => {
        const viommu = virtual.allocate().need("out_viommu_id");
        const other = virtual.rig.device();
        const first = virtual.device(viommu, virtual.device1, VIRTUAL_ID);
        expect(first.outcome).toBe(0);
        expect(virtual.device(viommu, virtual.device1, VIRTUAL_ID + 1).outcome).toBe("EEXIST");
        expect(virtual.device(viommu, other, VIRTUAL_ID).outcome).toBe("EEXIST");
        expect(virtual.device(viommu, other, VIRTUAL_ID + 1).outcome).toBe(0);
        expect(virtual.rig.raw.destroy(first.need("out_vdevice_id"))).toBe(0);
        expect(virtual.device(viommu, virtual.device1, VIRTUAL_ID).outcome).toBe(0);
      });
    });

    it("holds_its_viommu_until_it_goes", () => {
      withRig((virtual) => {
        const viommu = virtual.allocate().need("out_viommu_id");
        const id = virtual.device(viommu, virtual.device1, VIRTUAL_ID).need("out_vdevice_id");
        expect(virtual.rig.raw.destroy(viommu)).toBe("EBUSY");
        expect(virtual.rig.raw.destroy(id)).toBe(0);
        expect(virtual.rig.raw.destroy(viommu)).toBe(0);
      });
    });

    it("goes_with_the_real_one", () => {
      withRig((virtual) => {
        const viommu = virtual.allocate().need("out_viommu_id");
        const other = virtual.rig.device();
        const id = virtual.device(viommu, other, VIRTUAL_ID).need("out_vdevice_id");
        expect(virtual.rig.raw.destroy(other.test)).toBe(0);
        // A tombstone stays in its place (iommufd_device_remove_vdev): nobody else gets its id.
        const others = Array.from({ length: 8 }, () => virtual.rig.door.newIoas().id);
        expect(others).not.toContain(id);
        expect(virtual.rig.raw.destroy(viommu)).toBe(0);
        expect(["ENOENT", 0]).toContain(virtual.rig.raw.destroy(id));
      });
    });

    it("malformed_is_refused", () => {
      withRig((virtual) => {
        const viommu = virtual.allocate().need("out_viommu_id");
        expect(virtual.device(NO_SUCH_ID, virtual.device1, 1).outcome).toBe("ENOENT");
        expect(virtual.device(virtual.rig.ioas, virtual.device1, 1).outcome).toBe("ENOENT");
        expect(virtual.device(viommu, { ...virtual.device1, id: NO_SUCH_ID }, 1).outcome).toBe("ENOENT");
        expect(virtual.device(viommu, { ...virtual.device1, id: viommu }, 1).outcome).toBe("ENOENT");
        // None of them left anything.
        expect(virtual.device(viommu, virtual.device1, 1).outcome).toBe(0);
      });
    });

    it("invalidation_reaches_its_cache", () => {
      withRig((virtual) => {
        const { rig } = virtual;
        const viommu = virtual.allocate().need("out_viommu_id");
        const other = rig.device();
        virtual.device(viommu, virtual.device1, VIRTUAL_ID).need("out_vdevice_id");
        virtual.device(viommu, other, VIRTUAL_ID + 1).need("out_vdevice_id");
        const cached = (device: MockIds) =>
          Array.from({ length: MOCK_CACHES }, (_, cache) => {
            const values = { id: device.id, cache_id: cache, value: IOMMU_TEST_DEV_CACHE_DEFAULT };
            return rig.test(IOMMU_TEST_OP_DEV_CHECK_CACHE, check_cache, values).outcome === 0;
          });
        const invalidate = (...entries: readonly number[][]) => {
          const { outcome: result, get } = rig.raw.call(
            { IOMMU_HWPT_INVALIDATE },
            iommu_hwpt_invalidate,
            {
              hwpt_id: viommu,
              data_type: IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
              entry_len: 12,
              entry_num: entries.length,
            },
            { data_uptr: words(...entries.flat()) },
          );
          return [result, get("entry_num")];
        };
        expect(cached(virtual.device1)).toEqual([true, true, true, true]);
        expect(invalidate([0, VIRTUAL_ID, 2])).toEqual([0, 1]);
        expect([cached(virtual.device1), cached(other)]).toEqual([
          [true, true, false, true],
          [true, true, true, true],
        ]);
        expect(invalidate([0, VIRTUAL_ID + 1, 0], [0, VIRTUAL_ID + 7, 0])).toEqual(["EINVAL", 1]);
        expect(cached(other)).toEqual([false, true, true, true]);
        expect(invalidate([IOMMU_TEST_INVALIDATE_FLAG_ALL, VIRTUAL_ID, 0])).toEqual([0, 1]);
        expect(cached(virtual.device1)).toEqual([false, false, false, false]);
      });
    });
  });
}
