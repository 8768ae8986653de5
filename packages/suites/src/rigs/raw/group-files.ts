import type { IommuMode } from "@vfio-selftests/core";
import { iommuGroupOf, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  vfio_group_status,
  VFIO_GROUP_UNSET_CONTAINER,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
} from "@vfio-selftests/core/uapi";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { askKernel, askPlainly, resultOf } from "./ask-kernel";

/** A container and a device's group, just opened. The test takes each further step. */
export class GroupFiles implements Disposable {
  readonly address: string;
  readonly container: KernelFile;
  readonly group: KernelFile;
  /** Whether VFIO's own type 1 driver answers, not iommufd in its place. */
  readonly isType1: boolean;
  /** The mode's type for VFIO_SET_IOMMU. */
  readonly type: number;

  /** `openGroup`: for a device that is no PCI device. */
  constructor(mode: IommuMode, address: string, openGroup = () => GroupFiles.openGroup(address)) {
    const { container } = mode.traits;
    if (container === undefined) throw new RangeError(`mode ${mode.name} has no container`);
    this.address = address;
    this.isType1 = mode.traits.mapsRegisters;
    this.type = container.type === 1 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU;
    this.container = KernelFile.open(realKernel, systemPaths.dev(...container.path));
    try {
      this.group = openGroup();
    } catch (error) {
      this.container.close();
      throw error;
    }
  }

  /** Opens the group's file. Throws the kernel's error. */
  static openGroup(address: string): KernelFile {
    return KernelFile.open(realKernel, systemPaths.dev("vfio", String(iommuGroupOf(address))));
  }

  /** VFIO_GROUP_SET_CONTAINER with a descriptor. Returns `ok` or the errno's name. */
  setContainer(descriptor = this.container.descriptor("VFIO_GROUP_SET_CONTAINER")): string {
    return askPlainly(this.group, { VFIO_GROUP_SET_CONTAINER }, new Uint8Array(Int32Array.of(descriptor).buffer));
  }

  unsetContainer(): string {
    return askPlainly(this.group, { VFIO_GROUP_UNSET_CONTAINER });
  }

  setIommu(type = this.type): string {
    return askPlainly(this.container, { VFIO_SET_IOMMU }, type);
  }

  /** VFIO_GROUP_GET_DEVICE_FD. Returns the descriptor or `-errno`. */
  deviceDescriptor(name = this.address): number {
    return resultOf(this.group, { VFIO_GROUP_GET_DEVICE_FD }, new Uint8Array(Buffer.from(`${name}\0`, "latin1")));
  }

  /** Opens the device's file. Throws when the kernel refuses. */
  openDevice(): KernelFile {
    const descriptor = this.deviceDescriptor();
    if (descriptor < 0) throw new Error(`VFIO_GROUP_GET_DEVICE_FD: ${descriptor}`);
    return new KernelFile(realKernel, descriptor, this.address);
  }

  /** The flags of VFIO_GROUP_GET_STATUS. */
  status(): number {
    const { code, view } = askKernel(this.group, { VFIO_GROUP_GET_STATUS }, vfio_group_status, {});
    expect(code).toBe("ok");
    return vfio_group_status.fields.flags.get(view);
  }

  /** Closes the group, then the container; idempotent. */
  [Symbol.dispose](): void {
    this.group.close();
    this.container.close();
  }
}
