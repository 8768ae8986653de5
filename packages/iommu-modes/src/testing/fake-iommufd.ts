import { Errno } from "@vfio-selftests/core/errors";
import * as uapi from "@vfio-selftests/core/uapi";
import type { NativePoller } from "@vfio-selftests/native";
import { FakeAddressSpace } from "./fake-address-space";

/** The parts of a fake page table. */
interface FakePageTable {
  readonly ioas: number;
  readonly queue: number | undefined;
}

/** One open /dev/iommu: its objects by their ids, and which of them are in use. */
export class FakeIommufd {
  readonly kind = "iommufd";
  readonly spaces = new Map<number, FakeAddressSpace>();
  readonly tables = new Map<number, FakePageTable>();
  readonly queues = new Map<number, FakeFaultQueue>();
  /** What each device is attached to, by the device's id. */
  readonly attached = new Map<number, number>();
  /** The IOAS that stands for a container. */
  compat?: number;
  #nextId = 1;

  newSpace(): number {
    this.spaces.set(this.#nextId, new FakeAddressSpace("iommufd", true));
    return this.#nextId++;
  }

  /** `addFile` returns a descriptor for a fault queue's file. */
  ioctl(
    request: number,
    value: number,
    bytes: Uint8Array,
    links: readonly (number | Uint8Array)[],
    addFile: (queue: FakeFaultQueue) => number,
  ): number {
    const argument = new DataView(bytes.buffer, bytes.byteOffset);
    const compat = this.compat === undefined ? undefined : this.spaces.get(this.compat);
    switch (request) {
      case uapi.VFIO_GET_API_VERSION:
        return 0;
      case uapi.VFIO_CHECK_EXTENSION:
        return Number(value === 1 || value === 3);
      case uapi.VFIO_SET_IOMMU:
        if (compat === undefined) return -Errno.ENODEV;
        compat.version2 = value === 3;
        return 0;
      case uapi.IOMMU_IOAS_ALLOC:
        argument.setUint32(uapi.iommu_ioas_alloc.fields.out_ioas_id.offset, this.newSpace(), true);
        return 0;
      case uapi.IOMMU_VFIO_IOAS:
        return this.#vfioIoas(argument);
      case uapi.IOMMU_DESTROY:
        return this.#destroy(uapi.iommu_destroy.fields.id.get(uapi.iommu_destroy.copyOf(bytes)));
      case uapi.IOMMU_HWPT_ALLOC:
        return this.#newTable(bytes, argument);
      case uapi.IOMMU_FAULT_QUEUE_ALLOC: {
        const queue = new FakeFaultQueue();
        this.queues.set(this.#nextId, queue);
        argument.setUint32(uapi.iommu_fault_alloc.fields.out_fault_id.offset, this.#nextId++, true);
        argument.setUint32(uapi.iommu_fault_alloc.fields.out_fault_fd.offset, addFile(queue), true);
        return 0;
      }
      case uapi.IOMMU_IOAS_COPY: {
        const { fields } = uapi.iommu_ioas_copy;
        const view = uapi.iommu_ioas_copy.copyOf(bytes);
        const source = this.spaces.get(fields.src_ioas_id.get(view));
        const destination = this.spaces.get(fields.dst_ioas_id.get(view));
        if (source === undefined || destination === undefined) return -Errno.ENOENT;
        return destination.copyFrom(source, bytes);
      }
    }
    if (request >= uapi.IOMMU_DESTROY) {
      const id = request === uapi.IOMMU_IOAS_MAP ? 8 : 4;
      return this.spaces.get(argument.getUint32(id, true))?.iommufdIoctl(request, bytes, links) ?? -Errno.ENOENT;
    }
    return compat?.type1Ioctl(request, bytes) ?? -Errno.ENODEV;
  }

  attach(device: number, pageTable: number): number {
    if (!this.spaces.has(pageTable) && !this.tables.has(pageTable)) return -Errno.ENOENT;
    this.attached.set(device, pageTable);
    return 0;
  }

  #newTable(bytes: Uint8Array, argument: DataView): number {
    const { fields } = uapi.iommu_hwpt_alloc;
    const view = uapi.iommu_hwpt_alloc.copyOf(bytes);
    const hasQueue = (fields.flags.get(view) & uapi.IOMMU_HWPT_FAULT_ID_VALID) !== 0;
    const table = { ioas: fields.pt_id.get(view), queue: hasQueue ? fields.fault_id.get(view) : undefined };
    if (!this.spaces.has(table.ioas)) return -Errno.ENOENT;
    if (table.queue !== undefined && !this.queues.has(table.queue)) return -Errno.ENOENT;
    this.tables.set(this.#nextId, table);
    argument.setUint32(fields.out_hwpt_id.offset, this.#nextId++, true);
    return 0;
  }

  #destroy(id: number): number {
    const inTables = [...this.tables.values()].some(({ ioas, queue }) => ioas === id || queue === id);
    const isAttachedTo = [...this.attached.values()].includes(id);
    if (inTables || isAttachedTo || this.queues.get(id)?.isOpen === true) return -Errno.EBUSY;
    const gone = this.spaces.delete(id) || this.tables.delete(id) || this.queues.delete(id);
    return gone ? 0 : -Errno.ENOENT;
  }

  #vfioIoas(argument: DataView): number {
    const operation = argument.getUint16(8, true);
    if (operation === uapi.IOMMU_VFIO_IOAS_SET) this.compat = argument.getUint32(4, true);
    else if (operation === uapi.IOMMU_VFIO_IOAS_CLEAR) delete this.compat;
    else if (this.compat === undefined) return -Errno.ENODEV;
    else argument.setUint32(4, this.compat, true);
    return 0;
  }
}

/** A fault queue with its file: the devices' requests and user space's answers. */
export class FakeFaultQueue {
  readonly kind = "fault queue";
  isOpen = true;
  /** Unread requests, in the kernel's format. */
  pending: Uint8Array = new Uint8Array(0);
  /** Each answer's cookie and code. */
  readonly answers: number[][] = [];
  /** Result of the next answers; undefined: the queue takes them. */
  answerResult: number | undefined;
  /** Ends the wait on the event loop with events or -errno. */
  arrived: ((result: number) => void) | undefined;

  createPoller(): NativePoller {
    return {
      start: (_events, _timeoutMs, _ref, callback) => {
        this.arrived = (result) => {
          this.arrived = undefined;
          callback(result);
        };
        return 0;
      },
      take: () => -Errno.EINVAL,
      waiting: () => this.arrived !== undefined,
      stop: () => {
        setImmediate(() => this.arrived?.(-Errno.ECANCELED));
        return 0;
      },
      close: () => 0,
    };
  }

  read(into: Uint8Array): number {
    const length = Math.min(this.pending.length, into.length);
    into.set(this.pending.subarray(0, length));
    this.pending = this.pending.subarray(length);
    return length;
  }

  write(from: Uint8Array): number {
    if (this.answerResult !== undefined) return this.answerResult;
    this.answers.push([...new Uint32Array(from.slice().buffer)]);
    return from.length;
  }
}
