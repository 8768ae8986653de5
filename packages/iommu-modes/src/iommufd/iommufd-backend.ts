import type {
  DmaAccess,
  IommuBackend,
  IovaRange,
  MappableMemory,
  OpenDeviceOptions,
  VfioDevice,
} from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { closedError } from "@vfio-selftests/core/errors";
import { type EncodedStruct, encodeIoctl } from "../kernel/ioctl";
import type { BoundIoctl, KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { mapError, unmapError } from "../kernel/map-error";
import type { LentSpace, RawSpace } from "../kernel/raw-space";
import { ioasMap, ioasMapFile, ioasUnmap } from "../requests/iommufd";
import { ioasPageSizes } from "./ioas-page-sizes";
import { Iommufd } from "./iommufd";
import { openByFile } from "./iommufd-device";
import { isMappedInIoas } from "./mapped-probe";

/** Copies, for the hot path: see FIXED_IOVA in requests/iommufd.ts. */
const { write: writeMap, answer: mappedAt } = ioasMap;
const { write: writeUnmap, answer: unmappedBytes } = ioasUnmap;

const WHOLE_SPACE = (1n << 64n) - 1n;

export interface IommufdOptions {
  /**
   * Maps memory that has a file (memfd) by its file, with IOMMU_IOAS_MAP_FILE (Linux 6.13 or newer), and not by its
   * address in this process. Default false.
   */
  readonly mapFiles?: boolean;
}

/** Mode `iommufd`: an I/O address space object (IOAS). Devices opened by their own files attach to it. */
export class IommufdBackend implements IommuBackend, RawSpace {
  readonly choosesIova = true;
  readonly mode = "iommufd";
  /** The iommufd and its objects, beyond the back end's operations. */
  readonly iommufd: Iommufd;
  readonly #file: KernelFile;
  readonly #ioas: number;
  readonly #mapFiles: boolean;
  /** Bound at the first use: many address spaces never map anything. */
  #map: BoundIoctl | undefined;
  #unmap: BoundIoctl | undefined;

  /** Owns the file (/dev/iommu) from now on, even if the constructor throws. */
  constructor(file: KernelFile, { mapFiles = false }: IommufdOptions = {}) {
    this.#file = file;
    this.#mapFiles = mapFiles;
    try {
      this.iommufd = new Iommufd(file);
      this.#ioas = this.iommufd.ioas.id;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get file(): KernelFileAccess {
    return this.#file;
  }

  openDevice(address: string, options: OpenDeviceOptions): VfioDevice {
    if (this.#file.closed) throw closedError("openDevice", this.#file.name);
    return openByFile(this.#file.kernel, this.#file, this.iommufd.ioas, address, options);
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    if (this.#mapFiles && memory.file !== undefined) return this.#mapFile(memory.file, offset, length, iova, access);
    const { view, call } = this.#map ?? this.#bindMap();
    const address = offset === 0 ? memory.address : memory.address + BigInt(offset);
    writeMap(view, this.#ioas, access, address, iova, length);
    const result = call() ?? 0;
    if (result < 0) throw this.#mapError(result, ioasMap, iova, length);
    return iova ?? mappedAt(view);
  }

  unmap(iova: bigint, length: bigint): bigint {
    const { view, call } = this.#unmap ?? this.#bindUnmap();
    writeUnmap(view, this.#ioas, iova, length);
    const result = call() ?? 0;
    if (result < 0) throw this.#unmapError(result, iova, length);
    return unmappedBytes(view);
  }

  unmapAll(): bigint {
    return this.unmap(0n, WHOLE_SPACE);
  }

  iovaRanges(): readonly IovaRange[] {
    return this.iommufd.ioas.iovaRanges();
  }

  /**
   * Page sizes that every attached device's IOMMU has. Without an attached device, every size from the page size on.
   */
  pageSizes(): bigint {
    return ioasPageSizes(this.#file, this.iommufd.ioas);
  }

  isMapped(iova: bigint): boolean {
    return isMappedInIoas(this.#file, this.#ioas, iova);
  }

  mapRequest(address: bigint, iova: bigint, length: number, access: DmaAccess): EncodedStruct {
    return encodeIoctl(ioasMap, this.#ioas, access, address, iova, length);
  }

  unmapRequest(iova: bigint, length: bigint): EncodedStruct {
    return encodeIoctl(ioasUnmap, this.#ioas, iova, length);
  }

  lend(descriptor: number): LentSpace {
    return { api: "iommufd", descriptor, ioas: this.iommufd.ioas.id };
  }

  /**
   * Closes the devices opened through `iommufd`, destroys the IOAS and closes the file. Close the devices opened here
   * first. Idempotent.
   */
  close(): void {
    const { iommufd } = this;
    closeAll(this.#file.name, [() => iommufd.closeDevices(), () => iommufd.ioas.close(), () => this.#file.close()]);
  }

  #mapFile(
    file: { readonly fd: number; readonly offset: number },
    offset: number,
    length: number,
    iova: bigint | undefined,
    access: DmaAccess,
  ): bigint {
    const request = encodeIoctl(ioasMapFile, this.#ioas, access, file.fd, file.offset + offset, iova, length);
    const result = this.#file.attempt(request);
    if (result < 0) throw this.#mapError(result, ioasMapFile, iova, length);
    return ioasMapFile.answer(request.view);
  }

  #bindMap(): BoundIoctl {
    return (this.#map = this.#file.bind(ioasMap));
  }

  #bindUnmap(): BoundIoctl {
    return (this.#unmap = this.#file.bind(ioasUnmap));
  }

  #unmapError(result: number, iova: bigint, length: bigint): Error {
    return unmapError(this.#file, result, ioasUnmap, this.mode, iova, length);
  }

  #mapError(result: number, ioctl: { readonly name: string }, iova: bigint | undefined, length: number): Error {
    return mapError(this.#file, result, ioctl, this.mode, iova, length);
  }
}
