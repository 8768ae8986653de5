import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import {
  VFIO_GROUP_FLAGS_CONTAINER_SET as CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE as VIABLE,
} from "@vfio-selftests/core/uapi";
import { eachMode, errorWithCode, requireMode } from "@vfio-selftests/harness";
import { iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { devicesOfOneGroup } from "../devices/group-members";
import { HostDriver } from "../rigs/device/host-driver";
import { CopyRig } from "../rigs/dma/copy-rig";
import { modesOf } from "../rigs/iommu/modes-of";
import { codeOf } from "../rigs/raw/ask-kernel";
import { GroupFiles } from "../rigs/raw/group-files";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

/** Several devices in one IOMMU group: they have one address space, whichever is opened first and closed last. */
export function deviceGroupsSuite(target: SuiteTarget): void {
  describe("vfio_device_group", () => {
    eachMode(target, (mode) => {
      it("every_member_copies_in_one_address_space", () => {
        using rig = new CopyRig(target, mode, devicesOfOneGroup(target.devices));
        for (const copier of rig.copiers) copier.copy();
      });

      it("members_copy_at_the_same_time", () => {
        using rig = new CopyRig(target, mode, devicesOfOneGroup(target.devices));
        for (const copier of rig.copiers) copier.start();
        for (const copier of rig.copiers) copier.finish();
      });

      it("one_member_goes_the_others_copy_on", () => {
        using rig = new CopyRig(target, mode, devicesOfOneGroup(target.devices));
        const [first, ...others] = rig.copiers;
        first?.close();
        for (const copier of others) copier.copy();
      });

      it("is_not_viable_while_the_host_has_a_member", () => {
        const [first = "", second = ""] = devicesOfOneGroup(target.devices);
        {
          using _host = new HostDriver(target, second);
          // Two owners would have one address space (iommu_group_claim_dma_owner).
          expect(openingSteps(mode, first)).toEqual(STEPS[kindOf(mode)].refused);
        }
        expect(openingSteps(mode, first)).toEqual(STEPS[kindOf(mode)].taken);
      });

      it("second_address_space_is_refused", () => {
        const [first = "", second = ""] = devicesOfOneGroup(target.devices);
        using iommu = new Iommu(mode.open());
        using other = new Iommu(mode.open());
        const device = PciDevice.open(iommu, first);
        // The group's file is opened once, and belongs to one iommufd (iommu_device_claim_dma_owner).
        const code = mode.traits.api === "iommufd" ? "EPERM" : "EBUSY";
        expect(() => PciDevice.open(other, second)).toThrow(errorWithCode(code));
        // Once the group is free again, it may go there.
        device.close();
        iommu.close();
        using moved = PciDevice.open(other, second);
        expect(moved.config.vendorId).not.toBe(0xffff);
      });
    });

    const [iommufd] = modesOf(target, "iommufd");
    if (iommufd === undefined) return;
    describe("iommufd", () => {
      requireMode(iommufd);

      it("moving_one_member_moves_the_group", () => {
        using rig = new CopyRig(target, iommufd, devicesOfOneGroup(target.devices));
        const door = iommufdOf(rig.iommu);
        const elsewhere = door.newIoas();
        for (const { iova, length } of rig.iommu.regions) {
          elsewhere.copyMapping(door.ioas, { sourceIova: iova, length, iova });
        }
        iommufdDeviceOf(rig.copier.device.vfio).attach(elsewhere);
        // Every member now uses the other address space, and needs the first one's mappings no more.
        for (const copier of rig.copiers) copier.source.unmap();
        for (const copier of rig.copiers) copier.copy();
        for (const copier of rig.copiers) copier.close();
        elsewhere.close();
      });

      it("members_are_bound_to_one_iommufd", () => {
        const [first = "", second = ""] = devicesOfOneGroup(target.devices);
        using iommufd = new IommufdFile();
        using other = new IommufdFile();
        using one = new DeviceFile(first);
        using two = new DeviceFile(second);
        expect(one.bind(iommufd).code).toBe("ok");
        // The group's owner is the first's iommufd (__iommu_take_dma_ownership).
        expect(two.bind(other).code).toBe("EPERM");
        one.file.close();
        expect(two.bind(other).code).toBe("ok");
        using again = new DeviceFile(first);
        expect(again.bind(iommufd).code).toBe("EPERM");
        expect(again.bind(other).code).toBe("ok");
      });

      it("member_cannot_be_attached_elsewhere", () => {
        const [first = "", second = ""] = devicesOfOneGroup(target.devices);
        using iommu = new Iommu(iommufd.open());
        const one = PciDevice.open(iommu, first);
        const door = iommufdOf(iommu);
        const elsewhere = door.newIoas();
        const unattached = door.openDevice(second);
        const tie = iommufdDeviceOf(unattached);
        try {
          expect(() => tie.attach(elsewhere)).toThrow(errorWithCode("EINVAL"));
          tie.attach(door.ioas);
        } finally {
          unattached.close();
        }
        one.close();
        elsewhere.close();
      });
    });
  });
}

/** The answers of the steps to an open device; the group's status comes first, where there is one. */
const STEPS = {
  type1: { refused: [0, "EPERM"], taken: [VIABLE, "ok", VIABLE | CONTAINER_SET, "ok", "ok"] },
  // iommufd claims the group only with the device (vfio_group_ioctl_get_status).
  compatible: {
    refused: [0, "ok", VIABLE | CONTAINER_SET, "ok", "EPERM"],
    taken: [VIABLE, "ok", VIABLE | CONTAINER_SET, "ok", "ok"],
  },
  iommufd: { refused: ["EPERM"], taken: ["ok"] },
} as const;

function kindOf({ traits }: IommuMode): keyof typeof STEPS {
  if (traits.container === undefined) return "iommufd";
  return traits.mapsRegisters ? "type1" : "compatible";
}

function openingSteps(mode: IommuMode, address: string): (number | string)[] {
  if (mode.traits.container === undefined) {
    using file = new DeviceFile(address);
    using iommufd = new IommufdFile();
    return [file.bind(iommufd).code];
  }
  using files = new GroupFiles(mode, address);
  const steps: (number | string)[] = [files.status(), files.setContainer()];
  if (steps.at(-1) !== "ok") return steps;
  steps.push(files.status(), files.setIommu());
  const descriptor = files.deviceDescriptor();
  if (descriptor >= 0) native.close(descriptor);
  return [...steps, codeOf(descriptor)];
}
