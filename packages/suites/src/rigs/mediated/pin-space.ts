import type { IommuMode } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { vfio_iommu_type1_dma_unmap, VFIO_IOMMU_UNMAP_DMA } from "@vfio-selftests/core/uapi";
import type { KernelFile, KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { askKernel } from "../raw/ask-kernel";
import type { GroupFiles } from "../raw/group-files";
import { DeviceFile, IommufdFile } from "../raw/iommufd-files";
import { MediatedDevice } from "./mediated-device";
import { PIN_DEVICE, PinDevice } from "./pin-device";
import { mapInContainer, mapInIoas, type PinMapping } from "./pin-mapping";

/** An address space of a mode, as `PinSpace` uses it. */
interface Joined extends Disposable {
  /** A further device. */
  join(device: MediatedDevice): KernelFile;
  map(mapping: PinMapping): string;
  unmap(iova: bigint, length: number): [string, bigint];
}

/** An address space of a mode, and the devices in it that pin its memory. Skips the test where the kernel has no such device. */
export class PinSpace implements Disposable {
  readonly #space: Joined;
  readonly #devices: { readonly device: MediatedDevice; readonly file: KernelFile }[] = [];
  /** The first device. */
  readonly pins: PinDevice;

  constructor(mode: IommuMode) {
    this.#space = mode.traits.container === undefined ? new IommufdSpace() : new ContainerSpace(mode);
    try {
      this.pins = this.addDevice();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** One more device in the same address space. */
  addDevice(): PinDevice {
    const device = new MediatedDevice(PIN_DEVICE);
    try {
      const file = this.#space.join(device);
      this.#devices.push({ device, file });
      return new PinDevice(file);
    } catch (error) {
      // Removal waits for the device's files.
      this.#space[Symbol.dispose]();
      device.remove();
      throw error;
    }
  }

  /** Closes the first device's file. Its mappings stay. */
  closeFirst(): void {
    this.#devices[0]?.file.close();
  }

  /** The address space's own file; undefined for iommufd's device files. */
  get container(): KernelFile | undefined {
    return this.#space instanceof ContainerSpace ? this.#space.container : undefined;
  }

  /** The iommufd with its address space, and the first device's file; undefined in a container's mode. */
  get iommufd(): IommufdSpace | undefined {
    return this.#space instanceof IommufdSpace ? this.#space : undefined;
  }

  /** The first device's. */
  get deviceFile(): KernelFile {
    const [first] = this.#devices;
    if (first === undefined) throw new RangeError("no device is in the address space yet");
    return first.file;
  }

  /** The container, or the iommufd. */
  get file(): KernelFileAccess {
    const file = this.container ?? this.iommufd?.file.file;
    if (file === undefined) throw new RangeError("no device is in the address space yet");
    return file;
  }

  /** Returns `ok` or the errno's name. */
  map(mapping: PinMapping): string {
    return this.#space.map(mapping);
  }

  /** `ok` or the errno's name, and the bytes that were unmapped. */
  unmap(iova: bigint, length: number): [string, bigint] {
    return this.#space.unmap(iova, length);
  }

  [Symbol.dispose](): void {
    closeAll("the pinning devices", [
      ...this.#devices.map(
        ({ file }) =>
          () =>
            file.close(),
      ),
      () => this.#space[Symbol.dispose](),
      ...this.#devices.map(
        ({ device }) =>
          () =>
            device.remove(),
      ),
    ]);
  }
}

class ContainerSpace implements Joined {
  readonly #mode: IommuMode;
  readonly #groups: GroupFiles[] = [];

  constructor(mode: IommuMode) {
    this.#mode = mode;
  }

  /** Of the first device's group; all are in it. */
  get container(): KernelFile {
    const [first] = this.#groups;
    if (first === undefined) throw new RangeError("no device is in the container yet");
    return first.container;
  }

  join(device: MediatedDevice): KernelFile {
    const group = device.group(this.#mode);
    this.#groups.push(group);
    expect(group.setContainer(this.container.descriptor("VFIO_GROUP_SET_CONTAINER"))).toBe("ok");
    if (this.#groups.length === 1) expect(group.setIommu()).toBe("ok");
    return group.openDevice();
  }

  map(mapping: PinMapping): string {
    return mapInContainer(this.container, mapping);
  }

  unmap(iova: bigint, length: number): [string, bigint] {
    const layout = vfio_iommu_type1_dma_unmap;
    const { code, view } = askKernel(this.container, { VFIO_IOMMU_UNMAP_DMA }, layout, { iova, size: length });
    return [code, layout.fields.size.get(view)];
  }

  /** The later groups first: the first one's container is all groups'. */
  [Symbol.dispose](): void {
    for (const group of [...this.#groups].reverse()) group[Symbol.dispose]();
  }
}

class IommufdSpace implements Joined {
  readonly file = new IommufdFile();
  readonly ioas = this.file.newIoas();
  readonly devices: DeviceFile[] = [];

  join(device: MediatedDevice): KernelFile {
    const file = new DeviceFile(device.openCdev());
    this.devices.push(file);
    expect([file.bind(this.file).code, file.attach(this.ioas).code]).toEqual(["ok", "ok"]);
    return file.file;
  }

  map(mapping: PinMapping): string {
    return mapInIoas(this.file, this.ioas, mapping);
  }

  unmap(iova: bigint, length: number): [string, bigint] {
    const answer = this.file.unmap(this.ioas, iova, BigInt(length));
    return [answer.code, answer.length];
  }

  [Symbol.dispose](): void {
    closeAll(
      "the address space",
      [...this.devices, this.file].map((file) => () => file[Symbol.dispose]()),
    );
  }
}
