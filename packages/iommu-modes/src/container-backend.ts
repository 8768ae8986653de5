import {
  VfioError,
  type DmaAccess,
  type IommuBackend,
  type IovaRange,
  type MappableMemory,
  type OpenDeviceOptions,
  type VfioDevice,
} from "@vfio-selftests/core";
import { argumentError, closedError, Errno, systemError } from "@vfio-selftests/core/errors";
import { iommuGroupOf, requirePciDevice, requireVfioDriver } from "@vfio-selftests/core/sysfs";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  vfio_iommu_type1_dma_map,
  vfio_iommu_type1_dma_unmap,
} from "@vfio-selftests/core/uapi";
import { bindRequest, type BoundRequest } from "./bound-request";
import { ContainerGroups } from "./container-groups";
import { busyRemedy, describeBlockers, groupNotViable } from "./group-diagnosis";
import { ioctl, type KernelEnvironment } from "./kernel-calls";
import { KernelDevice } from "./kernel-device";
import { mapError } from "./map-error";
import { readType1Info } from "./type1-info";
import { groupDeviceName } from "./vf-token";

const map = vfio_iommu_type1_dma_map.fields;
const unmap = vfio_iommu_type1_dma_unmap.fields;

const ACCESS_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: VFIO_DMA_MAP_FLAG_READ,
  write: VFIO_DMA_MAP_FLAG_WRITE,
  "read-write": VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
};

export interface ContainerOptions {
  readonly mode: string;
  readonly path: string;
  /** VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU. */
  readonly type: number;
  readonly typeName: string;
}

/**
 * Modes 1 to 4: a container (of VFIO, or iommufd in its place), into which the devices' groups are put. The container
 * has an IOMMU from the first device on; before, nothing can be mapped or asked.
 */
export class ContainerBackend implements IommuBackend {
  readonly choosesIova = false;
  readonly mode: string;
  readonly #kernel: KernelEnvironment;
  readonly #options: ContainerOptions;
  readonly #groups: ContainerGroups;
  readonly #map: BoundRequest;
  readonly #unmap: BoundRequest;
  #hasIommu = false;
  #closed = false;

  /** Takes over the container's `fd`. */
  constructor(
    readonly fd: number,
    kernel: KernelEnvironment,
    options: ContainerOptions,
  ) {
    this.mode = options.mode;
    this.#kernel = kernel;
    this.#options = options;
    this.#groups = new ContainerGroups(kernel, fd);
    this.#map = bindRequest(kernel, fd, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map);
    this.#unmap = bindRequest(kernel, fd, { VFIO_IOMMU_UNMAP_DMA }, vfio_iommu_type1_dma_unmap);
    map.argsz.set(this.#map.view, vfio_iommu_type1_dma_map.size);
    unmap.argsz.set(this.#unmap.view, vfio_iommu_type1_dma_unmap.size);
  }

  openDevice(address: string, { vfToken }: OpenDeviceOptions): VfioDevice {
    if (this.#closed) throw closedError("openDevice", this.#options.path);
    const { paths } = this.#kernel;
    const device = requirePciDevice(address, paths);
    const name = groupDeviceName(device, vfToken);
    const group = iommuGroupOf(device, paths);
    requireVfioDriver(device, "openDevice", paths);

    const groupFd = this.#groups.acquire(group);
    let fd: number;
    try {
      this.#setIommu();
      fd = this.#kernel.calls.ioctl(groupFd, VFIO_GROUP_GET_DEVICE_FD, name);
      if (fd < 0) throw this.#deviceError(fd, device, group);
    } catch (error) {
      this.#groups.abandon(group);
      if (this.#groups.count === 0) this.#hasIommu = false;
      throw error;
    }
    return new KernelDevice(device, fd, this.#kernel, { groupFd, afterClose: () => this.#groups.release(group) });
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    if (iova === undefined)
      throw argumentError("VFIO_IOMMU_MAP_DMA", "iova", iova, "an address: this mode's kernel does not choose one");
    const { view, call } = this.#map;
    map.flags.set(view, ACCESS_FLAGS[access]);
    map.vaddr.set(view, offset === 0 ? memory.address : memory.address + BigInt(offset));
    map.iova.set(view, iova);
    map.size.setNumber(view, length);
    const result = call();
    if (result < 0) {
      const remedy = this.#hasIommu ? undefined : "open a device first: the container has no IOMMU before";
      throw mapError(result, "VFIO_IOMMU_MAP_DMA", this.mode, iova, length, this.#kernel, remedy);
    }
    return iova;
  }

  unmap(iova: bigint, length: bigint): bigint {
    const { view, call } = this.#unmap;
    unmap.flags.set(view, 0);
    unmap.iova.set(view, iova);
    unmap.size.set(view, length);
    const result = call();
    if (result < 0) {
      throw systemError(result, "VFIO_IOMMU_UNMAP_DMA", {
        subject: `IOVA 0x${iova.toString(16)} + ${length} (${this.mode})`,
      });
    }
    return unmap.size.get(view);
  }

  unmapAll(): bigint {
    const { view, call } = this.#unmap;
    unmap.flags.set(view, VFIO_DMA_UNMAP_FLAG_ALL);
    unmap.iova.set(view, 0n);
    unmap.size.set(view, 0n);
    const result = call();
    if (result < 0) throw systemError(result, "VFIO_IOMMU_UNMAP_DMA", { subject: `everything (${this.mode})` });
    return unmap.size.get(view);
  }

  iovaRanges(): readonly IovaRange[] {
    return readType1Info(this.#kernel, this.fd, this.mode).iovaRanges;
  }

  pageSizes(): bigint {
    return readType1Info(this.#kernel, this.fd, this.mode).pageSizes;
  }

  /** Closes the groups and the container; idempotent. The kernel unmaps what is mapped once the devices are closed too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#map.close();
    this.#unmap.close();
    this.#groups.close();
    this.#kernel.calls.close(this.fd);
  }

  /** Gives the container its IOMMU when the first group has come in; the groups after it join. */
  #setIommu(): void {
    if (this.#hasIommu) return;
    const { path, type, typeName } = this.#options;
    if (ioctl(this.#kernel, this.fd, { VFIO_CHECK_EXTENSION }, path, type) === 0)
      throw extensionMissing(path, typeName);
    ioctl(this.#kernel, this.fd, { VFIO_SET_IOMMU }, `${path} (${typeName})`, type);
    this.#hasIommu = true;
  }

  #deviceError(result: number, device: string, group: number): VfioError {
    const { paths } = this.#kernel;
    if (describeBlockers(group, paths) !== undefined) return groupNotViable(group, "VFIO_GROUP_GET_DEVICE_FD", paths);
    const remedy = result === -Errno.EBUSY ? busyRemedy(group, paths) : undefined;
    return systemError(result, "VFIO_GROUP_GET_DEVICE_FD", { subject: device, remedy });
  }
}

/** The container does not offer the IOMMU type. */
export function extensionMissing(path: string, typeName: string): VfioError {
  return new VfioError(`${path} does not offer ${typeName}`, {
    code: "ENOTSUP",
    operation: "VFIO_CHECK_EXTENSION",
    subject: path,
    remedy:
      "load the IOMMU driver (modprobe vfio_iommu_type1; kernel option CONFIG_VFIO_IOMMU_TYPE1), or use another mode",
  });
}
