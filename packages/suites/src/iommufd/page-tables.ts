import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING as DIRTY,
  IOMMU_HWPT_ALLOC_NEST_PARENT as NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID as PASID,
  IOMMU_HWPT_DATA_NONE,
  IOMMU_HWPT_FAULT_ID_VALID as FAULT,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { type MockIds, MockRig, type WithMockRig, words } from "../rigs/mock-iommu/mock-rig";
import { CACHED, nest, parentOf } from "../rigs/mock-iommu/nested-table";
import {
  check_map,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  mock_domain_replace,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../rigs/mock-iommu/test-command";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";
import { dirtyTrackingTests } from "./dirty-tracking";
import { nestedCacheTests } from "./nested-cache";

const IOVA = 0x0200_0000n;
const LENGTH = 4 * PAGE_SIZE;

/** HWPTs of the kernel's mock IOMMU: what they hold, who may use them, nested ones, their caches, dirty tracking. */
export function pageTablesSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_page_tables", () => {
    requireMode(mode);

    const withRig: WithMockRig = (use) => {
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
        unknown_device: ["ENOENT", () => ({ values: { dev_id: NO_SUCH_ID } })],
        space_in_place_of_the_device: ["ENOENT", (rig) => ({ values: { dev_id: rig.ioas } })],
        unknown_space: ["EINVAL", () => ({ values: { pt_id: NO_SUCH_ID } })],
        device_in_place_of_the_space: ["EINVAL", (_, device) => ({ values: { pt_id: device.id } })],
        data_without_type: ["EINVAL", () => ({ values: { data_type: IOMMU_HWPT_DATA_NONE }, data })],
        type_without_data: ["EINVAL", () => ({ values: { data_type: IOMMU_HWPT_DATA_SELFTEST } })],
        unknown_type: ["EOPNOTSUPP", () => ({ values: { data_type: 0xbeef }, data })],
        faults_of_a_parent: [
          "EOPNOTSUPP",
          (rig) => ({ values: { flags: FAULT | NEST_PARENT, fault_id: queueOf(rig) } }),
        ],
        unknown_fault_queue: ["ENOENT", () => ({ values: { flags: FAULT, fault_id: NO_SUCH_ID } })],
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

    nestedCacheTests(withRig);

    dirtyTrackingTests(withRig);
  });
}

function queueOf(rig: MockRig): number {
  return rig.door.newFaultQueue().id;
}
