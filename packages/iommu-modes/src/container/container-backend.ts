import type {
  DmaAccess,
  IommuBackend,
  IovaRange,
  MappableMemory,
  OpenDeviceOptions,
  VfioDevice,
} from "@vfio-selftests/core";
import { argumentError, closedError } from "@vfio-selftests/core/errors";
import { isMappedInCompatibility } from "../iommufd/mapped-probe";
import { type EncodedStruct, encodeIoctl } from "../kernel/ioctl";
import type { BoundIoctl, KernelFile, KernelFileAccess } from "../kernel/kernel-file";
import { mapError } from "../kernel/map-error";
import type { LentSpace, RawSpace } from "../kernel/raw-space";
import { mapDma, type1Info, unmapDma } from "../requests/container";
import { GroupDevices } from "./group-devices";

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
    if (iova === undefined)
      throw argumentError(mapDma.name, "iova", iova, "an address: this mode's kernel does not choose one");
    const { view, call } = (this.#map ??= this.#file.bind(mapDma));
    mapDma.write(view, access, offset === 0 ? memory.address : memory.address + BigInt(offset), iova, length);
    const result = call() ?? 0;
    if (result < 0) {
      const remedy = this.#devices.hasIommu ? undefined : "open a device first: the container has no IOMMU before";
      throw mapError(this.#file, result, mapDma, this.mode, iova, length, remedy);
    }
    return iova;
  }

  unmap(iova: bigint, length: bigint): bigint {
    const { view, call } = (this.#unmap ??= this.#file.bind(unmapDma));
    unmapDma.write(view, iova, length, false);
    const result = call() ?? 0;
    if (result < 0) {
      throw this.#file.failure(result, unmapDma, `IOVA 0x${iova.toString(16)} + ${length} (${this.mode})`);
    }
    return unmapDma.answer(view);
  }

  unmapAll(): bigint {
    const { view, call } = (this.#unmap ??= this.#file.bind(unmapDma));
    unmapDma.write(view, 0n, 0n, true);
    const result = call() ?? 0;
    if (result < 0) throw this.#file.failure(result, unmapDma, `everything (${this.mode})`);
    return unmapDma.answer(view);
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
}
