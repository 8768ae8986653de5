import { type OpenDeviceOptions, VfioError } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import { iommuGroupOf, requirePciDevice, requireVfioDriver } from "@vfio-selftests/core/sysfs";
import { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU } from "@vfio-selftests/core/uapi";
import { KernelDevice } from "../device/kernel-device";
import { busyRemedy, describeBlockers, groupNotViable } from "../kernel/group-diagnosis";
import { KernelFile } from "../kernel/kernel-file";
import { checkExtension, getDeviceFd, setIommu } from "../requests/container";
import { ContainerGroups } from "./container-groups";

/** VFIO's IOMMU types by their version. */
export const IOMMU_TYPES = {
  1: { number: VFIO_TYPE1_IOMMU, name: "VFIO_TYPE1_IOMMU" },
  2: { number: VFIO_TYPE1v2_IOMMU, name: "VFIO_TYPE1v2_IOMMU" },
} as const;

/**
 * Opens devices by their groups into a container. The container has an IOMMU from the first device on. Before that, it
 * can neither map nor answer.
 */
export class GroupDevices {
  readonly #container: KernelFile;
  readonly #type: (typeof IOMMU_TYPES)[1 | 2];
  readonly #groups: ContainerGroups;
  #hasIommu = false;
  #shared: boolean;

  /** `shared`: other threads have the container, too, and one of them may have given it its IOMMU. */
  constructor(container: KernelFile, type: 1 | 2, shared = false) {
    this.#container = container;
    this.#type = IOMMU_TYPES[type];
    this.#groups = new ContainerGroups(container);
    this.#shared = shared;
    container.adopt(this.#groups);
  }

  get hasIommu(): boolean {
    return this.#hasIommu;
  }

  /** Says that other threads, too, open devices into the container from now on. */
  share(): void {
    this.#shared = true;
  }

  open(address: string, { vfToken }: OpenDeviceOptions = {}): KernelDevice {
    const { kernel } = this.#container;
    const { paths } = kernel;
    const device = requirePciDevice(address, paths);
    const request = getDeviceFd(device, vfToken);
    const group = iommuGroupOf(device, paths);
    requireVfioDriver(device, "openDevice", paths);

    const hold = this.#groups.acquire(group);
    try {
      this.#setIommu();
      const descriptor = hold.file.attempt(request);
      if (descriptor < 0) throw this.#deviceError(descriptor, request.name, device, group);
      const file = new KernelFile(kernel, descriptor, device);
      return new KernelDevice(device, file, { group: hold.file, afterClose: () => hold.release() });
    } catch (error) {
      hold.abandon();
      if (this.#groups.count === 0) this.#hasIommu = false;
      throw error;
    }
  }

  /** Gives the container its IOMMU after its first group. Later groups join it. */
  #setIommu(): void {
    if (this.#hasIommu) return;
    const { number, name } = this.#type;
    const path = this.#container.name;
    if (this.#container.make(checkExtension(number)) === 0) throw extensionMissing(path, name);
    const request = setIommu(number);
    const result = this.#container.attempt(request);
    if (result < 0 && !this.#shared) throw systemError(result, request.name, { subject: `${path} (${name})` });
    this.#hasIommu = true;
  }

  #deviceError(result: number, operation: string, device: string, group: number): VfioError {
    const { paths } = this.#container.kernel;
    if (describeBlockers(group, paths) !== undefined) return groupNotViable(group, operation, paths);
    const remedy = result === -Errno.EBUSY ? busyRemedy(group, paths) : undefined;
    return systemError(result, operation, { subject: device, remedy });
  }
}

/** The error of a container that does not offer the IOMMU type. */
export function extensionMissing(path: string, typeName: string): VfioError {
  return new VfioError(`${path} does not offer ${typeName}`, {
    code: "ERR_NOT_SUPPORTED",
    operation: "VFIO_CHECK_EXTENSION",
    subject: path,
    remedy:
      "load the IOMMU driver (sudo modprobe vfio_iommu_type1; kernel option CONFIG_VFIO_IOMMU_TYPE1), or use another mode",
  });
}
