/** The ioctls of containers and groups. No other file writes or reads them. */
import type { DmaAccess } from "@vfio-selftests/core";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_GET_API_VERSION,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  vfio_group_status,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
  vfio_iommu_type1_info,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
} from "@vfio-selftests/core/uapi";
import { type EncodedIoctl, noAnswer, plainIoctl, structIoctl } from "../kernel/ioctl";
import { requireUuid } from "../kernel/vf-token";
import { decodeType1Info } from "./type1-info";

const ACCESS_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: VFIO_DMA_MAP_FLAG_READ,
  write: VFIO_DMA_MAP_FLAG_WRITE,
  "read-write": VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
};

export const getApiVersion = (): EncodedIoctl => plainIoctl({ VFIO_GET_API_VERSION });
/** `type`: VFIO_TYPE1_IOMMU and the like. The result is 1 when the container has it. */
export const checkExtension = (type: number): EncodedIoctl => plainIoctl({ VFIO_CHECK_EXTENSION }, type);
export const setIommu = (type: number): EncodedIoctl => plainIoctl({ VFIO_SET_IOMMU }, type);

const map = vfio_iommu_type1_dma_map.fields;
/** `address` is in the process; `length` is in bytes. */
export const mapDma = structIoctl({ VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, {
  write: (view, access: DmaAccess, address: bigint, iova: bigint, length: number) => {
    map.flags.set(view, ACCESS_FLAGS[access]);
    map.vaddr.set(view, address);
    map.iova.set(view, iova);
    map.size.setNumber(view, length);
  },
  answer: noAnswer,
});

const unmap = vfio_iommu_type1_dma_unmap.fields;
/** Answers how many bytes the kernel unmapped. */
export const unmapDma = structIoctl({ VFIO_IOMMU_UNMAP_DMA }, vfio_iommu_type1_dma_unmap, {
  write: (view, iova: bigint, length: bigint, everything: boolean) => {
    unmap.flags.set(view, everything ? VFIO_DMA_UNMAP_FLAG_ALL : 0);
    unmap.iova.set(view, iova);
    unmap.size.set(view, length);
  },
  answer: (view) => unmap.size.get(view),
});

/** Ask with `KernelFile.askForChain`. */
export const type1Info = structIoctl({ VFIO_IOMMU_GET_INFO }, vfio_iommu_type1_info, {
  write: noAnswer,
  answer: (view) => decodeType1Info(view.bytes),
});

/** Answers whether no device of the group is in the kernel's hands. */
export const groupStatus = structIoctl({ VFIO_GROUP_GET_STATUS }, vfio_group_status, {
  write: noAnswer,
  answer: (view) => (vfio_group_status.fields.flags.get(view) & VFIO_GROUP_FLAGS_VIABLE) !== 0,
});

/** `container`: its descriptor. */
export const setContainer = (container: number): EncodedIoctl =>
  plainIoctl({ VFIO_GROUP_SET_CONTAINER }, new Uint8Array(Int32Array.of(container).buffer));

/** Its result is the device's descriptor. A VF of a PF in user space needs the PF's token. */
export const getDeviceFd = (address: string, vfToken?: string): EncodedIoctl => {
  const name = vfToken === undefined ? address : `${address} vf_token=${requireUuid(vfToken)}`;
  return plainIoctl({ VFIO_GROUP_GET_DEVICE_FD }, new Uint8Array(Buffer.from(`${name}\0`, "latin1")));
};
