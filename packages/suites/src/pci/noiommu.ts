import { DmaMemory, PciDevice } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { existsPath, noiommuGroupPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { O_RDWR, VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU } from "@vfio-selftests/core/uapi";
import { fixture, skip } from "@vfio-selftests/harness";
import { KernelDevice, KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { container as requests, encodeIoctl } from "@vfio-selftests/iommu-modes/requests";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { opens, opensWithoutRawIo } from "../rigs/ordinary-user/without-raw-io";
import type { SuiteTarget } from "../suite-target";
import { noiommuDeviceFile } from "./noiommu-device-file";

/** linux/vfio.h: the IOMMU type of a device without an IOMMU. */
const VFIO_NOIOMMU_IOMMU = 8;

/** A group without an IOMMU can be put into either container, by its path below /dev. */
const CONTAINERS = [
  { name: "vfio_container", path: ["vfio", "vfio"] },
  { name: "iommufd_container", path: ["iommu"] },
] as const;

/** Devices without an IOMMU, which VFIO gives to root if it is set to: registers and interrupts, but no mappings. */
export function noiommuSuite(target: SuiteTarget): void {
  fixture("vfio_noiommu", target, (address) => {
    for (const { name, path } of CONTAINERS) {
      if (!target.modes.some(({ traits }) => traits.container?.path.join("/") === path.join("/"))) continue;
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
          expect(group.container.attempt(requests.checkExtension(VFIO_NOIOMMU_IOMMU))).toBe(1);
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
          using memory = DmaMemory.allocate(PAGE_SIZE);
          // The requests are valid, but there is no IOMMU: vfio_noiommu_ioctl knows neither, and iommufd has no address
          // space (get_compat_ioas).
          const map = encodeIoctl(requests.mapDma, "read-write", memory.address, 0x1_0000n, PAGE_SIZE);
          const unmap = encodeIoctl(requests.unmapDma, 0x1_0000n, BigInt(PAGE_SIZE), false);
          const refused = -(name === "vfio_container" ? Errno.ENOTTY : Errno.ENODEV);
          expect([group.container.attempt(map), group.container.attempt(unmap)]).toEqual([refused, refused]);
        });

        it("group_is_open_once", () => {
          using group = new NoiommuGroup(address, path);
          expect(native.open(group.path, O_RDWR)).toBe(-Errno.EBUSY);
        });

        it("group_needs_cap_sys_rawio", () => {
          using group = new NoiommuGroup(address, path);
          const { path: file } = group;
          group[Symbol.dispose]();
          expect([opens(file), opensWithoutRawIo(file)]).toEqual([true, false]);
        });
      });
    }
    const [mode] = modesOf(target, "iommufd");
    if (mode !== undefined) {
      describe("iommufd", () => noiommuDeviceFile(target, mode, address));
    }
  });
}

/** A device's group without an IOMMU (`/dev/vfio/noiommu-N`), in a container. */
class NoiommuGroup implements Disposable {
  readonly path: string;
  readonly container: KernelFile;
  readonly #address: string;
  readonly #group: KernelFile;

  /** Skips the test where the device has an IOMMU, or VFIO is not set to do without. */
  constructor(address: string, containerPath: readonly string[], type = VFIO_NOIOMMU_IOMMU) {
    this.#address = address;
    const path = noiommuGroupPath(address);
    if (path === undefined || !existsPath(path)) {
      skip({
        reason:
          path === undefined
            ? "VFIO is not set to do without an IOMMU, and the device has none"
            : `the device has an IOMMU: there is no ${path}`,
        remedy:
          "vfio-selftests lab run --iommu none; elsewhere echo Y > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode " +
          "on a machine without IOMMU, before the device is bound to vfio-pci",
      });
    }
    this.path = path;
    const container = systemPaths.dev(...containerPath);
    if (!existsPath(container)) {
      skip({
        reason: `there is no ${container}`,
        remedy: "use a kernel with CONFIG_VFIO_CONTAINER and CONFIG_IOMMUFD",
      });
    }
    this.container = KernelFile.open(realKernel, container);
    try {
      this.#group = KernelFile.open(realKernel, path);
      this.container.adopt(this.#group);
      this.#group.make(requests.setContainer(this.container.descriptor("VFIO_GROUP_SET_CONTAINER")));
      this.container.make(requests.setIommu(type));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  openDevice(): PciDevice {
    const fd = this.#group.make(requests.getDeviceFd(this.#address));
    return new PciDevice(new KernelDevice(this.#address, new KernelFile(realKernel, fd, this.#address)));
  }

  /** Closes the group, then the container; idempotent. */
  [Symbol.dispose](): void {
    this.container.close();
  }
}
