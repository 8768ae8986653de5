import { readFileSync, realpathSync } from "node:fs";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_ATTACH_PASID,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_detach_iommufd_pt,
  VFIO_DEVICE_DETACH_PASID,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, requireMode } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { openForBlock } from "../rigs/device/open-device";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireBrought } from "../rigs/kernel/brought-by-linux";
import { requirePasids } from "../rigs/kernel/require-device-file";
import { askKernel } from "../rigs/raw/ask-kernel";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const PASID = 5;
const SHORTER_BY = 4;

/** What a device's file tells of itself, and its attachment by PASID. */
export function deviceFileSuite(target: SuiteTarget): void {
  fixture("vfio_device_file", target, (address) => {
    eachMode(target, (mode) => {
      const device = openForBlock(mode, address);

      it("names_its_device_in_proc", () => {
        const fd = deviceFileOf(device().vfio).descriptor("fdinfo");
        const info = readFileSync(systemPaths.proc("self", "fdinfo", String(fd)), "utf8");
        // vfio_device_show_fdinfo
        const path = /^vfio-device-syspath: (.*)$/m.exec(info)?.[1];
        requireBrought("vfio-device-syspath in /proc/PID/fdinfo", () => path !== undefined);
        expect(path).toBe(realpathSync(systemPaths.pciDevice(address)));
      });
    });

    const [own] = modesOf(target, "iommufd");
    if (own !== undefined) {
      describe("pasid", () => {
        requireMode(own);

        it("is_attached_whole_or_not_at_all", () => {
          using iommufd = new IommufdFile();
          using file = new DeviceFile(address);
          expect(file.bind(iommufd).code).toBe("ok");
          requirePasids(file);
          const { size } = vfio_device_attach_iommufd_pt;
          const attach = (pageTable: number, said = size): string => {
            const values = { flags: VFIO_DEVICE_ATTACH_PASID, pt_id: pageTable, pasid: PASID };
            const layout = vfio_device_attach_iommufd_pt;
            return askKernel(file.file, { VFIO_DEVICE_ATTACH_IOMMUFD_PT }, layout, values, { said }).code;
          };
          const detach = (said = vfio_device_detach_iommufd_pt.size): string => {
            const values = { flags: VFIO_DEVICE_DETACH_PASID, pasid: PASID };
            const layout = vfio_device_detach_iommufd_pt;
            return askKernel(file.file, { VFIO_DEVICE_DETACH_IOMMUFD_PT }, layout, values, { said }).code;
          };
          const gone = iommufd.newIoas();
          expect(attach(gone, size - SHORTER_BY)).toBe("EINVAL");
          expect(iommufd.destroy(gone)).toBe("ok");
          expect(attach(gone)).toBe("ENOENT");
          const ioas = iommufd.newIoas();
          const attached = attach(ioas) === "ok";
          // A device or an IOMMU without PASIDs refuses; then it holds nothing of the space.
          expect(iommufd.destroy(ioas)).toBe(attached ? "EBUSY" : "ok");
          expect(detach(vfio_device_detach_iommufd_pt.size - SHORTER_BY)).toBe("EINVAL");
          expect([detach(), detach()]).toEqual(["ok", "ok"]);
          expect(iommufd.destroy(ioas)).toBe(attached ? "ok" : "ENOENT");
        });
      });
    }
  });
}
