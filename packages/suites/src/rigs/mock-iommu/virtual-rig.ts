import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import {
  IOMMU_HW_QUEUE_ALLOC,
  iommu_hw_queue_alloc,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_VDEVICE_ALLOC,
  iommu_vdevice_alloc,
  IOMMU_VEVENTQ_ALLOC,
  iommu_veventq_alloc,
  IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
  IOMMU_VIOMMU_ALLOC,
  iommu_viommu_alloc,
  iommufd_vevent_header,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { outcome } from "../raw/ask-kernel";
import { type MockIds, type MockRig, words } from "./mock-rig";
import {
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_TRIGGER_VEVENT,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  mock_domain_replace,
  trigger_vevent,
} from "./test-command";

/** The first device's number in a vIOMMU. */
export const VIRTUAL_ID = 0x99;
/** Where hardware queues lie, unless a test says otherwise. */
export const QUEUE_IOVA = 0x0200_0000n;
export const POLLIN = 1;
export const POLLOUT = 4;

const HEADER = iommufd_vevent_header.size;
/** The mock's events carry the device's virtual number. */
const EVENT = HEADER + 4;

/** One entry of an event queue. */
export interface VirtualEvent {
  readonly sequence: number;
  readonly lost: boolean;
  readonly virtualId: number | undefined;
}

/** A mock device with a page table that others can be nested in. */
export class VirtualRig implements Disposable {
  readonly rig: MockRig;
  readonly device1: MockIds;
  readonly parent: number;
  readonly #files: OwnedDescriptor[] = [];

  constructor(rig: MockRig) {
    this.rig = rig;
    this.device1 = rig.device();
    this.parent = rig.pageTable(this.device1, { flags: IOMMU_HWPT_ALLOC_NEST_PARENT }).need("out_hwpt_id");
  }

  allocate(values: object = {}, data?: Uint8Array) {
    const given = { type: IOMMU_VIOMMU_TYPE_SELFTEST, dev_id: this.device1.id, hwpt_id: this.parent };
    const links = data === undefined ? undefined : { data_uptr: data };
    return this.rig.raw.call({ IOMMU_VIOMMU_ALLOC }, iommu_viommu_alloc, { ...given, ...values }, links);
  }

  device(viommu: number, { id }: MockIds, virtualId: number) {
    const values = { viommu_id: viommu, dev_id: id, virt_id: virtualId };
    return this.rig.raw.call({ IOMMU_VDEVICE_ALLOC }, iommu_vdevice_alloc, values);
  }

  eventQueue(viommu: number, values: object = {}) {
    const given = { viommu_id: viommu, type: IOMMU_VEVENTQ_TYPE_SELFTEST, veventq_depth: 4 };
    const answer = this.rig.raw.call({ IOMMU_VEVENTQ_ALLOC }, iommu_veventq_alloc, { ...given, ...values });
    if (answer.outcome === 0) this.#files.push(new OwnedDescriptor(answer.get("out_veventq_fd"), "event queue"));
    return answer;
  }

  hardwareQueue(viommu: number, values: object = {}) {
    const given = {
      viommu_id: viommu,
      type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
      nesting_parent_iova: QUEUE_IOVA,
      length: PAGE_SIZE,
    };
    return this.rig.raw.call({ IOMMU_HW_QUEUE_ALLOC }, iommu_hw_queue_alloc, { ...given, ...values });
  }

  /** Moves a device to a page table nested in the vIOMMU's parent. */
  attachNested(viommu: number, device = this.device1): void {
    const values = { pt_id: viommu, data_type: IOMMU_HWPT_DATA_SELFTEST };
    const nested = this.rig.pageTable(device, values, words(0, 0)).need("out_hwpt_id");
    const move = { id: device.test, pt_id: nested };
    this.rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, move).need("pt_id");
  }

  /** A vIOMMU whose device reports events into a queue of this depth. */
  eventRig(depth: number, viommu = this.allocate().need("out_viommu_id")): EventRig {
    this.device(viommu, this.device1, VIRTUAL_ID).need("out_vdevice_id");
    this.attachNested(viommu);
    const fd = this.eventQueue(viommu, { veventq_depth: depth }).need("out_veventq_fd");
    return new EventRig(this.rig, this.device1, fd);
  }

  closeFiles(): void {
    for (const file of this.#files.splice(0)) file.close();
  }

  /** Closes the files. The iommufd's end destroys the rest. */
  [Symbol.dispose](): void {
    this.closeFiles();
  }
}

/** A mock device that reports events into a queue. */
export class EventRig {
  readonly #rig: MockRig;
  readonly #device: MockIds;
  readonly #fd: number;

  constructor(rig: MockRig, device: MockIds, fd: number) {
    this.#rig = rig;
    this.#device = device;
    this.#fd = fd;
  }

  trigger(device = this.#device): number | string {
    return this.#rig.test(IOMMU_TEST_OP_TRIGGER_VEVENT, trigger_vevent, { dev_id: device.id }).outcome;
  }

  poll(): number {
    return native.pollBlocking(this.#fd, POLLIN | POLLOUT, 0);
  }

  tryRead(into: number | Uint8Array): number | string {
    return outcome(native.read(this.#fd, typeof into === "number" ? new Uint8Array(into) : into));
  }

  read(length: number): VirtualEvent[] {
    const bytes = new Uint8Array(length);
    const count = native.read(this.#fd, bytes);
    if (count < 0) throw new Error(`read: ${outcome(count)}`);
    const view = new DataView(bytes.buffer);
    const events: VirtualEvent[] = [];
    for (let at = 0; at < count;) {
      const lost = (view.getUint32(at, true) & IOMMU_VEVENTQ_FLAG_LOST_EVENTS) !== 0;
      const sequence = view.getUint32(at + 4, true);
      events.push({ sequence, lost, virtualId: lost ? undefined : view.getUint32(at + HEADER, true) });
      at += lost ? HEADER : EVENT;
    }
    return events;
  }
}
