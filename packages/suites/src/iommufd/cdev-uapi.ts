import { iommuGroupOf, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  O_RDWR,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_ATTACH_PASID,
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_detach_iommufd_pt,
  VFIO_DEVICE_DETACH_PASID,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  VFIO_DEVICE_RESET,
  vfio_region_info,
} from "@vfio-selftests/core/uapi";
import { fixture, requireMode } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireDeviceFileToken, requirePasids } from "../rigs/kernel/require-device-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, bytesOf, codeOf, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { CutArgument } from "../rigs/raw/cut-argument";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";
import { cdevAttachTests } from "./cdev-attach";

/** A device's own file and its tie to an iommufd (drivers/vfio/device_cdev.c, drivers/iommu/iommufd/device.c). */
export function cdevUapiSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;
  fixture("vfio_cdev_uapi", target, (address) => {
    requireMode(mode);

    it("gives_nothing_before_bind", () => {
      {
        // Which BARs can be mapped is known only of a device that somebody had open (vfio_pci_probe_mmaps).
        using iommufd = new IommufdFile();
        using earlier = new DeviceFile(address);
        expect(earlier.bind(iommufd).code).toBe("ok");
      }
      using device = new DeviceFile(address);
      const { file } = device;
      const asks = {
        info: () => askKernel(file, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code,
        region: () => askKernel(file, { VFIO_DEVICE_GET_REGION_INFO }, vfio_region_info, {}).code,
        reset: () => askPlainly(file, { VFIO_DEVICE_RESET }),
        attach: () => device.attach(1).code,
        detach: () => device.detach(),
        read: () => codeOf(native.pread(file.descriptor("pread"), new Uint8Array(4), 7n << 40n)),
        write: () => codeOf(native.pwrite(file.descriptor("pwrite"), new Uint8Array(4), 7n << 40n)),
      };
      const answers = Object.fromEntries(Object.entries(asks).map(([name, ask]) => [name, ask()]));
      // vfio_device_fops_unl_ioctl, _read, _write
      expect(answers).toEqual(Object.fromEntries(Object.keys(asks).map((name) => [name, "EINVAL"])));
      const mapped = native.mapIo({ fd: file.descriptor("mmap"), length: PAGE_SIZE, flags: 1 });
      expect(typeof mapped === "number" ? codeOf(mapped) : "mapped").toBe("EINVAL");
    });

    it("bind_refuses_what_it_must_and_then_works", () => {
      requireDeviceFileToken(address);
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      using nothing = KernelFile.open(realKernel, systemPaths.dev("null"));
      const { token_uuid_ptr } = vfio_device_bind_iommufd.fields;
      const own = iommufd.file.descriptor("test");
      const good = { said: token_uuid_ptr.offset, flags: 0, iommufd: own };
      expectAnswers(
        {
          size_of_structure_too_small: [{ ...good, said: token_uuid_ptr.offset - 1 }, "EINVAL"],
          unknown_flag: [{ ...good, flags: 2 }, "EINVAL"],
          last_flag: [{ ...good, flags: 1 << 31 }, "EINVAL"],
          negative_descriptor: [{ ...good, iommufd: -1 }, "EINVAL"],
          closed_descriptor: [{ ...good, iommufd: 1023 }, "EBADF"],
          no_iommufd: [{ ...good, iommufd: nothing.descriptor("test") }, "EBADFD"],
          the_device_itself: [{ ...good, iommufd: device.file.descriptor("test") }, "EBADFD"],
          bytes_that_the_kernel_does_not_know: [{ ...good, said: 40, beyond: 1 }, "E2BIG"],
          the_right_one: [{ ...good, beyond: 0 }, "ok"],
          once_more: [good, "EINVAL"],
        },
        ({ said, flags, iommufd: descriptor, beyond = 0 }: typeof good & { beyond?: number }) => {
          const request = { flags, iommufd: descriptor };
          const bytes = new Uint8Array(40);
          bytes[32] = beyond;
          const words = new DataView(bytes.buffer);
          words.setUint32(0, said, true);
          words.setUint32(4, request.flags, true);
          words.setInt32(8, request.iommufd, true);
          return askPlainly(device.file, { VFIO_DEVICE_BIND_IOMMUFD }, bytes);
        },
      );
      expect(askKernel(device.file, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code).toBe("ok");
    });

    it("arguments_that_cannot_be_read_are_refused", () => {
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      expect(askPlainly(device.file, { VFIO_DEVICE_BIND_IOMMUFD }, NO_ADDRESS)).toBe("EFAULT");
      expect(device.bind(iommufd).code).toBe("ok");
      for (const named of [{ VFIO_DEVICE_ATTACH_IOMMUFD_PT }, { VFIO_DEVICE_DETACH_IOMMUFD_PT }]) {
        expect({ ...named, code: askPlainly(device.file, named, NO_ADDRESS) }).toEqual({ ...named, code: "EFAULT" });
      }
    });

    it("pasids_that_cannot_be_read_are_refused", () => {
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      expect(device.bind(iommufd).code).toBe("ok");
      requirePasids(device);
      // Only the last field lies where there is no memory.
      for (const [named, layout, flags] of [
        [{ VFIO_DEVICE_ATTACH_IOMMUFD_PT }, vfio_device_attach_iommufd_pt, VFIO_DEVICE_ATTACH_PASID],
        [{ VFIO_DEVICE_DETACH_IOMMUFD_PT }, vfio_device_detach_iommufd_pt, VFIO_DEVICE_DETACH_PASID],
      ] as const) {
        const whole = bytesOf(layout, { argsz: layout.size, flags });
        using cut = new CutArgument(whole.subarray(0, layout.fields.pasid.offset));
        expect({ ...named, code: askPlainly(device.file, named, cut.address) }).toEqual({ ...named, code: "EFAULT" });
      }
    });

    it("answers_that_cannot_be_written_undo_the_request", () => {
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      const bind = {
        argsz: vfio_device_bind_iommufd.fields.token_uuid_ptr.offset,
        iommufd: iommufd.file.descriptor("bind"),
      };
      {
        using readOnly = new ReadOnlyArgument(bytesOf(vfio_device_bind_iommufd, bind));
        expect(askPlainly(device.file, { VFIO_DEVICE_BIND_IOMMUFD }, readOnly.address)).toBe("EFAULT");
      }
      expect(askPlainly(device.file, { VFIO_DEVICE_RESET })).toBe("EINVAL");
      // Its number is free again, and the device can be opened, also by its group (vfio_device_unblock_group).
      const group = native.open(systemPaths.dev("vfio", String(iommuGroupOf(address))), O_RDWR);
      expect(codeOf(group)).toBe("ok");
      native.close(group);
      const ioas = iommufd.newIoas();
      const { code, id } = device.bind(iommufd);
      expect([code, id]).toEqual(["ok", ioas + 1]);

      const layout = vfio_device_attach_iommufd_pt;
      using readOnly = new ReadOnlyArgument(bytesOf(layout, { argsz: layout.fields.pasid.offset, pt_id: ioas }));
      expect(askPlainly(device.file, { VFIO_DEVICE_ATTACH_IOMMUFD_PT }, readOnly.address)).toBe("EFAULT");
      expect(iommufd.destroy(ioas)).toBe("ok");
    });

    it("token_that_cannot_be_read_is_refused", () => {
      requireDeviceFileToken(address);
      using device = new DeviceFile(address);
      using iommufd = new IommufdFile();
      const token = {
        flags: VFIO_DEVICE_BIND_FLAG_TOKEN,
        iommufd: iommufd.file.descriptor("bind"),
        token_uuid_ptr: NO_ADDRESS,
      };
      const { code } = askKernel(device.file, { VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, token);
      expect(code).toBe("EFAULT");
      expect(device.bind(iommufd).code).toBe("ok");
    });

    it("is_bound_once_until_it_is_closed", () => {
      using first = new DeviceFile(address);
      using second = new DeviceFile(address);
      using iommufd = new IommufdFile();
      using other = new IommufdFile();
      const { code, id } = first.bind(iommufd);
      expect(code).toBe("ok");
      // vfio_df_open opens no device through a second file, whichever the iommufd.
      expect(second.bind(iommufd).code).toBe("EINVAL");
      expect(second.bind(other).code).toBe("EINVAL");
      // The first file's id exists, and ends with that file.
      expect(iommufd.destroy(id)).toBe("EBUSY");
      first.file.close();
      expect(iommufd.destroy(id)).toBe("ENOENT");
      expect(second.bind(other).code).toBe("ok");
    });

    cdevAttachTests(address);
  });
}
