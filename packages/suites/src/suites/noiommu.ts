import { PciDevice } from "@vfio-selftests/core";
import { Errno, systemError } from "@vfio-selftests/core/errors";
import { existsPath, noiommuGroupPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  O_RDWR,
  VFIO_CHECK_EXTENSION,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_MAP_DMA,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  vfio_iommu_type1_dma_map,
} from "@vfio-selftests/core/uapi";
import { KernelDevice, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { fixture } from "../fixture";
import { skip } from "../outcome/skip";
import type { SuiteTarget } from "../suite-target";

/** linux/vfio.h: the IOMMU type of a device without an IOMMU. */
const VFIO_NOIOMMU_IOMMU = 8;

/** A group without an IOMMU can be put into either container: below /dev, and how the names of its modes begin. */
const CONTAINERS = [
  { name: "vfio_container", path: ["vfio", "vfio"], modes: "vfio_type1" },
  { name: "iommufd_container", path: ["iommu"], modes: "iommufd_compat" },
] as const;

/** Devices without an IOMMU, which VFIO gives to root when it is told to: registers and interrupts, but no mappings. */
export function noiommuSuite(target: SuiteTarget): void {
  fixture("vfio_noiommu", target, (address) => {
    for (const { name, path, modes } of CONTAINERS) {
      if (!target.modes.some((mode) => mode.name.startsWith(modes))) continue;
      describe(name, () => {
        it("opens_and_reads_configuration", () => {
          using group = new NoiommuGroup(address, path);
          using device = group.openDevice();
          expect([device.config.vendorId, device.config.deviceId]).toEqual([
            Number(readAttribute(systemPaths.pciDevice(address, "vendor"))),
            Number(readAttribute(systemPaths.pciDevice(address, "device"))),
          ]);
          for (const bar of device.bars) if (bar.size > 0) expect(bar.region.size).toBe(bar.size);
        });

        it("interrupt_arrives", () => {
          using group = new NoiommuGroup(address, path);
          using device = group.openDevice();
          const kinds = [device.interrupts.msix, device.interrupts.msi, device.interrupts.intx];
          const interrupts =
            kinds.find(({ count }) => count > 0) ??
            skip({ reason: "the device has no interrupts", remedy: "use a device with MSI-X, MSI or INTx" });
          interrupts.enable(0, 1);
          interrupts.trigger(0);
          expect(interrupts.vector(0).waitSync()).toBe(1n);
        });

        it("resets", () => {
          using group = new NoiommuGroup(address, path);
          using device = group.openDevice();
          if (!device.info.resettable) {
            skip({ reason: "the device has no reset method", remedy: "use a device with function-level reset" });
          }
          device.reset();
          expect(device.config.vendorId).not.toBe(0xffff);
        });

        it("other_iommu_types_are_refused", () => {
          using group = new NoiommuGroup(address, path);
          expect(native.ioctl(group.container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU)).toBe(1);
          group[Symbol.dispose]();
          for (const type of [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU]) {
            expect(() => new NoiommuGroup(address, path, type)).toThrow(
              expect.objectContaining({ operation: "VFIO_SET_IOMMU" }) as Error,
            );
          }
        });

        it("nothing_can_be_mapped", () => {
          using group = new NoiommuGroup(address, path);
          using _device = group.openDevice();
          const { argsz, size } = vfio_iommu_type1_dma_map.fields;
          const view = vfio_iommu_type1_dma_map.allocate();
          argsz.set(view, vfio_iommu_type1_dma_map.size);
          size.set(view, 4096n);
          expect(native.ioctl(group.container, VFIO_IOMMU_MAP_DMA, view.bytes)).toBeLessThan(0);
        });

        it("group_is_open_once", () => {
          using group = new NoiommuGroup(address, path);
          expect(native.open(group.path, O_RDWR)).toBe(-Errno.EBUSY);
        });
      });
    }
  });
}

/** A device's group without an IOMMU (`/dev/vfio/noiommu-N`), in a container. */
class NoiommuGroup implements Disposable {
  readonly path: string;
  readonly container: number;
  readonly #group: number;
  #closed = false;

  /** Skips the test where the device has an IOMMU, or VFIO was not told to do without. */
  constructor(
    private readonly address: string,
    containerPath: readonly string[],
    type = VFIO_NOIOMMU_IOMMU,
  ) {
    const path = noiommuGroupPath(address);
    if (path === undefined || !existsPath(path)) {
      skip({
        reason:
          path === undefined
            ? "VFIO has not been told to do without an IOMMU, and the device has none"
            : `the device has an IOMMU: there is no ${path}`,
        remedy:
          "pnpm vfio lab run --iommu none; elsewhere echo Y > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode " +
          "on a machine without IOMMU, before the device is bound to vfio-pci",
      });
    }
    this.path = path;
    const container = systemPaths.dev(...containerPath);
    this.container = native.open(container, O_RDWR);
    if (this.container < 0) {
      skip({
        reason: `cannot open ${container}`,
        remedy: "use a kernel with CONFIG_VFIO_CONTAINER and CONFIG_IOMMUFD",
      });
    }
    this.#group = native.open(this.path, O_RDWR);
    try {
      if (this.#group < 0) throw systemError(this.#group, "open", { subject: this.path });
      const argument = new Uint8Array(Int32Array.of(this.container).buffer);
      this.#check("VFIO_GROUP_SET_CONTAINER", native.ioctl(this.#group, VFIO_GROUP_SET_CONTAINER, argument));
      this.#check("VFIO_SET_IOMMU", native.ioctl(this.container, VFIO_SET_IOMMU, type));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  openDevice(): PciDevice {
    const name = Buffer.from(`${this.address}\0`);
    const fd = this.#check("VFIO_GROUP_GET_DEVICE_FD", native.ioctl(this.#group, VFIO_GROUP_GET_DEVICE_FD, name));
    return new PciDevice(new KernelDevice(this.address, fd, realKernel));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#group >= 0) native.close(this.#group);
    native.close(this.container);
  }

  #check(operation: string, result: number): number {
    if (result < 0) throw systemError(result, operation, { subject: this.path });
    return result;
  }
}
