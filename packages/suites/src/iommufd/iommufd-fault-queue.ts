import { DmaMemory, Iommu, type IommuMode } from "@vfio-selftests/core";
import { IOMMU_PGFAULT_PERM_READ, IOMMU_PGFAULT_PERM_WRITE } from "@vfio-selftests/core/uapi";
import { errorWithCode, notChecked, requireMode, skip } from "@vfio-selftests/harness";
import {
  type FaultQueue,
  type HardwarePageTable,
  type Iommufd,
  iommufdOf,
  type PageRequest,
} from "@vfio-selftests/iommu-modes";
import { iommufd } from "@vfio-selftests/iommu-modes/requests";
import { PseudoRandom } from "../rigs/dma/pseudo-random";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockDevice } from "../rigs/mock-iommu/mock-device";
import type { SuiteTarget } from "../suite-target";

const SEED = 0x10bf;
const QUIET_MS = 50;

const PERMISSIONS = {
  read: IOMMU_PGFAULT_PERM_READ,
  write: IOMMU_PGFAULT_PERM_WRITE,
  read_write: IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE,
} as const;

/**
 * I/O page faults: a device asks for a page, user space maps it and answers, and the access completes. The device is
 * the kernel's mock, because no device and IOMMU of QEMU make page requests.
 */
export function iommufdFaultQueueSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_fault_queue", () => {
    requireMode(mode);
    beforeEach(() => {
      const availability = MockDevice.availability();
      if (!availability.available) skip(availability);
    });

    for (const [access, permissions] of Object.entries(PERMISSIONS)) {
      it(`${access}_fault_is_mapped_answered_and_completes`, () => {
        using rig = new FaultRig(mode);
        const { iommu, device, queue, memory, iova } = rig;
        new PseudoRandom(SEED).fill(rig.bytes);
        const content = Buffer.from(rig.bytes);
        expect(() => device.read(iova, PAGE_SIZE)).toThrow(errorWithCode("ENOENT"));

        device.requestPage({ address: iova, permissions, group: 7 });
        const [request, ...others] = queue.waitSync();
        expect(others).toEqual([]);
        expect(request).toMatchObject({ deviceId: device.id, address: iova, group: 7, lastOfGroup: true });
        expect(request).toMatchObject({
          pasid: undefined,
          read: (permissions & IOMMU_PGFAULT_PERM_READ) !== 0,
          write: (permissions & IOMMU_PGFAULT_PERM_WRITE) !== 0,
        });

        using region = iommu.map(memory, { iova });
        queue.respond(rig.cookieOf(request), "success");

        device.checkPageTable(rig.pageTable, region.iova, PAGE_SIZE, memory.address);
        expect(Buffer.from(device.read(iova, PAGE_SIZE)).equals(content)).toBe(true);
        const written = Buffer.alloc(PAGE_SIZE, 0x5a);
        device.write(iova, written);
        expect(Buffer.from(rig.bytes).equals(written)).toBe(true);
        notChecked("that a device repeats its access by itself", "the mock device's accesses are made by the test");
      });
    }

    it("requests_come_in_order_and_are_answered_in_any", () => {
      using rig = new FaultRig(mode);
      const { device, queue, iova } = rig;
      const addresses = Array.from({ length: 100 }, (_, page) => iova + BigInt(page * PAGE_SIZE));
      addresses.forEach((address, group) => device.requestPage({ address, permissions: PERMISSIONS.read, group }));
      const requests: PageRequest[] = [];
      while (requests.length < addresses.length) requests.push(...queue.waitSync());
      expect(requests.map(({ address }) => address)).toEqual(addresses);
      expect(requests.map(({ group }) => group)).toEqual(addresses.map((_, group) => group));
      const cookies = requests.map(({ cookie }) => cookie);
      expect(new Set(cookies).size).toBe(addresses.length);
      for (const cookie of cookies.reverse()) queue.respond(cookie, "success");
      expect(queue.read()).toEqual([]);
    });

    it("invalid_answer_leaves_the_page_out", () => {
      using rig = new FaultRig(mode);
      const { device, queue, iova } = rig;
      device.requestPage({ address: iova, permissions: PERMISSIONS.write, group: 1 });
      const [request] = queue.waitSync();
      queue.respond(rig.cookieOf(request), "invalid");
      expect(() => device.read(iova, PAGE_SIZE)).toThrow(errorWithCode("ENOENT"));
      // The device may ask again.
      device.requestPage({ address: iova, permissions: PERMISSIONS.write, group: 2 });
      expect(queue.waitSync()).toHaveLength(1);
    });

    it("cookie_is_answered_once", () => {
      using rig = new FaultRig(mode);
      const { device, queue, iova } = rig;
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 1 });
      const [request] = queue.waitSync();
      const cookie = rig.cookieOf(request);
      expect(() => queue.respond(cookie + 1, "success")).toThrow(errorWithCode("EINVAL"));
      queue.respond(cookie, "success");
      expect(() => queue.respond(cookie, "success")).toThrow(errorWithCode("EINVAL"));
    });

    it("no_request_times_out", () => {
      using rig = new FaultRig(mode);
      const started = performance.now();
      expect(() => rig.queue.waitSync({ timeoutMs: QUIET_MS })).toThrow(errorWithCode("ETIMEDOUT"));
      expect(performance.now() - started).toBeGreaterThanOrEqual(QUIET_MS - 1);
    });

    it("device_without_a_queue_asks_in_vain", () => {
      using rig = new FaultRig(mode);
      const { device, queue, iova } = rig;
      device.attach(rig.door.ioas);
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 1 });
      expect(() => queue.waitSync({ timeoutMs: QUIET_MS })).toThrow(errorWithCode("ETIMEDOUT"));
    });

    it("leaving_the_page_table_ends_open_requests", () => {
      using rig = new FaultRig(mode);
      const { device, queue, iova } = rig;
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 1 });
      const [read] = queue.waitSync();
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 2 });
      // One request is read and not answered, one is not even read.
      device.attach(rig.door.ioas);
      expect(queue.read()).toEqual([]);
      expect(() => queue.respond(rig.cookieOf(read), "success")).toThrow(errorWithCode("EINVAL"));
    });

    it("two_devices_share_a_queue", () => {
      using rig = new FaultRig(mode);
      const { queue, iova } = rig;
      using other = new MockDevice(rig.door);
      using otherTable = rig.door.newPageTable({ device: other, ioas: rig.door.ioas, faultQueue: queue });
      other.attach(otherTable);
      for (const device of [rig.device, other]) {
        device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 1 });
      }
      const requests = queue.waitSync();
      expect(requests.map(({ deviceId }) => deviceId)).toEqual([rig.device.id, other.id]);
      // When one leaves, the other's requests stay, the one that was read and the one that was not.
      for (const device of [rig.device, other]) {
        device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 2 });
      }
      other.attach(rig.door.ioas);
      expect(() => queue.respond(rig.cookieOf(requests[1]), "success")).toThrow(errorWithCode("EINVAL"));
      const left = queue.waitSync();
      expect(left.map(({ deviceId, group }) => [deviceId, group])).toEqual([[rig.device.id, 2]]);
      for (const request of [requests[0], left[0]]) queue.respond(rig.cookieOf(request), "success");
    });

    it("closed_queue_with_open_requests", () => {
      using rig = new FaultRig(mode);
      const { device, queue, pageTable, iova } = rig;
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 1 });
      expect(queue.waitSync()).toHaveLength(1);
      device.requestPage({ address: iova, permissions: PERMISSIONS.read, group: 2 });
      device.attach(rig.door.ioas);
      pageTable.close();
      queue.close();
      expect(() => queue.waitSync()).toThrow(errorWithCode("ERR_CLOSED"));
      // The device and its address space go on without it.
      using region = rig.iommu.map(rig.memory, { iova });
      expect(device.read(region.iova, 1)).toHaveLength(1);
    });

    it("queue_in_use_is_not_destroyed", () => {
      using rig = new FaultRig(mode);
      // It refuses each time, until nothing uses the queue (after the rig's disposal).
      for (let attempt = 0; attempt < 2; attempt++) {
        expect(() => rig.queue.close()).toThrow(errorWithCode("EBUSY"));
      }
      expect(() => rig.queue.read()).toThrow(errorWithCode("ERR_CLOSED"));
    });

    it("unknown_queue_is_refused", () => {
      using rig = new FaultRig(mode);
      const { door, device } = rig;
      const other = door.newFaultQueue();
      const { id } = other;
      other.close();
      expect(() => door.newPageTable({ device, ioas: door.ioas, faultQueue: other })).toThrow(
        errorWithCode("ERR_CLOSED"),
      );
      const askKernel = () => door.file.ask(iommufd.hwptAlloc, "unknown queue", device.id, door.ioas.id, id);
      expect(askKernel).toThrow(errorWithCode("ENOENT"));
    });
  });
}

/** A mock device attached to a page table with a fault queue, and a page that is not mapped yet. */
class FaultRig implements Disposable {
  readonly iommu: Iommu;
  readonly door: Iommufd;
  readonly device: MockDevice;
  readonly queue: FaultQueue;
  readonly pageTable: HardwarePageTable;
  readonly memory = DmaMemory.allocate(PAGE_SIZE);
  readonly bytes = new Uint8Array(this.memory.buffer);
  /** A free IOVA for the page. */
  readonly iova: bigint;

  constructor(mode: IommuMode) {
    this.iommu = new Iommu(mode.open());
    this.door = iommufdOf(this.iommu);
    this.device = new MockDevice(this.door);
    this.iova = this.iommu.reserveIova(PAGE_SIZE).iova;
    this.queue = this.door.newFaultQueue();
    this.pageTable = this.door.newPageTable({ device: this.device, ioas: this.door.ioas, faultQueue: this.queue });
    this.device.attach(this.pageTable);
  }

  cookieOf(request: PageRequest | undefined): number {
    if (request === undefined) throw new Error("there is no request");
    return request.cookie;
  }

  /** Closes in the order that the kernel demands: device, page table, queue, address space. */
  [Symbol.dispose](): void {
    this.device.close();
    this.pageTable.close();
    this.queue.close();
    this.iommu.close();
    this.memory.close();
  }
}
