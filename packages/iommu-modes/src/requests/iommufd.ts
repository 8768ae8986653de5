/** The ioctls of iommufd. No other file writes or reads them. */
import type { DmaAccess } from "@vfio-selftests/core";
import {
  IOMMU_DESTROY,
  iommu_destroy,
  iommu_fault_alloc,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  iommu_hwpt_alloc,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  IOMMU_IOAS_COPY,
  iommu_ioas_copy,
  IOMMU_IOAS_IOVA_RANGES,
  iommu_ioas_iova_ranges,
  IOMMU_IOAS_MAP,
  iommu_ioas_map,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_NOIOMMU_GET_PA,
  iommu_ioas_noiommu_get_pa,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_unmap,
  iommu_iova_range,
  IOMMU_VFIO_IOAS,
  iommu_vfio_ioas,
} from "@vfio-selftests/core/uapi";
import { noAnswer, structIoctl } from "../kernel/ioctl";

const ACCESS_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: IOMMU_IOAS_MAP_READABLE,
  write: IOMMU_IOAS_MAP_WRITEABLE,
  "read-write": IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
};

/**
 * A copy, for the hot path. TypeScript compiles an imported name to a look-up in the other module at each use, which
 * costs more than the rest of a map's request (60 ns of 70).
 */
const FIXED_IOVA = IOMMU_IOAS_MAP_FIXED_IOVA;

/** `id` of any object. */
export const destroy = structIoctl({ IOMMU_DESTROY }, iommu_destroy, {
  write: (view, id: number) => iommu_destroy.fields.id.set(view, id),
  answer: noAnswer,
});

/** Answers the new IOAS's id. */
export const ioasAlloc = structIoctl({ IOMMU_IOAS_ALLOC }, iommu_ioas_alloc, {
  write: noAnswer,
  answer: (view) => iommu_ioas_alloc.fields.out_ioas_id.get(view),
});

const map = iommu_ioas_map.fields;
/** `address` is in the process. `iova` undefined: the kernel chooses. Answers the IOVA. */
export const ioasMap = structIoctl({ IOMMU_IOAS_MAP }, iommu_ioas_map, {
  write: (view, ioas: number, access: DmaAccess, address: bigint, iova: bigint | undefined, length: number) => {
    map.ioas_id.set(view, ioas);
    map.flags.set(view, iova === undefined ? ACCESS_FLAGS[access] : ACCESS_FLAGS[access] | FIXED_IOVA);
    map.user_va.set(view, address);
    if (iova !== undefined) map.iova.set(view, iova);
    map.length.setNumber(view, length);
  },
  answer: (view) => map.iova.get(view),
});

const mapFile = iommu_ioas_map_file.fields;
/** `file` is a memfd's descriptor, `start` an offset in it. Answers the IOVA. */
export const ioasMapFile = structIoctl({ IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, {
  write: (
    view,
    ioas: number,
    access: DmaAccess,
    file: number,
    start: number,
    iova: bigint | undefined,
    length: number,
  ) => {
    mapFile.flags.set(view, ACCESS_FLAGS[access] | (iova === undefined ? 0 : FIXED_IOVA));
    mapFile.ioas_id.set(view, ioas);
    mapFile.fd.set(view, file);
    mapFile.start.setNumber(view, start);
    mapFile.length.setNumber(view, length);
    mapFile.iova.set(view, iova ?? 0n);
  },
  answer: (view) => mapFile.iova.get(view),
});

const unmap = iommu_ioas_unmap.fields;
/** Answers how many bytes the kernel unmapped. */
export const ioasUnmap = structIoctl({ IOMMU_IOAS_UNMAP }, iommu_ioas_unmap, {
  write: (view, ioas: number, iova: bigint, length: bigint) => {
    unmap.ioas_id.set(view, ioas);
    unmap.iova.set(view, iova);
    unmap.length.set(view, length);
  },
  answer: (view) => unmap.length.get(view),
});

const physical = iommu_ioas_noiommu_get_pa.fields;
/** Where the mapping at an IOVA lies in memory. Answers the physical address, and how many bytes from there on. */
export const ioasNoiommuGetPa = structIoctl({ IOMMU_IOAS_NOIOMMU_GET_PA }, iommu_ioas_noiommu_get_pa, {
  write: (view, ioas: number, iova: bigint, length: bigint) => {
    physical.ioas_id.set(view, ioas);
    physical.iova.set(view, iova);
    physical.length.set(view, length);
  },
  answer: (view) => ({ address: physical.out_phys.get(view), length: physical.length.get(view) }),
});

/** A mapping of one IOAS, or a part of it, that goes into another IOAS of the same iommufd. */
export interface IoasCopy {
  readonly from: number;
  readonly to: number;
  readonly sourceIova: bigint;
  /** Bytes. */
  readonly length: number;
  /** Undefined: the kernel chooses. */
  readonly iova?: bigint | undefined;
  readonly access: DmaAccess;
}

const copy = iommu_ioas_copy.fields;
/** Answers the IOVA in the destination. */
export const ioasCopy = structIoctl({ IOMMU_IOAS_COPY }, iommu_ioas_copy, {
  write: (view, { from, to, sourceIova, length, iova, access }: IoasCopy) => {
    copy.flags.set(view, ACCESS_FLAGS[access] | (iova === undefined ? 0 : FIXED_IOVA));
    copy.dst_ioas_id.set(view, to);
    copy.src_ioas_id.set(view, from);
    copy.length.setNumber(view, length);
    copy.dst_iova.set(view, iova ?? 0n);
    copy.src_iova.set(view, sourceIova);
  },
  answer: (view) => copy.dst_iova.get(view),
});

const ranges = iommu_ioas_iova_ranges.fields;
/**
 * The kernel fills `into` with {@link iommu_iova_range}, or answers EMSGSIZE when it is too small. Answers how many
 * there are.
 */
export const ioasIovaRanges = structIoctl({ IOMMU_IOAS_IOVA_RANGES }, iommu_ioas_iova_ranges, {
  write: (view, ioas: number, into: Uint8Array) => {
    ranges.ioas_id.set(view, ioas);
    ranges.num_iovas.set(view, into.length / iommu_iova_range.size);
  },
  links: (_ioas: number, into: Uint8Array) => [ranges.allowed_iovas.offset, into],
  answer: (view) => ranges.num_iovas.get(view),
});

const compatibility = iommu_vfio_ioas.fields;
/** The IOAS that stands for a VFIO container. `operation`: IOMMU_VFIO_IOAS_*. Answers the IOAS's id. */
export const vfioIoas = structIoctl({ IOMMU_VFIO_IOAS }, iommu_vfio_ioas, {
  write: (view, operation: number, ioas: number) => {
    compatibility.op.set(view, operation);
    compatibility.ioas_id.set(view, ioas);
  },
  answer: (view) => compatibility.ioas_id.get(view),
});

const table = iommu_hwpt_alloc.fields;
/** A page table of the device's IOMMU for an IOAS. Answers its id. */
export const hwptAlloc = structIoctl({ IOMMU_HWPT_ALLOC }, iommu_hwpt_alloc, {
  write: (view, device: number, ioas: number, faultQueue: number | undefined) => {
    table.flags.set(view, faultQueue === undefined ? 0 : IOMMU_HWPT_FAULT_ID_VALID);
    table.dev_id.set(view, device);
    table.pt_id.set(view, ioas);
    table.fault_id.set(view, faultQueue ?? 0);
  },
  answer: (view) => table.out_hwpt_id.get(view),
});

const queue = iommu_fault_alloc.fields;
/** Answers the queue's id and its descriptor, which the caller owns. */
export const faultQueueAlloc = structIoctl({ IOMMU_FAULT_QUEUE_ALLOC }, iommu_fault_alloc, {
  write: noAnswer,
  answer: (view) => ({ id: queue.out_fault_id.get(view), descriptor: queue.out_fault_fd.get(view) }),
});
