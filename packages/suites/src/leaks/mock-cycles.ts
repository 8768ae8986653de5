import { DmaMemory, type IommuMode } from "@vfio-selftests/core";
import { closeAll, OwnedDescriptor } from "@vfio-selftests/core/backend";
import {
  iommu_fault_alloc,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  iommu_hwpt_get_dirty_bitmap,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  iommu_hwpt_set_dirty_tracking,
} from "@vfio-selftests/core/uapi";
import { ContiguousMemory } from "../rigs/memory/contiguous-memory";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { KernelAccess } from "../rigs/mock-iommu/kernel-access";
import { type MockIds, MockRig, words } from "../rigs/mock-iommu/mock-rig";
import { nest } from "../rigs/mock-iommu/nested-table";
import { IOVA, PageRig, PAGES, WHOLE_LIMIT } from "../rigs/mock-iommu/page-rig";
import {
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_DETACH,
  mock_domain,
  mock_domain_replace,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_DEVICE_PASID,
  pasid_table,
} from "../rigs/mock-iommu/test-command";
import { QUEUE_IOVA, VIRTUAL_ID, VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import { IommufdFile } from "../rigs/raw/iommufd-files";
import { RawIommufd } from "../rigs/raw/raw-iommufd";
import { type Cycle, refused, repeating } from "./cycle";

const PASID = 7;
/** The kernel notes 8 bytes for each page of a queue (iommufd_hw_queue_alloc_phys): enough to be seen when they stay. */
const QUEUE_PAGES = 32;
/** IOMMU_HWPT_ALLOC has no such flag. */
const NO_FLAG = 2 ** 31;

/** What iommufd allocates for what no device of the lab has: nested page tables, virtual IOMMUs, PASIDs, the kernel's own pins. */
export const MOCK_CYCLES: readonly Cycle[] = [
  {
    name: "mock_device",
    times: 150,
    prepare: withRig((rig) => () => destroy(rig, rig.device().test)),
  },
  {
    name: "nested_page_tables",
    times: 300,
    prepare: withDevice((rig, device) => () => {
      const { parent, nested } = nest(rig, device);
      destroy(rig, nested, parent);
    }),
  },
  {
    name: "nested_page_tables_are_refused",
    prepare: withDevice((rig, device) => {
      const { nested } = nest(rig, device);
      const unknown = { pt_id: nested, data_type: IOMMU_HWPT_DATA_SELFTEST };
      return refused({
        "in a nested one": [() => rig.pageTable(device, unknown, words(0, 0)).outcome, "EINVAL"],
        "in nothing": [() => rig.pageTable(device, { pt_id: NO_SUCH_ID }).outcome, "EINVAL"],
        "with flags that are none": [() => rig.pageTable(device, { flags: NO_FLAG }).outcome, "EOPNOTSUPP"],
      });
    }),
  },
  {
    name: "page_table_that_tracks_writes",
    prepare: withDevice((rig, device) => () => {
      destroy(rig, rig.pageTable(device, { flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING }).need("out_hwpt_id"));
    }),
  },
  {
    name: "bitmap_of_writes",
    prepare: withPages((pages) => {
      const device = pages.rig.device();
      const table = pages.rig.pageTable(device, { flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING }).need("out_hwpt_id");
      pages.map();
      const track = { hwpt_id: table, flags: IOMMU_HWPT_DIRTY_TRACKING_ENABLE };
      const set = { IOMMU_HWPT_SET_DIRTY_TRACKING };
      pages.rig.raw.call(set, iommu_hwpt_set_dirty_tracking, track).need("hwpt_id");
      const range = { hwpt_id: table, iova: IOVA, length: PAGES * PAGE_SIZE, page_size: PAGE_SIZE };
      const bitmap = new Uint8Array(PAGES / 8);
      return () => {
        const get = { IOMMU_HWPT_GET_DIRTY_BITMAP };
        pages.rig.raw.call(get, iommu_hwpt_get_dirty_bitmap, range, { data: bitmap }).need("hwpt_id");
      };
    }),
  },
  {
    name: "fault_queue",
    prepare: withRig((rig) => () => {
      const answer = rig.raw.call({ IOMMU_FAULT_QUEUE_ALLOC }, iommu_fault_alloc, {});
      new OwnedDescriptor(answer.need("out_fault_fd"), "fault queue").close();
      destroy(rig, answer.get("out_fault_id"));
    }),
  },
  {
    name: "virtual_iommu_and_all_that_it_has",
    times: 200,
    prepare: withRig((rig) => {
      const virtual = new VirtualRig(rig);
      rig.iommu.map(rig.memory, { iova: QUEUE_IOVA });
      return () => {
        const viommu = virtual.allocate().need("out_viommu_id");
        const hardware = virtual.hardwareQueue(viommu).need("out_hw_queue_id");
        const device = virtual.device(viommu, virtual.device1, VIRTUAL_ID).need("out_vdevice_id");
        const queue = virtual.eventQueue(viommu).need("out_veventq_id");
        virtual.closeFiles();
        destroy(rig, hardware, queue, device, viommu);
      };
    }),
  },
  {
    name: "queue_of_hardware_in_many_pages",
    prepare: (mode) =>
      repeating(({ rig, memory: { address: vaddr, length } }) => {
        const virtual = new VirtualRig(rig);
        const mapped = new IommufdFile(rig.door.file).map({ ioas: rig.ioas, vaddr, length, iova: QUEUE_IOVA });
        expect(mapped.code).toBe("ok");
        const viommu = virtual.allocate().need("out_viommu_id");
        return () => destroy(rig, virtual.hardwareQueue(viommu, { length }).need("out_hw_queue_id"));
      }, new QueueRig(mode)),
  },
  {
    name: "virtual_iommu_refuses",
    times: 300,
    prepare: withRig((rig) => {
      const virtual = new VirtualRig(rig);
      const viommu = virtual.allocate().need("out_viommu_id");
      virtual.device(viommu, virtual.device1, VIRTUAL_ID).need("out_vdevice_id");
      rig.iommu.map(rig.memory, { iova: QUEUE_IOVA, length: PAGE_SIZE });
      const twoPages = { length: 2 * PAGE_SIZE };
      return refused({
        "an unknown type": [() => virtual.allocate({ type: 0x7777 }).outcome, "EOPNOTSUPP"],
        "a device twice": [() => virtual.device(viommu, virtual.device1, VIRTUAL_ID + 1).outcome, "EEXIST"],
        "a queue of no events": [() => virtual.eventQueue(viommu, { veventq_depth: 0 }).outcome, "EINVAL"],
        "a queue of hardware in half of its memory": [() => virtual.hardwareQueue(viommu, twoPages).outcome, "ENOENT"],
      });
    }),
  },
  {
    name: "pasid",
    times: 300,
    prepare: withRig((rig) => {
      const device = rig.device({ flags: MOCK_FLAGS_DEVICE_PASID });
      const at = { id: device.test, pasid: PASID };
      const newTable = (): number => rig.pageTable(device, { flags: IOMMU_HWPT_ALLOC_PASID }).need("out_hwpt_id");
      // PASIDs need a device whose own table allows them.
      const [own, table] = [newTable(), newTable()];
      const move = { id: device.test, pt_id: own };
      rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, move).need("pt_id");
      return () => {
        rig.test(IOMMU_TEST_OP_PASID_ATTACH, pasid_table, { ...at, pt_id: table }).need("pasid");
        rig.test(IOMMU_TEST_OP_PASID_DETACH, pasid_table, at).need("pasid");
      };
    }),
  },
  {
    name: "pins_of_the_kernel",
    times: 200,
    prepare: withPages((pages) => {
      pages.map();
      return () => {
        using access = new KernelAccess(pages.rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
        const whole = access.pin(IOVA, PAGES * PAGE_SIZE, { anyMemory: true }).need("out_access_pages_id");
        access.pin(IOVA + BigInt(PAGE_SIZE), 2 * PAGE_SIZE, { anyMemory: true }).need("out_access_pages_id");
        if (access.unpin(whole) !== 0) throw new Error("not let go");
      };
    }),
  },
  {
    name: "iommufd_ends_with_all_that_is_in_it",
    times: 100,
    prepare: () => {
      const memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
      return {
        once() {
          using iommufd = new IommufdFile();
          const ioas = iommufd.newIoas();
          const named = { IOMMU_TEST_CMD };
          const device = new RawIommufd(iommufd.file).call(named, mock_domain, {
            op: IOMMU_TEST_OP_MOCK_DOMAIN,
            id: ioas,
          });
          iommufd.newPageTable(device.need("out_idev_id"), ioas);
          iommufd.chosen({ ioas, vaddr: memory.address, length: memory.length });
        },
        [Symbol.dispose]: () => memory.close(),
      };
    },
  },
  {
    name: "mapping_that_two_page_tables_hold",
    times: 200,
    prepare: withPages((pages) => {
      const devices = [pages.rig.device(), pages.rig.device()];
      expect(new Set(devices.map(({ pageTable }) => pageTable)).size).toBe(1);
      pages.rig.pageTable(devices[0] as MockIds).need("out_hwpt_id");
      return () => {
        pages.map();
        if (pages.unmap() !== "ok") throw new Error("not unmapped");
      };
    }),
  },
];

/** A mock device, and memory that one queue of hardware can lie in. */
class QueueRig implements Disposable {
  readonly memory = new ContiguousMemory(QUEUE_PAGES);
  readonly rig: MockRig;

  constructor(mode: IommuMode) {
    try {
      this.rig = new MockRig(mode);
    } catch (error) {
      this.memory[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    closeAll("queue and memory", [() => this.rig[Symbol.dispose](), () => this.memory[Symbol.dispose]()]);
  }
}

function withRig(prepare: (rig: MockRig) => () => void): Cycle["prepare"] {
  return (mode: IommuMode) => {
    return repeating(prepare, new MockRig(mode));
  };
}

function withDevice(prepare: (rig: MockRig, device: MockIds) => () => void): Cycle["prepare"] {
  return withRig((rig) => prepare(rig, rig.device()));
}

function withPages(prepare: (pages: PageRig) => () => void): Cycle["prepare"] {
  return (mode: IommuMode) => {
    return repeating(prepare, new PageRig(mode, WHOLE_LIMIT));
  };
}

/** Destroys objects, users before what they use. */
function destroy(rig: MockRig, ...ids: readonly number[]): void {
  for (const id of ids) if (rig.raw.destroy(id) !== 0) throw new Error(`object ${id} is not destroyed`);
}
