import { Iommu, PciDevice, VfioError } from "@vfio-selftests/core";
import { iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import { CopyBench } from "../copy-bench";
import { errorWithCode } from "../expect-code";
import { DEFAULT_TIMEOUT_MS, eachMode, requireMode } from "../fixture";
import { devicesOfOneGroup } from "../group-members";
import type { SuiteTarget } from "../suite-target";

/** Several devices in one IOMMU group: they have one address space, whichever is opened first and closed last. */
export function deviceGroupsSuite(target: SuiteTarget): void {
  describe("vfio_device_group", () => {
    eachMode(target, (mode) => {
      it(
        "every_member_copies_in_one_address_space",
        () => {
          using bench = new CopyBench(target, mode, devicesOfOneGroup(target.devices));
          for (const copier of bench.copiers) copier.copy();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "members_copy_at_the_same_time",
        () => {
          using bench = new CopyBench(target, mode, devicesOfOneGroup(target.devices));
          for (const copier of bench.copiers) copier.start();
          for (const copier of bench.copiers) copier.finish();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it(
        "one_member_goes_the_others_copy_on",
        () => {
          using bench = new CopyBench(target, mode, devicesOfOneGroup(target.devices));
          const [first, ...others] = bench.copiers;
          first?.close();
          for (const copier of others) copier.copy();
        },
        DEFAULT_TIMEOUT_MS,
      );

      it("second_address_space_is_refused", () => {
        const [first = "", second = ""] = devicesOfOneGroup(target.devices);
        using iommu = new Iommu(mode.open());
        using other = new Iommu(mode.open());
        const device = PciDevice.open(iommu, first);
        expect(() => PciDevice.open(other, second)).toThrow(VfioError);
        // Once the group is free again, it may go there.
        device.close();
        iommu.close();
        using moved = PciDevice.open(other, second);
        expect(moved.config.vendorId).not.toBe(0xffff);
      });
    });

    const iommufd = target.modes.find(({ traits }) => traits.api === "iommufd");
    if (iommufd === undefined) return;
    describe("iommufd", () => {
      requireMode(iommufd);

      it(
        "moving_one_member_moves_the_group",
        () => {
          using bench = new CopyBench(target, iommufd, devicesOfOneGroup(target.devices));
          const door = iommufdOf(bench.iommu);
          const elsewhere = door.newIoas();
          for (const { iova, length } of bench.iommu.regions) {
            elsewhere.copyMapping(door.ioas, { sourceIova: iova, length, iova });
          }
          iommufdDeviceOf(bench.copier.device.vfio).attach(elsewhere);
          // Every member now goes by the other address space: the first one's mappings are not needed any more.
          for (const copier of bench.copiers) copier.source.unmap();
          for (const copier of bench.copiers) copier.copy();
          for (const copier of bench.copiers) copier.close();
          elsewhere.close();
        },
        DEFAULT_TIMEOUT_MS,
      );

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
