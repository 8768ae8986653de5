import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { DmaMemory, Iommu, type IommuMode } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { iommuGroupOf, readAttribute, systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import {
  O_RDWR,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  VFIO_DEVICE_BIND_IOMMUFD,
  vfio_device_bind_iommufd,
  VFIO_DEVICE_GET_INFO,
  vfio_device_info,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_GROUP_FLAGS_CONTAINER_SET as CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE as VIABLE,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  vfio_group_status,
  VFIO_IOMMU_MAP_DMA,
  vfio_iommu_type1_dma_map,
} from "@vfio-selftests/core/uapi";
import { eachMode, fixture, GuardedDriver, skip } from "@vfio-selftests/harness";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { closesOnExec } from "../rigs/device/close-on-exec";
import { inModesOf } from "../rigs/iommu/modes-of";
import { isOlderThan } from "../rigs/kernel/brought-by-linux";
import { requireIommufd } from "../rigs/kernel/require-iommufd";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { pinnedPages } from "../rigs/memory/pinned-pages";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, bytesOf, codeOf, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { GroupFiles } from "../rigs/raw/group-files";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

const IOVA = 0x4000_0000n;
/** In which a device that nobody has open leaves its driver, on a busy machine. */
const UNBIND_MS = 3000;
const WAITS = "it waits";

/** The ioctls of a group's file, in each state (drivers/vfio/group.c). */
export function groupUapiSuite(target: SuiteTarget): void {
  const containers = inModesOf(target, "container");
  fixture("vfio_group_uapi", target, (address) => {
    eachMode(containers, (mode) => {
      it("status_says_whether_a_container_is_set", () => {
        using files = new GroupFiles(mode, address);
        expect(files.status()).toBe(VIABLE);
        expect(files.setContainer()).toBe("ok");
        expect(files.status()).toBe(VIABLE | CONTAINER_SET);
        expect(files.setIommu()).toBe("ok");
        expect(files.status()).toBe(VIABLE | CONTAINER_SET);
        expect(files.unsetContainer()).toBe("ok");
        expect(files.status()).toBe(VIABLE);
      });

      it("status_needs_room", () => {
        using files = new GroupFiles(mode, address);
        const { size } = vfio_group_status;
        expectAnswers(
          { nothing: [0, "EINVAL"], a_byte_less: [size - 1, "EINVAL"], exactly: [size, "ok"], more: [size + 8, "ok"] },
          (said) => askKernel(files.group, { VFIO_GROUP_GET_STATUS }, vfio_group_status, {}, { bytes: 16, said }).code,
        );
      });

      it("arguments_that_cannot_be_read_are_refused", () => {
        using files = new GroupFiles(mode, address);
        for (const named of [{ VFIO_GROUP_GET_STATUS }, { VFIO_GROUP_SET_CONTAINER }, { VFIO_GROUP_GET_DEVICE_FD }]) {
          expect({ ...named, code: askPlainly(files.group, named, NO_ADDRESS) }).toEqual({ ...named, code: "EFAULT" });
        }
        expect(files.status()).toBe(VIABLE);
      });

      it("status_that_cannot_be_written_is_refused", () => {
        using files = new GroupFiles(mode, address);
        using readOnly = new ReadOnlyArgument(bytesOf(vfio_group_status, { argsz: vfio_group_status.size }));
        expect(askPlainly(files.group, { VFIO_GROUP_GET_STATUS }, readOnly.address)).toBe("EFAULT");
      });

      it("takes_only_a_container_and_only_one", () => {
        using files = new GroupFiles(mode, address);
        using other = KernelFile.open(realKernel, files.container.name);
        using nothing = KernelFile.open(realKernel, systemPaths.dev("null"));
        // Linux 6.2 has another errno for it (vfio_group_ioctl_set_container).
        const noContainer = isOlderThan("6.2") ? "EINVAL" : "EBADFD";
        const before = {
          no_descriptor: [-1, "EBADF"],
          closed_descriptor: [1023, "EBADF"],
          no_container: [nothing.descriptor("test"), noContainer],
          the_group_itself: [files.group.descriptor("test"), noContainer],
        } as const;
        expectAnswers(before, (descriptor) => files.setContainer(descriptor));
        expect(files.status()).toBe(VIABLE);
        expect(files.setContainer()).toBe("ok");
        expectAnswers(
          {
            the_same_again: [files.container.descriptor("test"), "EINVAL"],
            another: [other.descriptor("test"), "EINVAL"],
          },
          (descriptor) => files.setContainer(descriptor),
        );
        expect(files.unsetContainer()).toBe("ok");
        expect(files.setContainer(other.descriptor("test"))).toBe("ok");
      });

      it("container_cannot_be_unset_where_there_is_none_or_a_device_is_open", () => {
        using files = new GroupFiles(mode, address);
        expect(files.unsetContainer()).toBe("EINVAL");
        expect(files.setContainer()).toBe("ok");
        expect(files.unsetContainer()).toBe("ok");
        expect(files.unsetContainer()).toBe("EINVAL");
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        const device = files.openDevice();
        if (!files.isType1) {
          // iommufd counts its users itself (vfio_group_ioctl_unset_container).
          device.close();
          return;
        }
        expect(files.unsetContainer()).toBe("EBUSY");
        device.close();
        expect(files.unsetContainer()).toBe("ok");
      });

      it("gives_a_device_only_with_an_iommu_and_by_its_name", () => {
        using files = new GroupFiles(mode, address);
        expect(codeOf(files.deviceDescriptor())).toBe("EINVAL");
        expect(files.setContainer()).toBe("ok");
        // vfio_group_use_container; iommufd has an address space from now on.
        if (files.isType1) expect(codeOf(files.deviceDescriptor())).toBe("EINVAL");
        expect(files.setIommu()).toBe("ok");
        expectAnswers(
          {
            another_function: [address.replace(/\.\d$/, ".7"), "ENODEV"],
            nothing: ["", "ENODEV"],
            another_segment: [address.replace(/^..../, "00ff"), "ENODEV"],
            too_long: ["0".repeat(5000), "EINVAL"],
          },
          (name) => codeOf(files.deviceDescriptor(name)),
        );
        using device = files.openDevice();
        expect(deviceInfo(device)).toBe("ok");
      });

      it("refused_open_holds_up_no_unbind", async () => {
        if (target.kind !== "lab") {
          skip({ reason: "the test unbinds the device", remedy: "run it in the lab: vfio-selftests lab run" });
        }
        {
          using files = new GroupFiles(mode, address);
          expect(codeOf(files.deviceDescriptor())).toBe("EINVAL");
        }
        const guarded = new GuardedDriver(address);
        const driver = guarded.original ?? "vfio-pci";
        // A process of its own writes: vfio_unregister_group_dev waits for ever for a registration that nobody gives back.
        const command = `echo ${address} > /sys/bus/pci/drivers/${driver}/unbind`;
        const ended = once(spawn("sh", ["-c", command], { stdio: "ignore" }), "exit");
        const [status] = (await Promise.race([ended, setTimeout(UNBIND_MS, [WAITS], { ref: false })])) as unknown[];
        const left = guarded.current;
        // Whoever waits holds the device's lock. Binding would wait, too, and the test would not end.
        if (status !== WAITS) guarded[Symbol.dispose]();
        expect([status, left]).toEqual([0, undefined]);
      });

      it("gives_a_device_more_than_once", () => {
        using files = new GroupFiles(mode, address);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using first = files.openDevice();
        using second = files.openDevice();
        expect(second.descriptor("test")).not.toBe(first.descriptor("test"));
        first.close();
        expect(deviceInfo(second)).toBe("ok");
        second.close();
        if (files.isType1) expect(files.unsetContainer()).toBe("ok");
      });

      it("gives_descriptors_that_programs_do_not_inherit", () => {
        using files = new GroupFiles(mode, address);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using device = files.openDevice();
        // vfio_group_ioctl_get_device_fd: O_CLOEXEC
        expect(closesOnExec(device.descriptor("test"))).toBe(true);
      });

      it("lets_go_of_each_container_that_is_unset", () => {
        const rounds = 100;
        const round = (): void => {
          using files = new GroupFiles(mode, address);
          expect([files.setContainer(), files.setIommu(), files.unsetContainer()]).toEqual(["ok", "ok", "ok"]);
        };
        round();
        const before = openFiles();
        for (let number = 0; number < rounds; number++) round();
        // The container's file would stay open in the kernel (iommufd_ctx_put). Other processes open files, too.
        expect(openFiles() - before).toBeLessThan(rounds / 2);
      });

      it("is_open_once", () => {
        using files = new GroupFiles(mode, address);
        const open = () => native.open(files.group.name, O_RDWR);
        expect(open()).toBe(-Errno.EBUSY);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using device = files.openDevice();
        files.group.close();
        expect(deviceInfo(device)).toBe("ok");
        // In VFIO's container the device's file holds the group's (vfio_group_use_container).
        if (files.isType1) expect(open()).toBe(-Errno.EBUSY);
        device.close();
        const again = open();
        expect(again).toBeGreaterThanOrEqual(0);
        native.close(again);
      });

      it("device_of_a_group_knows_no_ioctl_of_device_files", () => {
        using files = new GroupFiles(mode, address);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using device = files.openDevice();
        requireIommufd();
        using iommufd = KernelFile.open(realKernel, systemPaths.dev("iommu"));
        // vfio_df_ioctl_bind_iommufd; vfio_device_fops_unl_ioctl.
        const bind = { iommufd: iommufd.descriptor("test") };
        expect(
          askKernel(device, { VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, bind, { bytes: 16 }).code,
        ).toBe("EINVAL");
        expect(
          askKernel(device, { VFIO_DEVICE_ATTACH_IOMMUFD_PT }, vfio_device_attach_iommufd_pt, { pt_id: 1 }).code,
        ).toBe("ENOTTY");
      });

      it("and_the_device_file_rule_each_other_out", () => {
        const cdev = vfioCdevPath(address);
        requireIommufd();
        using iommufd = KernelFile.open(realKernel, systemPaths.dev("iommu"));
        const bind = (device: KernelFile) => {
          const request = { iommufd: iommufd.descriptor("test") };
          return askKernel(device, { VFIO_DEVICE_BIND_IOMMUFD }, vfio_device_bind_iommufd, request, { bytes: 16 }).code;
        };
        {
          using _files = new GroupFiles(mode, address);
          using device = KernelFile.open(realKernel, cdev);
          // vfio_device_block_group
          expect(bind(device)).toBe("EBUSY");
        }
        const group = systemPaths.dev("vfio", String(iommuGroupOf(address)));
        {
          using device = KernelFile.open(realKernel, cdev);
          expect(bind(device)).toBe("ok");
          expect(native.open(group, O_RDWR)).toBe(-Errno.EBUSY);
        }
        const free = native.open(group, O_RDWR);
        expect(free).toBeGreaterThanOrEqual(0);
        native.close(free);
      });

      it("keeps_what_is_mapped_until_every_file_is_closed", () => {
        using memory = DmaMemory.allocate(PAGE_SIZE);
        const before = pinnedPages();
        using files = new GroupFiles(mode, address);
        expect([files.setContainer(), files.setIommu()]).toEqual(["ok", "ok"]);
        using device = files.openDevice();
        const values = { flags: VFIO_DMA_MAP_FLAG_READ, vaddr: memory.address, iova: IOVA, size: PAGE_SIZE };
        expect(askKernel(files.container, { VFIO_IOMMU_MAP_DMA }, vfio_iommu_type1_dma_map, values).code).toBe("ok");
        // The device may still be at work after either of them is closed (vfio_container_put, iommufd_ctx_put).
        for (const close of [() => files.container.close(), () => files.group.close()]) {
          close();
          expect(pinnedPages() - before).toBe(1);
          expect(deviceInfo(device)).toBe("ok");
        }
        device.close();
        expect(pinnedPages() - before).toBe(0);
      });

      it("other_requests_are_refused", () => {
        using files = new GroupFiles(mode, address);
        for (const request of [0x3b64, 0x3b66, 0x3b6b, 0x3bff]) {
          expect(askPlainly(files.group, { request }, new Uint8Array(64))).toBe("ENOTTY");
        }
      });

      it("a_container_takes_several_groups", () => {
        const other = target.devices.find((device) => iommuGroupOf(device) !== iommuGroupOf(address));
        if (other === undefined) {
          skip({ reason: "the run has one group", remedy: "vfio-selftests lab run --device 'igb*2'" });
        }
        mapThroughTwoGroups(mode, address, other);
      });
    });
  });
}

/** A group that joins later finds the mappings. A group that leaves takes none with it. */
function mapThroughTwoGroups(mode: IommuMode, address: string, other: string): void {
  using iommu = new Iommu(mode.open());
  using memory = DmaMemory.allocate(native.pageSize());
  const first = iommu.openDevice(address);
  using region = iommu.map(memory);
  const second = iommu.openDevice(other);
  first.close();
  expect(() => iommu.map(memory, { iova: region.iova })).toThrow(expect.objectContaining({ code: "EEXIST" }) as Error);
  expect(region.unmap()).toBe(BigInt(memory.length));
  second.close();
}

/** Files that are open in the whole machine, exactly (/proc/sys/fs/file-nr). */
function openFiles(): number {
  return Number(readAttribute(systemPaths.proc("sys", "fs", "file-nr"))?.split(/\s+/)[0]);
}

function deviceInfo(device: KernelFile): string {
  return askKernel(device, { VFIO_DEVICE_GET_INFO }, vfio_device_info, {}).code;
}
