import { DmaMemory, Iommu, type IovaRange, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, skip } from "@vfio-selftests/harness";
import { addressBits, intelCapabilities, usesFirstStage } from "../rigs/iommu/intel-capabilities";
import { reservedRegions, usableIovas } from "../rigs/iommu/reserved-regions";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const PAGE = BigInt(PAGE_SIZE);
const SPACE_END = 1n << 64n;
/** Where an x86 processor takes writes for interrupts (Intel SDM 3A, 12.11.1). */
const INTERRUPTS: IovaRange = { start: 0xfee0_0000n, last: 0xfeef_ffffn };

/** The usable IOVAs that the kernel reports, compared with what it does with maps there. */
export function iovaEdgesSuite(target: SuiteTarget): void {
  fixture("vfio_iova_edges", target, (address) => {
    eachMode(target, (mode) => {
      it("ranges_are_all_but_the_reserved_ones", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const ranges = iommu.iovaRanges();
        expect(ranges[0]?.start).toBe(usableIovas(address, SPACE_END - 1n)[0]?.start);
        expect(ranges).toEqual(usableIovas(address, lastOf(ranges)));
        // An IOMMU's address space ends at a power of two (iommu_domain_geometry).
        expect((lastOf(ranges) + 1n) & lastOf(ranges)).toBe(0n);
      });

      it("ranges_leave_out_the_interrupts_of_a_pc", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        if (process.arch !== "x64" || intelCapabilities().length === 0) {
          skip({ reason: "the machine has no Intel IOMMU", remedy: "vfio-selftests lab run --iommu intel" });
        }
        // Writes there are interrupts whatever is mapped (VT-d 3.14), so neither sysfs nor the driver may say otherwise.
        const [first, second] = iommu.iovaRanges();
        expect([first?.last, second?.start]).toEqual([INTERRUPTS.start - 1n, INTERRUPTS.last + 1n]);
      });

      it("ranges_end_where_the_hardware_does", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const widths = intelCapabilities().map(addressBits);
        const [bits] = widths;
        if (bits === undefined || widths.some((width) => width !== bits) || usesFirstStage()) {
          skip({
            reason: "the machine has no Intel IOMMU, or several with other widths, or one with first-stage tables",
            remedy: "vfio-selftests lab run --iommu intel",
          });
        }
        expect(lastOf(iommu.iovaRanges())).toBe((1n << BigInt(bits)) - 1n);
      });

      it("each_range_takes_maps_up_to_its_edges_and_none_beyond", () => {
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const map = (iova: bigint, pages = 1) => iommu.map(memory, { iova, length: pages * PAGE_SIZE });
        for (const { start, last } of iommu.iovaRanges()) {
          for (const iova of [start, last + 1n - PAGE]) expect(map(iova).unmap()).toBe(PAGE);
          // Also two pages, one of them beyond: half a map would be as bad as a whole one.
          const beyond = [
            { iova: start - PAGE, pages: 1 },
            { iova: start - PAGE, pages: 2 },
            { iova: last + 1n - PAGE, pages: 2 },
            { iova: last + 1n, pages: 1 },
          ].filter(({ iova, pages }) => iova >= 0n && iova + BigInt(pages) * PAGE < SPACE_END);
          for (const { iova, pages } of beyond) expect(() => map(iova, pages)).toThrow(errorWithCode("EINVAL"));
        }
        expect(iommu.unmapAll()).toBe(0n);
      });

      it("reserved_regions_take_none", () => {
        using memory = DmaMemory.allocate(PAGE_SIZE);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        for (const { start, last, type } of reservedRegions(address)) {
          if (type === "direct-relaxable") continue;
          const middle = (start + (last - start) / 2n) & ~(PAGE - 1n);
          for (const iova of [start, middle, last + 1n - PAGE]) {
            expect(() => iommu.map(memory, { iova })).toThrow(errorWithCode("EINVAL"));
          }
        }
        expect(iommu.unmapAll()).toBe(0n);
      });

      it("a_map_over_the_whole_of_two_ranges_takes_neither", () => {
        using memory = DmaMemory.allocate(3 * PAGE_SIZE);
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        const [first] = iommu.iovaRanges();
        const end = (first?.last ?? 0n) + 1n;
        expect(() => iommu.map(memory, { iova: end - PAGE })).toThrow(errorWithCode("EINVAL"));
        using before = iommu.map(memory, { iova: end - 3n * PAGE });
        expect(before.unmap()).toBe(3n * PAGE);
      });
    });
  });
}

function lastOf(ranges: readonly IovaRange[]): bigint {
  return ranges.at(-1)?.last ?? 0n;
}
