import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { existsPath, iommuGroupOf, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_GROUP_GET_STATUS, vfio_group_status } from "@vfio-selftests/core/uapi";
import { defaultMode, eachMode, expectKernelLog, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { PendingWrite } from "../rigs/bus/pending-write";
import { Removal } from "../rigs/bus/removal";
import { CopyRig, DeviceCopier } from "../rigs/dma/copy-rig";
import { Reach } from "../rigs/dma/reach";
import { modesOf } from "../rigs/iommu/modes-of";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { askKernel, codeOf } from "../rigs/raw/ask-kernel";
import { GroupFiles } from "../rigs/raw/group-files";
import type { SuiteTarget } from "../suite-target";

/** The kernel asks at once and then every 10 s (vfio_unregister_group_dev). */
const REQUEST_MS = 20_000;
const FORGET_MS = 10_000;
/** Long enough to see a write that must not return. */
const QUIET_MS = 200;
const TIMEOUT_MS = 60_000;
const PAGES = 64;
/** An IOVA that every device reaches, and no copier takes. */
const IOVA = 0x0400_0000n;

/** A device that the kernel removes while a user has it open, and finds again. */
export function hotUnplugSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);
  const [iommufd] = modesOf(target, "iommufd");
  const [container] = modesOf(target, "container");

  fixture("vfio_hot_unplug", target, (address) => {
    /** The kernel has forgotten the device's own file: it waits for users now. */
    const forgotten = (): void =>
      pollUntil(() => listDirectory(systemPaths.pciDevice(address, "vfio-dev")).length === 0, {
        timeoutMs: FORGET_MS,
        what: "VFIO to forget the device",
        subject: address,
      });

    eachMode(target, (each) => {
      it(
        "device_works_until_it_is_closed_and_comes_back",
        async () => {
          const files = vfioFilesOf(address);
          expect(files.filter(existsPath)).toEqual(files);
          {
            await using removal = new Removal(target, address);
            using rig = new CopyRig(target, each, [address]);
            const { req } = rig.copier.device.interrupts;
            req.enable();
            const asked = req.vector(0).wait({ timeoutMs: REQUEST_MS });
            removal.begin();
            await expect(asked).resolves.toBe(1n);
            for (let copies = 0; copies < 2; copies++) rig.copier.copy();
            // Nobody else gets the device now.
            expect(existsPath(files[0] ?? "")).toBe(false);
            expect(await removal.waits()).toBe(true);
            rig.copier.close();
            expect(await removal.end()).toBe("ok");
            expect(files.filter(existsPath)).toEqual([]);
          }
          using again = new CopyRig(target, each, [address]);
          again.copier.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "pages_are_unpinned_without_an_unmap",
        async () => {
          using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
          await using removal = new Removal(target, address);
          const before = pinnedPages();
          using iommu = new Iommu(each.open());
          using device = PciDevice.open(iommu, address);
          iommu.map(memory, { iova: IOVA });
          expect(pinnedPages()).toBe(before + PAGES);
          removal.begin();
          forgotten();
          expect(pinnedPages()).toBe(before + PAGES);
          device.close();
          expect(await removal.end()).toBe("ok");
          expect(pinnedPages()).toBe(before);
        },
        TIMEOUT_MS,
      );
    });

    describe("user", () => {
      requireMode(mode);

      it(
        "who_hears_no_request_is_waited_for_all_the_same",
        async () => {
          expectKernelLog(/No device request channel registered, blocked until released by user/);
          await using removal = new Removal(target, address);
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          removal.begin();
          forgotten();
          expect(await removal.waits()).toBe(true);
          expect(device.config.vendorId).not.toBe(0xffff);
          device.close();
          expect(await removal.end()).toBe("ok");
        },
        TIMEOUT_MS,
      );

      it(
        "is_asked_again_every_ten_seconds",
        async () => {
          if (target.full !== true && target.kind === "lab") {
            skip({ reason: "the test waits for twenty seconds", remedy: "run all: --full" });
          }
          await using removal = new Removal(target, address);
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const { req } = device.interrupts;
          req.enable();
          removal.begin();
          for (let request = 0; request < 3; request++) {
            await expect(req.vector(0).wait({ timeoutMs: REQUEST_MS })).resolves.toBe(1n);
            expect(await removal.waits()).toBe(true);
          }
        },
        TIMEOUT_MS,
      );

      it(
        "is_waited_for_even_when_the_removal_is_interrupted",
        async () => {
          expectKernelLog(/Device is currently in use, task "sh" \(\d+\) blocked until device is released/);
          await using removal = new Removal(target, address);
          using rig = new CopyRig(target, mode, [address]);
          removal.begin();
          forgotten();
          removal.write.interrupt("SIGTERM");
          rig.copier.copy();
          expect(await removal.waits()).toBe(true);
          rig.copier.close();
          // The write is done, and then the signal ends the process.
          expect(await removal.end()).toBe("SIGTERM");
        },
        TIMEOUT_MS,
      );

      it(
        "holds_up_every_other_search_for_devices",
        async () => {
          await using removal = new Removal(target, address);
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          removal.begin();
          forgotten();
          // pci_lock_rescan_remove: one removal or search at a time on the whole machine.
          await using search = new PendingWrite(systemPaths.sys("bus", "pci", "rescan"), "1");
          expect([await search.waitsFor(QUIET_MS), await removal.waits()]).toEqual([true, true]);
          device.close();
          expect([await removal.write.end(), await search.end()]).toEqual(["ok", "ok"]);
          // The search came after the removal, and found the device.
          expect(removal.present).toBe(true);
        },
        TIMEOUT_MS,
      );
    });

    if (iommufd !== undefined) {
      describe("address_space", () => {
        requireMode(iommufd);

        it(
          "keeps_its_mappings_for_the_device_that_returns",
          async () => {
            using memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
            await using removal = new Removal(target, address);
            using iommu = new Iommu(iommufd.open());
            const region = iommu.map(memory, { iova: IOVA });
            const first = new DeviceCopier(target, iommu, address, 0);
            new Reach(first).expectWrite(region.iova, region.bytes);
            removal.begin();
            first.close();
            expect(await removal.end()).toBe("ok");
            removal.bringBack();
            const again = new DeviceCopier(target, iommu, address, 1);
            new Reach(again).expectWrite(region.iova, region.bytes);
            new Reach(again).expectRead(region.iova, region.bytes);
            again.close();
          },
          TIMEOUT_MS,
        );
      });
    }

    if (container !== undefined) {
      describe("group", () => {
        requireMode(container);

        it(
          "is_lost_to_who_has_its_file_open",
          async () => {
            await using removal = new Removal(target, address);
            const group = iommuGroupOf(address);
            using files = new GroupFiles(container, address);
            expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
            using device = files.openDevice();
            removal.begin();
            forgotten();
            expect(codeOf(files.deviceDescriptor())).toBe("ENODEV");
            device.close();
            expect(await removal.end()).toBe("ok");
            expect(existsPath(systemPaths.sys("kernel", "iommu_groups", String(group)))).toBe(false);
            // vfio_device_remove_group takes the container away, and then the group.
            const { code } = askKernel(files.group, { VFIO_GROUP_GET_STATUS }, vfio_group_status, {});
            expect([code, files.unsetContainer(), files.setContainer(), codeOf(files.deviceDescriptor())]).toEqual([
              "ENODEV",
              "EINVAL",
              "ENODEV",
              "ENODEV",
            ]);
          },
          TIMEOUT_MS,
        );
      });
    }
  });
}

/** The device's own file and its group's. */
function vfioFilesOf(address: string): string[] {
  return [
    ...listDirectory(systemPaths.pciDevice(address, "vfio-dev")).map((name) =>
      systemPaths.dev("vfio", "devices", name),
    ),
    systemPaths.dev("vfio", String(iommuGroupOf(address))),
  ];
}
