import type { IommuMode } from "@vfio-selftests/core";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_GET_INFO,
  vfio_device_info,
  VFIO_GET_API_VERSION,
  VFIO_GROUP_FLAGS_CONTAINER_SET as CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE as VIABLE,
  VFIO_PCI_NUM_REGIONS,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture } from "@vfio-selftests/harness";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { askKernel, codeOf, resultOf } from "../rigs/raw/ask-kernel";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const WRONG_NAME = "THIS-IS-NOT-THE-RIGHT-NAME";
const WRONG_NAMES = { hardware: 1_000_000, lab: 20_000, models: 0 } as const;
const TIMEOUT_MS = 60_000;

/** What upstream's library asserts on its way to an open device, step by step (lib/iommu.c, lib/vfio_pci_device.c). */
export function modeInitSuite(target: SuiteTarget): void {
  fixture("vfio_mode_init", target, (address) => {
    eachMode(target, (mode) => {
      if (mode.traits.api === "iommufd") {
        it("each_step_of_a_device_file", () => {
          using iommufd = new IommufdFile();
          const ioas = iommufd.newIoas();
          expect(ioas).toBeGreaterThan(0);
          using device = new DeviceFile(address);
          const { code, id } = device.bind(iommufd);
          expect([code, id > 0]).toEqual(["ok", true]);
          // The kernel makes a page table of its own for the address space, and gives its id.
          const attached = device.attach(ioas);
          expect(attached.code).toBe("ok");
          expect([0, ioas, id]).not.toContain(attached.id);
          expectPciDevice(device.file);
        });
        return;
      }

      it("each_step_of_a_group", () => {
        using files = new GroupFiles(mode, address);
        expect(resultOf(files.container, { VFIO_GET_API_VERSION })).toBe(VFIO_API_VERSION);
        expect(files.status()).toBe(VIABLE);
        expect(files.setContainer()).toBe("ok");
        expect(files.status()).toBe(VIABLE | CONTAINER_SET);
        expect(resultOf(files.container, { VFIO_CHECK_EXTENSION }, files.type)).toBe(1);
        expect(files.setIommu()).toBe("ok");
        using device = files.openDevice();
        expectPciDevice(device);
        // Upstream ignores the second one's answer, for several devices in one container.
        expect(files.setIommu()).toBe(secondSetIommu(mode));
        expectPciDevice(device);
      });

      it(
        "wrong_names_again_and_again",
        () => {
          using files = new GroupFiles(mode, address);
          expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
          // The group alone holds the container, as in awilliam/tests' e324fc82ea45.
          files.container.close();
          const answers = new Set<string>();
          for (let round = 0; round < WRONG_NAMES[target.kind]; round++) {
            answers.add(codeOf(files.deviceDescriptor(WRONG_NAME)));
          }
          expect([...answers]).toEqual(["ENODEV"]);
          // Nobody is left who uses the container, and the right name still works.
          {
            using device = files.openDevice();
            expectPciDevice(device);
          }
          expect(files.unsetContainer()).toBe("ok");
          expect(files.status()).toBe(VIABLE);
        },
        TIMEOUT_MS,
      );
    });
  });
}

/** vfio_ioctl_set_iommu has a driver already; iommufd takes the same type again (iommufd_vfio_set_iommu). */
function secondSetIommu({ traits }: IommuMode): string {
  return traits.mapsRegisters ? "EINVAL" : "ok";
}

function expectPciDevice(device: KernelFile): void {
  const { code, view } = askKernel(device, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {});
  const { flags, num_regions } = vfio_device_info.fields;
  expect([code, flags.get(view) & VFIO_DEVICE_FLAGS_PCI]).toEqual(["ok", VFIO_DEVICE_FLAGS_PCI]);
  expect(num_regions.get(view)).toBeGreaterThanOrEqual(VFIO_PCI_NUM_REGIONS);
}
