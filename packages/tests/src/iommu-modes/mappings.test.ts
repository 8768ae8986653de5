import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { DmaMemory, Iommu, type VfioDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, note, requireMode, skip } from "@vfio-selftests/harness";
import { autoMode, iommuModes } from "@vfio-selftests/iommu-modes";

const PAGE = 4096;
const TOP_PAGE = (1n << 64n) - BigInt(PAGE);
const target = kernelTarget();

/** Uses address spaces of the kernel in ways that the suites do not try, because those run on every target. */
fixture("iommu_modes_mappings", target, (address) => {
  eachMode(target, (mode) => {
    it("outlive_the_last_device", () => {
      using iommu = new Iommu(mode.open());
      iommu.openDevice(address).close();
      using memory = DmaMemory.allocate(PAGE);
      using region = iommu.map(memory);
      iommu.openDevice(address).close();
      iommu.openDevice(address).close();
      expect(region.unmap()).toBe(BigInt(PAGE));
    });

    it("the_device_can_go_to_another_address_space_after_close", () => {
      for (const other of target.modes.filter((candidate) => candidate.availability().available)) {
        const first = new Iommu(mode.open());
        first.openDevice(address);
        first.close();
        using second = new Iommu(other.open());
        expect(second.openDevice(address).info.regionCount).toBeGreaterThan(0);
      }
    });

    it("exact_errors_come_through", () => {
      using iommu = new Iommu(mode.open());
      iommu.openDevice(address);
      using memory = DmaMemory.allocate(2 * PAGE);
      const last = iommu.iovaRanges().at(-1)?.last ?? 0n;
      expect(() => iommu.map(memory, { iova: TOP_PAGE })).toThrow(errorWithCode("EOVERFLOW"));
      expect(() => iommu.unmapRange(TOP_PAGE, BigInt(2 * PAGE))).toThrow(errorWithCode("EOVERFLOW"));
      expect(() => iommu.map(memory, { iova: 0x10_0000n, length: 100 })).toThrow(errorWithCode("EINVAL"));
      expect(() => iommu.map(memory, { iova: 0x10_0000n, offset: 8, length: PAGE })).toThrow(errorWithCode("EINVAL"));
      if (last < TOP_PAGE) expect(() => iommu.map(memory, { iova: last + 1n })).toThrow(errorWithCode("EINVAL"));
      expect(iommu.regions).toEqual([]);
    });

    it("do_not_lie_in_the_ranges_that_the_kernel_keeps_for_itself", () => {
      using iommu = new Iommu(mode.open());
      iommu.openDevice(address);
      const [first, second] = iommu.iovaRanges();
      if (first === undefined || second === undefined) {
        skip({
          reason: "this IOMMU has one range of IOVAs without a hole",
          remedy: "use a machine with reserved IOVAs (x86: MSI window)",
        });
      }
      using memory = DmaMemory.allocate(PAGE);
      expect(() => iommu.map(memory, { iova: first.last + 1n })).toThrow(errorWithCode("EINVAL"));
      using before = iommu.map(memory, { iova: first.last + 1n - BigInt(PAGE) });
      using after = iommu.map(memory, { iova: second.start });
      expect([before.mapped, after.mapped]).toEqual([true, true]);
    });

    it("are_counted_as_the_kernel_counts_them_after_a_cut", () => {
      for (const [first, pages] of [
        [0, 1],
        [1, 2],
        [3, 4],
      ] as const) {
        using iommu = new Iommu(mode.open());
        iommu.openDevice(address);
        using memory = DmaMemory.allocate(4 * PAGE);
        const { iova } = iommu.map(memory);
        try {
          iommu.unmapRange(iova + BigInt(first * PAGE), BigInt(pages * PAGE));
        } catch (error) {
          expect(mode.traits.splitsMappings).toBe(false);
          expect(["EINVAL", "ENOENT"]).toContain((error as { code: string }).code);
        }
        const counted = iommu.regions.reduce((sum, { length }) => sum + length, 0);
        expect(iommu.unmapAll()).toBe(BigInt(counted));
      }
    });

    it("need_a_device_first_where_there_is_a_container", () => {
      using iommu = new Iommu(mode.open());
      using memory = DmaMemory.allocate(PAGE);
      if (mode.traits.api === "iommufd") {
        expect(iommu.map(memory).unmap()).toBe(BigInt(PAGE));
      } else {
        expect(() => iommu.map(memory, { iova: 0x10_0000n })).toThrow("open a device first");
        expect(() => iommu.iovaRanges()).toThrow("open a device first");
      }
    });

    it("page_sizes_are_told", () => {
      using iommu = new Iommu(mode.open());
      iommu.openDevice(address);
      note(`page sizes 0x${iommu.pageSizes().toString(16)}`);
      expect(iommu.pageSizes() & BigInt(PAGE)).not.toBe(0n);
    });

    it("of_a_bar_keep_the_bar_from_being_unmapped", () => {
      using iommu = new Iommu(mode.open());
      const device = iommu.openDevice(address);
      const bar = mapSomeBar(device);
      let region;
      try {
        region = iommu.map(bar, { length: PAGE });
      } catch (error) {
        // iommufd does not map registers, neither natively nor in its compatibility modes. The error says so.
        expect(error).toEqual(errorWithCode("EFAULT"));
        expect((error as Error).message).toContain(
          "registers (BARs) can be mapped for DMA in the modes vfio_type1_iommu",
        );
        return;
      }
      expect(() => bar.close()).toThrow(errorWithCode("ERR_STILL_MAPPED"));
      expect(() => device.close()).toThrow(errorWithCode("ERR_STILL_MAPPED"));
      expect(device.closed).toBe(false);
      region.unmap();
      device.close();
      expect(bar.closed).toBe(true);
    });
  });

  describe("iommufd", () => {
    const iommufd = iommuModes.find(({ traits }) => traits.api === "iommufd");
    if (iommufd === undefined) return;
    requireMode(iommufd);

    it("the_kernel_chooses_iovas_when_asked", () => {
      using iommu = new Iommu(iommufd.open());
      iommu.openDevice(address);
      using memory = DmaMemory.allocate(16 * PAGE);
      const chosen = Array.from({ length: 16 }, (_, page) =>
        iommu.map(memory, { iova: "kernel", offset: page * PAGE, length: PAGE }),
      );
      expect(new Set(chosen.map(({ iova }) => iova)).size).toBe(16);
      // Automatic IOVAs avoid those that the kernel chose.
      const own = iommu.map(memory);
      for (const { iova } of chosen) expect(iova < own.iova || iova >= own.iova + BigInt(own.length)).toBe(true);
      expect(iommu.unmapAll()).toBe(BigInt(32 * PAGE));
    });

    it("page_sizes_are_those_of_the_container_modes", () => {
      const container = target.modes.find((mode) => mode.traits.api === "container" && mode.availability().available);
      if (container === undefined)
        skip({ reason: "no mode on a container is available", remedy: "load vfio_iommu_type1 (modprobe)" });
      const sizes = [iommufd, container].map((mode) => {
        using iommu = new Iommu(mode.open());
        iommu.openDevice(address);
        return iommu.pageSizes();
      });
      expect(sizes[0]).toBe(sizes[1]);
    });
  });

  describe("auto", () => {
    requireMode(autoMode);

    it("takes_a_mode_that_works_and_says_why", () => {
      const { mode, reason } = autoMode.choose();
      note(reason);
      using iommu = new Iommu(autoMode.open());
      expect(iommu.mode).toBe(mode.name);
      expect(iommu.openDevice(address).info.regionCount).toBeGreaterThan(0);
    });
  });
});

function mapSomeBar(device: VfioDevice) {
  for (let index = 0; index <= 5; index++) {
    const [area] = device.regionInfo(index).mappableAreas;
    if (area !== undefined && area.size >= PAGE) return device.mapRegion(index, area);
  }
  skip({
    reason: `${device.address} has no BAR that can be mapped`,
    remedy: "use a device with one: pnpm vfio lab run --device igb",
  });
}
