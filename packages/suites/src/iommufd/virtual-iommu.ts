import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  MAP_PRIVATE,
  MAP_SHARED,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { closesOnExec } from "../rigs/device/close-on-exec";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockRig, words } from "../rigs/mock-iommu/mock-rig";
import {
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_TRIGGER_VEVENT,
  trigger_vevent,
} from "../rigs/mock-iommu/test-command";
import { POLLIN, POLLOUT, VIRTUAL_ID, type VirtualEvent, VirtualRig } from "../rigs/mock-iommu/virtual-rig";
import { outcome } from "../rigs/raw/ask-kernel";
import { NO_SUCH_ID } from "../rigs/raw/iommufd-files";
import { MemoryWithoutPages } from "../rigs/raw/memory-without-pages";
import type { SuiteTarget } from "../suite-target";
import { hardwareQueueTests } from "./hardware-queue";
import { virtualDeviceTests } from "./virtual-device";

const GREETING = 0x1234_abcd;
const HEADER = 8;
const EVENT = HEADER + 4;
const MOST_EVENTS = 1 << 19;

/** vIOMMUs of the kernel's mock IOMMU, with virtual devices, event queues, hardware queues and shared pages. */
export function virtualIommuSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_virtual_iommu", () => {
    requireMode(mode);

    const withRig = (use: (rig: VirtualRig) => void): void => {
      using rig = new MockRig(mode);
      using virtual = new VirtualRig(rig);
      use(virtual);
    };

    describe("itself", () => {
      it("hands_the_drivers_data_over", () => {
        withRig((virtual) => {
          const data = new Uint8Array(24);
          new DataView(data.buffer).setUint32(0, GREETING, true);
          virtual.allocate({ data_len: data.length }, data).need("out_viommu_id");
          const view = new DataView(data.buffer);
          const [echo, offset, length] = [
            view.getUint32(4, true),
            view.getBigUint64(8, true),
            view.getBigUint64(16, true),
          ];
          expect([echo, Number(length)]).toEqual([GREETING, 2 * PAGE_SIZE]);
          // The offset is never 0 (_iommufd_alloc_mmap), and only a shared map of the whole works.
          expect(offset).toBeGreaterThan(0n);
          const fd = virtual.rig.door.file.descriptor("mmap");
          const map = (at: bigint, size: number, flags = MAP_SHARED) =>
            native.mapIo({ fd, length: size, flags, offset: at });
          for (const refused of [
            map(offset, PAGE_SIZE),
            map(offset + BigInt(PAGE_SIZE), PAGE_SIZE),
            map(0n, 2 * PAGE_SIZE),
          ]) {
            expect(typeof refused === "number" ? outcome(refused) : refused).toBe("ENXIO");
          }
          const hidden = map(offset, 2 * PAGE_SIZE, MAP_PRIVATE);
          expect(typeof hidden === "number" ? outcome(hidden) : hidden).toBe("EINVAL");
          const pages = map(offset, 2 * PAGE_SIZE);
          if (typeof pages === "number") throw new Error(`the pages were not mapped: ${outcome(pages)}`);
          expect(pages.read32(0)).toBe(GREETING);
          pages.unmap();
        });
      });

      it("in_use_by_its_mapping_is_not_destroyed", () => {
        withRig((virtual) => {
          const data = new Uint8Array(24);
          const id = virtual.allocate({ data_len: data.length }, data).need("out_viommu_id");
          const offset = new DataView(data.buffer).getBigUint64(8, true);
          const fd = virtual.rig.door.file.descriptor("mmap");
          const pages = native.mapIo({ fd, length: 2 * PAGE_SIZE, flags: MAP_SHARED, offset });
          if (typeof pages === "number") throw new Error(`the pages were not mapped: ${outcome(pages)}`);
          expect(virtual.rig.raw.destroy(id)).toBe("EBUSY");
          pages.unmap();
          expect(virtual.rig.raw.destroy(id)).toBe(0);
          const again = native.mapIo({ fd, length: 2 * PAGE_SIZE, flags: MAP_SHARED, offset });
          expect(typeof again === "number" ? outcome(again) : again).toBe("ENXIO");
        });
      });

      it("holds_its_parent_until_it_goes", () => {
        withRig((virtual) => {
          const id = virtual.allocate().need("out_viommu_id");
          expect(virtual.rig.raw.destroy(virtual.parent)).toBe("EBUSY");
          expect(virtual.rig.raw.destroy(id)).toBe(0);
          expect(virtual.rig.raw.destroy(virtual.parent)).toBe(0);
        });
      });

      const refused: Readonly<Record<string, readonly [string, (virtual: VirtualRig) => object]>> = {
        flags: ["EOPNOTSUPP", () => ({ flags: 1 })],
        default_type: ["EOPNOTSUPP", () => ({ type: 0 })],
        unknown_type: ["EOPNOTSUPP", () => ({ type: 0xabcd })],
        unknown_device: ["ENOENT", () => ({ dev_id: NO_SUCH_ID })],
        unknown_parent: ["ENOENT", () => ({ hwpt_id: NO_SUCH_ID })],
        space_as_its_parent: ["ENOENT", ({ rig }) => ({ hwpt_id: rig.ioas })],
        parent_that_is_none: [
          "EINVAL",
          ({ rig, device1: device }) => ({ hwpt_id: rig.pageTable(device).need("out_hwpt_id") }),
        ],
      };
      it("nests_no_tables_of_other_kinds", () => {
        withRig((virtual) => {
          const { rig, device1 } = virtual;
          const pt_id = virtual.allocate().need("out_viommu_id");
          const nested = { pt_id, data_type: IOMMU_HWPT_DATA_SELFTEST };
          // iommufd_viommu_alloc_hwpt_nested
          for (const flags of [IOMMU_HWPT_ALLOC_NEST_PARENT, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 1 << 20]) {
            const { outcome: answer } = rig.pageTable(device1, { ...nested, flags }, words(0, 0));
            expect([flags, answer]).toEqual([flags, "EOPNOTSUPP"]);
          }
          expect(rig.pageTable(device1, { pt_id }).outcome).toBe("EOPNOTSUPP");
          expect(rig.raw.destroy(pt_id)).toBe(0);
        });
      });

      for (const [name, [errno, values]] of Object.entries(refused)) {
        it(`refuses_${name}`, () => {
          withRig((virtual) => {
            expect(virtual.allocate(values(virtual)).outcome).toBe(errno);
          });
        });
      }
    });

    virtualDeviceTests(withRig);

    describe("event_queue", () => {
      it("gives_events_in_order", () => {
        withRig((virtual) => {
          const queue = virtual.eventRig(8);
          expect(queue.poll()).toBe(0);
          for (let number = 0; number < 3; number++) expect(queue.trigger()).toBe(0);
          expect(queue.poll() & (POLLIN | POLLOUT)).toBe(POLLIN);
          expect(queue.read(2 * EVENT)).toEqual([event(0), event(1)]);
          expect(queue.read(100)).toEqual([event(2)]);
          expect([queue.poll(), queue.read(100)]).toEqual([0, []]);
          expect(queue.trigger()).toBe(0);
          expect(queue.read(100)).toEqual([event(3)]);
        });
      });

      it("tells_the_virtual_number_of_each_device", () => {
        withRig((virtual) => {
          const viommu = virtual.allocate().need("out_viommu_id");
          const queue = virtual.eventRig(8, viommu);
          const other = virtual.rig.device();
          virtual.device(viommu, other, VIRTUAL_ID + 1).need("out_vdevice_id");
          virtual.attachNested(viommu, other);
          // iommufd_viommu_get_vdev_id
          expect([queue.trigger(other), queue.trigger(), queue.trigger(other)]).toEqual([0, 0, 0]);
          expect(queue.read(100).map(({ virtualId }) => virtualId)).toEqual([
            VIRTUAL_ID + 1,
            VIRTUAL_ID,
            VIRTUAL_ID + 1,
          ]);
        });
      });

      it("tells_when_events_were_lost", () => {
        withRig((virtual) => {
          const queue = virtual.eventRig(2);
          for (let number = 0; number < 5; number++) expect(queue.trigger()).toBe(0);
          // Two events, then a header for the three that found no room (iommufd_viommu_report_event).
          const [first, second, lost] = queue.read(100);
          expect([first, second, lost?.lost]).toEqual([event(0), event(1), true]);
          expect(queue.read(100)).toEqual([]);
          expect(queue.trigger()).toBe(0);
          expect(queue.read(100)).toEqual([event((lost?.sequence ?? 0) + 1)]);
        });
      });

      it("gives_whole_events_only", () => {
        withRig((virtual) => {
          const queue = virtual.eventRig(4);
          expect(queue.tryRead(HEADER - 1)).toBe("EINVAL");
          expect(queue.tryRead(HEADER)).toBe(0);
          expect(queue.trigger()).toBe(0);
          expect(queue.tryRead(HEADER)).toBe("EINVAL");
          expect(queue.tryRead(EVENT - 1)).toBe("EINVAL");
          // These reads lost nothing.
          expect(queue.read(EVENT)).toEqual([event(0)]);
        });
      });

      it("keeps_events_that_cannot_be_told", () => {
        withRig((virtual) => {
          using nowhere = new MemoryWithoutPages();
          const queue = virtual.eventRig(8);
          for (let number = 0; number < 3; number++) expect(queue.trigger()).toBe(0);
          expect(queue.tryRead(nowhere.bytes.subarray(0, 2 * EVENT))).toBe("EFAULT");
          // With room for one and a part of the next.
          expect(queue.read(2 * EVENT - 1)).toEqual([event(0)]);
          expect(queue.read(EVENT + HEADER - 1)).toEqual([event(1)]);
          expect(queue.read(100)).toEqual([event(2)]);
        });
      });

      it("keeps_the_news_of_lost_events_until_it_is_told", () => {
        withRig((virtual) => {
          const queue = virtual.eventRig(2);
          for (let number = 0; number < 4; number++) expect(queue.trigger()).toBe(0);
          expect(queue.read(2 * EVENT)).toEqual([event(0), event(1)]);
          expect(queue.poll() & POLLIN).toBe(POLLIN);
          expect(queue.tryRead(HEADER - 1)).toBe("EINVAL");
          using nowhere = new MemoryWithoutPages();
          expect(queue.tryRead(nowhere.bytes.subarray(0, HEADER))).toBe("EFAULT");
          expect(queue.read(HEADER).map(({ lost }) => lost)).toEqual([true]);
          expect(queue.poll()).toBe(0);
        });
      });

      it("takes_no_events_without_its_parts", () => {
        withRig((virtual) => {
          const { rig } = virtual;
          const trigger = () =>
            rig.test(IOMMU_TEST_OP_TRIGGER_VEVENT, trigger_vevent, { dev_id: virtual.device1.id }).outcome;
          const viommu = virtual.allocate().need("out_viommu_id");
          virtual.device(viommu, virtual.device1, VIRTUAL_ID).need("out_vdevice_id");
          // The device uses no nested page table of the vIOMMU yet.
          expect(trigger()).toBe("ENOENT");
          virtual.attachNested(viommu);
          expect(trigger()).toBe("EOPNOTSUPP");
          virtual.eventQueue(viommu).need("out_veventq_id");
          expect(trigger()).toBe(0);
        });
      });

      it("is_closed_by_exec", () => {
        withRig((virtual) => {
          const viommu = virtual.allocate().need("out_viommu_id");
          expect(closesOnExec(virtual.eventQueue(viommu).need("out_veventq_fd"))).toBe(true);
        });
      });

      it("is_one_of_its_type", () => {
        withRig((virtual) => {
          const viommu = virtual.allocate().need("out_viommu_id");
          const first = virtual.eventQueue(viommu).need("out_veventq_id");
          expect(virtual.eventQueue(viommu).outcome).toBe("EEXIST");
          // The open file holds the queue, and the queue holds the vIOMMU.
          expect([virtual.rig.raw.destroy(first), virtual.rig.raw.destroy(viommu)]).toEqual(["EBUSY", "EBUSY"]);
          virtual.closeFiles();
          expect(virtual.rig.raw.destroy(viommu)).toBe("EBUSY");
          expect(virtual.rig.raw.destroy(first)).toBe(0);
          expect(virtual.eventQueue(viommu).outcome).toBe(0);
        });
      });

      const refused: Readonly<Record<string, readonly [string, object]>> = {
        flags: ["EOPNOTSUPP", { flags: 1 }],
        reserved: ["EOPNOTSUPP", { __reserved: 1 }],
        default_type: ["EOPNOTSUPP", { type: 0 }],
        no_depth: ["EINVAL", { veventq_depth: 0 }],
        too_much_depth: ["EINVAL", { veventq_depth: MOST_EVENTS + 1 }],
        unknown_viommu: ["ENOENT", { viommu_id: NO_SUCH_ID }],
      };
      for (const [name, [errno, values]] of Object.entries(refused)) {
        it(`refuses_${name}`, () => {
          withRig((virtual) => {
            const viommu = virtual.allocate().need("out_viommu_id");
            expect(virtual.eventQueue(viommu, values).outcome).toBe(errno);
          });
        });
      }

      it("takes_the_greatest_depth", () => {
        withRig((virtual) => {
          const viommu = virtual.allocate().need("out_viommu_id");
          expect(virtual.eventQueue(viommu, { veventq_depth: MOST_EVENTS }).outcome).toBe(0);
        });
      });
    });

    hardwareQueueTests(withRig);
  });
}

const event = (sequence: number): VirtualEvent => ({ sequence, lost: false, virtualId: VIRTUAL_ID });
