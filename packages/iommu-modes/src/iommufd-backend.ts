import type {
  DmaAccess,
  IommuBackend,
  IovaRange,
  MappableMemory,
  OpenDeviceOptions,
  VfioDevice,
} from "@vfio-selftests/core";
import { closedError, Errno, systemError } from "@vfio-selftests/core/errors";
import { iommuGroupOf, requirePciDevice, requireVfioDriver, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  iommu_destroy,
  iommu_ioas_iova_ranges,
  iommu_ioas_map,
  iommu_ioas_map_file,
  iommu_ioas_unmap,
  iommu_iova_range,
  O_RDWR,
} from "@vfio-selftests/core/uapi";
import { bindRequest, type BoundRequest } from "./bound-request";
import { allocateIoas } from "./ioas";
import { attachDevice, bindDevice, detachDevice } from "./iommufd-device";
import { busyRemedy } from "./group-diagnosis";
import { ioasPageSizes } from "./ioas-page-sizes";
import { ioctl, type KernelEnvironment } from "./kernel-calls";
import { KernelDevice } from "./kernel-device";
import { mapError } from "./map-error";

const map = iommu_ioas_map.fields;
const unmap = iommu_ioas_unmap.fields;

const ACCESS_FLAGS: Readonly<Record<DmaAccess, number>> = {
  read: IOMMU_IOAS_MAP_READABLE,
  write: IOMMU_IOAS_MAP_WRITEABLE,
  "read-write": IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
};

const WHOLE_SPACE = (1n << 64n) - 1n;

export interface IommufdOptions {
  /**
   * Memory that has a file (memfd) is mapped by it, with IOMMU_IOAS_MAP_FILE (Linux 6.14 or newer), and not by its
   * address in this process. Default false.
   */
  readonly mapFiles?: boolean;
}

/** Mode `iommufd`: an I/O address space object (IOAS), to which devices opened by their own files are attached. */
export class IommufdBackend implements IommuBackend {
  readonly choosesIova = true;
  readonly mode = "iommufd";
  readonly ioasId: number;
  readonly #kernel: KernelEnvironment;
  readonly #mapFiles: boolean;
  readonly #map: BoundRequest;
  readonly #unmap: BoundRequest;
  #closed = false;

  /** Takes over `fd` (/dev/iommu), also when the constructor throws. */
  constructor(
    readonly fd: number,
    kernel: KernelEnvironment,
    { mapFiles = false }: IommufdOptions = {},
  ) {
    this.#kernel = kernel;
    this.#mapFiles = mapFiles;
    try {
      this.ioasId = allocateIoas(kernel, fd);
    } catch (error) {
      kernel.calls.close(fd);
      throw error;
    }
    this.#map = bindRequest(kernel, fd, { IOMMU_IOAS_MAP }, iommu_ioas_map);
    this.#unmap = bindRequest(kernel, fd, { IOMMU_IOAS_UNMAP }, iommu_ioas_unmap);
    map.size.set(this.#map.view, iommu_ioas_map.size);
    map.ioas_id.set(this.#map.view, this.ioasId);
    unmap.size.set(this.#unmap.view, iommu_ioas_unmap.size);
    unmap.ioas_id.set(this.#unmap.view, this.ioasId);
  }

  openDevice(address: string, { vfToken }: OpenDeviceOptions): VfioDevice {
    if (this.#closed) throw closedError("openDevice", "/dev/iommu");
    const kernel = this.#kernel;
    const { calls, paths } = kernel;
    const device = requirePciDevice(address, paths);
    requireVfioDriver(device, "openDevice", paths);
    const path = vfioCdevPath(device, paths);
    const fd = calls.open(path, O_RDWR);
    if (fd < 0) throw this.#openError(fd, path, device);
    let iommufdDeviceId: number;
    try {
      iommufdDeviceId = bindDevice(kernel, fd, this.fd, device, vfToken);
      attachDevice(kernel, fd, this.ioasId, device);
    } catch (error) {
      calls.close(fd);
      throw error;
    }
    return new KernelDevice(device, fd, kernel, { iommufdDeviceId, beforeClose: () => detachDevice(kernel, fd) });
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    if (this.#mapFiles && memory.file !== undefined) {
      return this.#mapFile(memory.file.fd, memory.file.offset + offset, length, iova, access);
    }
    const { view, call } = this.#map;
    if (iova === undefined) {
      map.flags.set(view, ACCESS_FLAGS[access]);
    } else {
      map.flags.set(view, ACCESS_FLAGS[access] | IOMMU_IOAS_MAP_FIXED_IOVA);
      map.iova.set(view, iova);
    }
    map.user_va.set(view, offset === 0 ? memory.address : memory.address + BigInt(offset));
    map.length.setNumber(view, length);
    const result = call();
    if (result < 0) throw mapError(result, "IOMMU_IOAS_MAP", this.mode, iova, length, this.#kernel);
    return iova ?? map.iova.get(view);
  }

  unmap(iova: bigint, length: bigint): bigint {
    const { view, call } = this.#unmap;
    unmap.iova.set(view, iova);
    unmap.length.set(view, length);
    const result = call();
    if (result < 0) {
      throw systemError(result, "IOMMU_IOAS_UNMAP", {
        subject: `IOVA 0x${iova.toString(16)} + ${length} (${this.mode})`,
      });
    }
    return unmap.length.get(view);
  }

  unmapAll(): bigint {
    return this.unmap(0n, WHOLE_SPACE);
  }

  iovaRanges(): readonly IovaRange[] {
    const fields = iommu_ioas_iova_ranges.fields;
    const view = iommu_ioas_iova_ranges.allocate();
    fields.size.set(view, iommu_ioas_iova_ranges.size);
    fields.ioas_id.set(view, this.ioasId);
    // A device attached between two calls adds ranges, hence the loop: EMSGSIZE tells how many there are.
    let ranges = new Uint8Array(iommu_iova_range.size);
    for (let attempts = 0; ; attempts++) {
      fields.num_iovas.set(view, ranges.length / iommu_iova_range.size);
      const result = this.#kernel.calls.ioctl(
        this.fd,
        IOMMU_IOAS_IOVA_RANGES,
        view.bytes,
        fields.allowed_iovas.offset,
        ranges,
      );
      const count = fields.num_iovas.get(view);
      if (result === -Errno.EMSGSIZE && attempts < 8) {
        ranges = new Uint8Array(count * iommu_iova_range.size);
        continue;
      }
      if (result < 0) throw systemError(result, "IOMMU_IOAS_IOVA_RANGES", { subject: `IOAS ${this.ioasId}` });
      return Array.from({ length: count }, (_, number) => {
        const range = iommu_iova_range.copyOf(ranges, number * iommu_iova_range.size);
        return { start: iommu_iova_range.fields.start.get(range), last: iommu_iova_range.fields.last.get(range) };
      });
    }
  }

  /** Page sizes that every attached device's IOMMU has; with no device attached, every size from the page size on. */
  pageSizes(): bigint {
    return ioasPageSizes(this.#kernel, this.fd, this.ioasId);
  }

  /** Destroys the IOAS (devices must be closed before) and closes the file; idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#map.close();
    this.#unmap.close();
    const view = iommu_destroy.allocate();
    iommu_destroy.fields.size.set(view, iommu_destroy.size);
    iommu_destroy.fields.id.set(view, this.ioasId);
    try {
      ioctl(this.#kernel, this.fd, { IOMMU_DESTROY }, `IOAS ${this.ioasId}`, view.bytes);
    } finally {
      this.#kernel.calls.close(this.fd);
    }
  }

  #mapFile(fd: number, start: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    const fields = iommu_ioas_map_file.fields;
    const request = iommu_ioas_map_file.allocate();
    fields.size.set(request, iommu_ioas_map_file.size);
    fields.flags.set(request, ACCESS_FLAGS[access] | (iova === undefined ? 0 : IOMMU_IOAS_MAP_FIXED_IOVA));
    fields.ioas_id.set(request, this.ioasId);
    fields.fd.set(request, fd);
    fields.start.setNumber(request, start);
    fields.length.setNumber(request, length);
    fields.iova.set(request, iova ?? 0n);
    const result = this.#kernel.calls.ioctl(this.fd, IOMMU_IOAS_MAP_FILE, request.bytes);
    if (result < 0) throw mapError(result, "IOMMU_IOAS_MAP_FILE", this.mode, iova, length, this.#kernel);
    return fields.iova.get(request);
  }

  #openError(result: number, path: string, device: string): Error {
    const { paths } = this.#kernel;
    const remedy = result === -Errno.EBUSY ? busyRemedy(iommuGroupOf(device, paths), paths) : undefined;
    return systemError(result, "open", { subject: path, remedy });
  }
}
