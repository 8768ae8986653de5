import { systemError } from "@vfio-selftests/core/errors";
import { systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_IOAS_ALLOC,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_GET_INFO,
  iommu_ioas_alloc,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
  vfio_device_info,
  O_RDWR,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { defaultMode, type SuiteTarget } from "../suite-target";
import { fixture, requireMode } from "../fixture";

/** tools/testing/selftests/vfio/vfio_iommufd_setup_test.c: the ioctls of a device file by themselves. */
export function iommufdSetupSuite(target: SuiteTarget): void {
  // A device opened by its file knows no other mode.
  if (defaultMode(target).name !== "iommufd") return;

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

/** A device's file and an iommufd, with nothing done to them yet. Every method gives the ioctl's result or -errno. */
class CdevIoctls implements Disposable {
  readonly #device: number;
  readonly #iommufd: number;

  constructor(address: string) {
    this.#device = openOrThrow(vfioCdevPath(address));
    try {
      this.#iommufd = openOrThrow(systemPaths.dev("iommu"));
    } catch (error) {
      native.close(this.#device);
      throw error;
    }
  }

  bind(iommufd = this.#iommufd): number {
    const view = vfio_device_bind_iommufd.allocate();
    vfio_device_bind_iommufd.fields.argsz.set(view, vfio_device_bind_iommufd.size);
    vfio_device_bind_iommufd.fields.iommufd.set(view, iommufd);
    return native.ioctl(this.#device, VFIO_DEVICE_BIND_IOMMUFD, view.bytes);
  }

  getInfo(): number {
    const view = vfio_device_info.allocate();
    vfio_device_info.fields.argsz.set(view, vfio_device_info.size);
    return native.ioctl(this.#device, VFIO_DEVICE_GET_INFO, view.bytes);
  }

  /** Gives the new IOAS's id; throws when the kernel refuses. */
  allocateIoas(): number {
    const view = iommu_ioas_alloc.allocate();
    iommu_ioas_alloc.fields.size.set(view, iommu_ioas_alloc.size);
    const result = native.ioctl(this.#iommufd, IOMMU_IOAS_ALLOC, view.bytes);
    if (result < 0) throw systemError(result, "IOMMU_IOAS_ALLOC");
    return iommu_ioas_alloc.fields.out_ioas_id.get(view);
  }

  attach(pageTableId: number): number {
    const view = vfio_device_attach_iommufd_pt.allocate();
    vfio_device_attach_iommufd_pt.fields.argsz.set(view, vfio_device_attach_iommufd_pt.size);
    vfio_device_attach_iommufd_pt.fields.pt_id.set(view, pageTableId);
    return native.ioctl(this.#device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, view.bytes);
  }

  detach(): number {
    const view = vfio_device_detach_iommufd_pt.allocate();
    vfio_device_detach_iommufd_pt.fields.argsz.set(view, vfio_device_detach_iommufd_pt.size);
    return native.ioctl(this.#device, VFIO_DEVICE_DETACH_IOMMUFD_PT, view.bytes);
  }

  [Symbol.dispose](): void {
    native.close(this.#device);
    native.close(this.#iommufd);
  }
}

function openOrThrow(path: string): number {
  const fd = native.open(path, O_RDWR);
  if (fd < 0) throw systemError(fd, "open", { subject: path });
  return fd;
}
