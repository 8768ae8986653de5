import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING as DIRTY,
  IOMMU_HWPT_ALLOC_NEST_PARENT as NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID as PASID,
  IOMMU_HWPT_DATA_NONE,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE as ENABLE,
  IOMMU_HWPT_FAULT_ID_VALID as FAULT,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  iommu_hwpt_get_dirty_bitmap,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR as NO_CLEAR,
  IOMMU_HWPT_INVALIDATE,
  iommu_hwpt_invalidate,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  iommu_hwpt_set_dirty_tracking,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { type MockIds, MockRig, words } from "../rigs/mock-iommu/mock-rig";
import {
  check_cache,
  check_map,
  dirty,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_OP_DIRTY,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  MOCK_CACHES,
  mock_domain_replace,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../rigs/mock-iommu/test-command";
import { PAGE_SIZE } from "../rigs/page-size";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x0200_0000n;
const PAGES = 4;
const LENGTH = PAGES * PAGE_SIZE;
/** What a nested page table's cache holds at first, which the caller chooses. */
const CACHED = 0x600d_cace;
const UNKNOWN = 0x7fff_fff0;

/** HWPTs of the kernel's mock IOMMU: what they hold, who may use them, nested ones, their caches, dirty tracking. */
export function pageTablesSuite(target: SuiteTarget): void {
  const mode = target.modes.find(({ traits }) => traits.api === "iommufd");
  if (mode === undefined) return;

  describe("iommufd_page_tables", () => {
    requireMode(mode);

    const withRig = (use: (rig: MockRig, device: MockIds) => void): void => {
      using rig = new MockRig(mode);
      use(rig, rig.device());
    };
    const holds = (rig: MockRig, id: number, iova = IOVA) =>
      rig.test(IOMMU_TEST_OP_MD_CHECK_MAP, check_map, { id, iova, length: LENGTH, uptr: rig.memory.address }).outcome;
    const attach = (rig: MockRig, { test }: MockIds, id: number) =>
      rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, { id: test, pt_id: id }).outcome;

    it("new_one_holds_what_is_mapped_and_what_comes_later", () => {
      withRig((rig, device) => {
        const before = rig.iommu.map(rig.memory, { iova: IOVA });
        const table = rig.pageTable(device).need("out_hwpt_id");
        expect([table === device.pageTable, holds(rig, table)]).toEqual([false, 0]);
        const later = rig.iommu.map(rig.memory, { iova: 2n * IOVA });
        expect([holds(rig, table, 2n * IOVA), holds(rig, device.pageTable, 2n * IOVA)]).toEqual([0, 0]);
        before.unmap();
        expect([holds(rig, table), holds(rig, device.pageTable)]).toEqual(["EINVAL", "EINVAL"]);
        expect(holds(rig, table, 2n * IOVA)).toBe(0);
        later.unmap();
      });
    });

    it("device_shares_its_spaces_automatic_one", () => {
      withRig((rig, device) => {
        const second = rig.device();
        // iommufd_device_auto_get_domain looks for one that is there.
        expect(second.pageTable).toBe(device.pageTable);
        const third = rig.device({ attachTo: rig.door.newIoas().id });
        expect(third.pageTable).not.toBe(device.pageTable);
        // The kernel never takes one that the user made.
        const space = rig.door.newIoas();
        const table = rig.pageTable(device, { pt_id: space.id }).need("out_hwpt_id");
        expect(rig.device({ attachTo: space.id }).pageTable).not.toBe(table);
      });
    });

    it("one_in_use_is_not_destroyed", () => {
      withRig((rig, device) => {
        const table = rig.pageTable(device).need("out_hwpt_id");
        expect(attach(rig, device, table)).toBe(0);
        expect(rig.raw.destroy(table)).toBe("EBUSY");
        expect(attach(rig, device, rig.ioas)).toBe(0);
        expect(rig.raw.destroy(table)).toBe(0);
        expect(rig.raw.destroy(table)).toBe("ENOENT");
        expect(holds(rig, table)).toBe("ENOENT");
      });
    });

    it("automatic_one_goes_with_its_last_device", () => {
      withRig((rig, device) => {
        const elsewhere = rig.door.newIoas();
        expect(attach(rig, device, elsewhere.id)).toBe(0);
        expect(rig.raw.destroy(device.pageTable)).toBe("ENOENT");
        expect(rig.raw.destroy(elsewhere.id)).toBe("EBUSY");
        expect(rig.raw.destroy(device.test)).toBe(0);
        expect(rig.raw.destroy(elsewhere.id)).toBe(0);
      });
    });

    it("space_with_one_is_not_destroyed", () => {
      withRig((rig, device) => {
        const space = rig.door.newIoas();
        const table = rig.pageTable(device, { pt_id: space.id }).need("out_hwpt_id");
        expect(rig.raw.destroy(space.id)).toBe("EBUSY");
        expect(rig.raw.destroy(table)).toBe(0);
        expect(rig.raw.destroy(space.id)).toBe(0);
      });
    });

    it("parent_with_a_nested_one_is_not_destroyed", () => {
      withRig((rig, device) => {
        const { parent, nested } = nest(rig, device);
        expect(rig.raw.destroy(parent)).toBe("EBUSY");
        expect(rig.raw.destroy(nested)).toBe(0);
        expect(rig.raw.destroy(parent)).toBe(0);
      });
    });

    describe("refused", () => {
      const data = words(CACHED, 0);
      type Request = { values: Parameters<MockRig["pageTable"]>[1]; data?: Uint8Array; device?: MockIds };
      const refused: Readonly<Record<string, readonly [errno: string, (rig: MockRig, device: MockIds) => Request]>> = {
        unknown_flag: ["EOPNOTSUPP", () => ({ values: { flags: 1 << 20 } })],
        unknown_device: ["ENOENT", () => ({ values: { dev_id: UNKNOWN } })],
        space_in_place_of_the_device: ["ENOENT", (rig) => ({ values: { dev_id: rig.ioas } })],
        unknown_space: ["EINVAL", () => ({ values: { pt_id: UNKNOWN } })],
        device_in_place_of_the_space: ["EINVAL", (_, device) => ({ values: { pt_id: device.id } })],
        data_without_type: ["EINVAL", () => ({ values: { data_type: IOMMU_HWPT_DATA_NONE }, data })],
        type_without_data: ["EINVAL", () => ({ values: { data_type: IOMMU_HWPT_DATA_SELFTEST } })],
        unknown_type: ["EOPNOTSUPP", () => ({ values: { data_type: 0xbeef }, data })],
        faults_of_a_parent: [
          "EOPNOTSUPP",
          (rig) => ({ values: { flags: FAULT | NEST_PARENT, fault_id: queueOf(rig) } }),
        ],
        unknown_fault_queue: ["ENOENT", () => ({ values: { flags: FAULT, fault_id: UNKNOWN } })],
        space_in_place_of_the_fault_queue: ["ENOENT", (rig) => ({ values: { flags: FAULT, fault_id: rig.ioas } })],
        dirty_tracking_of_a_device_that_has_none: [
          "EOPNOTSUPP",
          (rig) => ({
            values: { flags: DIRTY },
            device: rig.device({ attachTo: rig.door.newIoas().id, flags: MOCK_FLAGS_DEVICE_NO_DIRTY }),
          }),
        ],
        nested_in_one_that_is_no_parent: [
          "EINVAL",
          (rig, device) => ({
            values: { pt_id: rig.pageTable(device).need("out_hwpt_id"), data_type: IOMMU_HWPT_DATA_SELFTEST },
            data,
          }),
        ],
        nested_in_an_automatic_one: [
          "EINVAL",
          (_, device) => ({ values: { pt_id: device.pageTable, data_type: IOMMU_HWPT_DATA_SELFTEST }, data }),
        ],
        nested_without_data: ["EOPNOTSUPP", (rig, device) => ({ values: { pt_id: parentOf(rig, device) } })],
        nested_parent: [
          "EOPNOTSUPP",
          (rig, device) => ({
            values: { pt_id: parentOf(rig, device), flags: NEST_PARENT, data_type: IOMMU_HWPT_DATA_SELFTEST },
            data,
          }),
        ],
        nested_dirty_tracking: [
          "EOPNOTSUPP",
          (rig, device) => ({
            values: { pt_id: parentOf(rig, device), flags: DIRTY, data_type: IOMMU_HWPT_DATA_SELFTEST },
            data,
          }),
        ],
        nested_in_a_nested_one: [
          "EINVAL",
          (rig, device) => ({ values: { pt_id: nest(rig, device).nested, data_type: IOMMU_HWPT_DATA_SELFTEST }, data }),
        ],
      };
      for (const [name, [errno, request]] of Object.entries(refused)) {
        it(name, () => {
          withRig((rig, device) => {
            const { values, data: given, device: other = device } = request(rig, device);
            expect(rig.pageTable(other, values, given).outcome).toBe(errno);
          });
        });
      }

      it("reserved_field", () => {
        withRig((rig, device) => {
          expect(rig.pageTable(device).outcome).toBe(0);
          expect(rig.pageTable(device, { __reserved: 1 }).outcome).toBe("EOPNOTSUPP");
        });
      });
    });

    for (const [name, flags] of [
      ["nest_parent", NEST_PARENT],
      ["dirty_tracking", DIRTY],
      ["pasid", PASID],
      ["parent_with_dirty_tracking", NEST_PARENT | DIRTY],
    ] as const) {
      it(`made_as_${name}_holds_what_is_mapped`, () => {
        withRig((rig, device) => {
          rig.iommu.map(rig.memory, { iova: IOVA });
          const table = rig.pageTable(device, { flags }).need("out_hwpt_id");
          expect(holds(rig, table)).toBe(0);
          expect(attach(rig, device, table)).toBe(0);
          expect(attach(rig, device, rig.ioas)).toBe(0);
        });
      });
    }

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
          expect(invalidate(rig, UNKNOWN, {}, entry)).toEqual(["ENOENT", 0]);
          expect(invalidate(rig, parent, {}, entry)).toEqual(["EINVAL", 0]);
          expect(invalidate(rig, rig.ioas, {}, entry)).toEqual(["EINVAL", 0]);
          expect(cached(rig, nested)).toEqual(["held", "held", "held", "held"]);
        });
      });
    });

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
          expect(write(rig, table, 0b1)).toBe(0);
          expect([track(rig, table, 0), track(rig, table, 0)]).toEqual([0, 0]);
          expect(write(rig, table, 0b1)).toBe("EINVAL");
          // iopt_set_dirty_tracking clears what was there before.
          expect(track(rig, table, ENABLE)).toBe(0);
          expect(read(rig, table)).toEqual([0, 0]);
        });
      });

      it("malformed_requests_are_refused", () => {
        withTable((rig, table) => {
          expect(track(rig, table, ENABLE | 2)).toBe("EOPNOTSUPP");
          expect(track(rig, UNKNOWN, ENABLE)).toBe("ENOENT");
          expect(track(rig, rig.ioas, ENABLE)).toBe("ENOENT");
          expect(track(rig, table, ENABLE)).toBe(0);
          for (const values of [
            { flags: 2 },
            { hwpt_id: UNKNOWN },
            { page_size: 0 },
            { length: 0 },
            { iova: IOVA + 512n },
          ]) {
            expect([values, read(rig, table, values)[0]]).not.toEqual([values, 0]);
          }
          expect(read(rig, table, { flags: 2 })[0]).toBe("EOPNOTSUPP");
          expect(read(rig, UNKNOWN)[0]).toBe("ENOENT");
        });
      });
    });
  });
}

function queueOf(rig: MockRig): number {
  return rig.door.newFaultQueue().id;
}

function parentOf(rig: MockRig, device: MockIds): number {
  return rig.pageTable(device, { flags: NEST_PARENT }).need("out_hwpt_id");
}

/** A parent and a page table nested in it. */
function nest(rig: MockRig, device: MockIds): { parent: number; nested: number } {
  const parent = parentOf(rig, device);
  const values = { pt_id: parent, data_type: IOMMU_HWPT_DATA_SELFTEST };
  return { parent, nested: rig.pageTable(device, values, words(CACHED, 0)).need("out_hwpt_id") };
}
