import { systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, requireMode } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { device as requests, encodeIoctl, iommufd } from "@vfio-selftests/iommu-modes/requests";
import type { SuiteTarget } from "../suite-target";

/** tools/testing/selftests/vfio/vfio_iommufd_setup_test.c: the ioctls of a device file by themselves. */
export function iommufdSetupSuite(target: SuiteTarget): void {
  // Only mode iommufd opens a device by its own file.
  if (defaultMode(target).traits.api !== "iommufd") return;

  fixture("vfio_cdev", target, (address) => {
    requireMode(defaultMode(target));

    it("bind", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.bind()).toBe(0);
      expect(cdev.getInfo()).toBe(0);
    });

    it("get_info_without_bind_fails", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.getInfo()).toBeLessThan(0);
    });

    it("bind_bad_iommufd_fails", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.bind(-2)).toBeLessThan(0);
    });

    it("repeated_bind_fails", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.bind()).toBe(0);
      expect(cdev.bind()).toBeLessThan(0);
    });

    // The spelling is upstream's.
    it("attach_detatch_pt", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.bind()).toBe(0);
      expect(cdev.attach(cdev.allocateIoas())).toBe(0);
      expect(cdev.detach()).toBe(0);
    });

    it("attach_invalid_pt_fails", () => {
      using cdev = new CdevIoctls(address);
      expect(cdev.bind()).toBe(0);
      expect(cdev.attach(0xffff_ffff)).toBeLessThan(0);
    });
  });
}

/** A device's file and an iommufd, just opened. Every method but one returns the ioctl's result or -errno. */
class CdevIoctls implements Disposable {
  readonly #device: KernelFile;
  readonly #iommufd: KernelFile;

  constructor(address: string) {
    this.#device = KernelFile.open(realKernel, vfioCdevPath(address));
    try {
      this.#iommufd = KernelFile.open(realKernel, systemPaths.dev("iommu"));
    } catch (error) {
      this.#device.close();
      throw error;
    }
  }

  bind(descriptor = this.#iommufd.descriptor("bind")): number {
    return this.#device.attempt(encodeIoctl(requests.bindIommufd, descriptor, undefined));
  }

  getInfo(): number {
    return this.#device.attempt(encodeIoctl(requests.getInfo));
  }

  /** Returns the new IOAS's id. Throws when the kernel refuses. */
  allocateIoas(): number {
    return this.#iommufd.ask(iommufd.ioasAlloc, this.#iommufd.name);
  }

  attach(pageTableId: number): number {
    return this.#device.attempt(encodeIoctl(requests.attachPageTable, pageTableId));
  }

  detach(): number {
    return this.#device.attempt(encodeIoctl(requests.detachPageTable));
  }

  [Symbol.dispose](): void {
    this.#device.close();
    this.#iommufd.close();
  }
}
