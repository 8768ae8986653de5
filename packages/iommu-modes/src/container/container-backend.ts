import type {
  DmaAccess,
  IommuBackend,
  IovaRange,
  MappableMemory,
  OpenDeviceOptions,
  VfioDevice,
  VfioError,
} from "@vfio-selftests/core";
import { argumentError, closedError } from "@vfio-selftests/core/errors";
import { isMappedInCompatibility } from "../iommufd/mapped-probe";
import { type EncodedStruct, encodeIoctl } from "../kernel/ioctl";
import type { BoundIoctl, KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { mapError, unmapError } from "../kernel/map-error";
import type { LentSpace, RawSpace } from "../kernel/raw-space";
import { mapDma, type1Info, unmapDma } from "../requests/container";
import { GroupDevices } from "./group-devices";

/** Copies, for the hot path: see FIXED_IOVA in requests/iommufd.ts. */
const { write: writeMap } = mapDma;
const { write: writeUnmap, answer: unmappedBytes } = unmapDma;

/**
 * Modes 1 to 4: a container (of VFIO, or iommufd in its place) that takes the devices' groups. The container has an
 * IOMMU from the first device on. Before that, it can neither map nor answer.
 */
export class ContainerBackend implements IommuBackend, RawSpace {
  readonly choosesIova = false;
  readonly mode: string;
  readonly #file: KernelFile;
  readonly #type: 1 | 2;
  readonly #devices: GroupDevices;
  /** Bound at the first use: many address spaces never map anything. */
  #map: BoundIoctl | undefined;
  #unmap: BoundIoctl | undefined;

  /** Owns the container's file from now on. `type`: the version of the IOMMU type. */
  constructor(file: KernelFile, mode: string, type: 1 | 2) {
    this.#file = file;
    this.mode = mode;
    this.#type = type;
    this.#devices = new GroupDevices(file, type);
  }

  get file(): KernelFileAccess {
    return this.#file;
  }

  openDevice(address: string, options: OpenDeviceOptions): VfioDevice {
    if (this.#file.closed) throw closedError("openDevice", this.#file.name);
    return this.#devices.open(address, options);
  }

  map(memory: MappableMemory, offset: number, length: number, iova: bigint | undefined, access: DmaAccess): bigint {
    if (iova === undefined) throw noIovaError();
    const { view, call } = this.#map ?? this.#bindMap();
    writeMap(view, access, offset === 0 ? memory.address : memory.address + BigInt(offset), iova, length);
    const result = call() ?? 0;
    if (result < 0) throw this.#mapError(result, iova, length);
    return iova;
  }

  unmap(iova: bigint, length: bigint): bigint {
    const { view, call } = this.#unmap ?? this.#bindUnmap();
    writeUnmap(view, iova, length, false);
    const result = call() ?? 0;
    if (result < 0) throw this.#unmapError(result, iova, length);
    return unmappedBytes(view);
  }

  unmapAll(): bigint {
    const { view, call } = this.#unmap ?? this.#bindUnmap();
    writeUnmap(view, 0n, 0n, true);
    const result = call() ?? 0;
    if (result < 0) throw this.#file.failure(result, unmapDma, `everything (${this.mode})`);
    return unmappedBytes(view);
  }

  iovaRanges(): readonly IovaRange[] {
    return this.#file.askForChain(type1Info, this.mode).iovaRanges;
  }

  pageSizes(): bigint {
    return this.#file.askForChain(type1Info, this.mode).pageSizes;
  }

  /** In a container's place, iommufd takes mapping after mapping until it fails. VFIO's own container checks first. */
  isMapped(iova: bigint): boolean {
    return isMappedInCompatibility(this.#file, iova) ?? true;
  }

  mapRequest(address: bigint, iova: bigint, length: number, access: DmaAccess): EncodedStruct {
    return encodeIoctl(mapDma, access, address, iova, length);
  }

  unmapRequest(iova: bigint, length: bigint): EncodedStruct {
    return encodeIoctl(unmapDma, iova, length, false);
  }

  lend(descriptor: number): LentSpace {
    this.#devices.share();
    return { api: "container", descriptor, type: this.#type };
  }

  /** Closes the groups and the container. Idempotent. The kernel unmaps the rest once the devices are closed, too. */
  close(): void {
    this.#file.close();
  }

  #bindMap(): BoundIoctl {
    return (this.#map = this.#file.bind(mapDma));
  }

  #bindUnmap(): BoundIoctl {
    return (this.#unmap = this.#file.bind(unmapDma));
  }

  #unmapError(result: number, iova: bigint, length: bigint): VfioError {
    return unmapError(this.#file, result, unmapDma, this.mode, iova, length);
  }

  #mapError(result: number, iova: bigint, length: number): VfioError {
    const remedy = this.#devices.hasIommu ? undefined : "open a device first: the container has no IOMMU before";
    return mapError(this.#file, result, mapDma, this.mode, iova, length, remedy);
  }
}

function noIovaError(): VfioError {
  return argumentError(mapDma.name, "iova", undefined, "an address: this mode's kernel does not choose one");
}
