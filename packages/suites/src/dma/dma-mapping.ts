import { DmaMemory, type DmaRegion, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, notChecked } from "@vfio-selftests/harness";
import { ioPageTableEntry } from "../rigs/iommu/io-page-table";
import { wrappingRange } from "../rigs/kernel/wrapping-range";
import { allocateOrSkip } from "../rigs/memory/allocate-or-skip";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;

/** Upstream's name of each variant, its memory, and the page size in bytes that this memory allows the IOMMU. */
const BACKINGS = [
  { name: "anonymous", backing: "anonymous", size: PAGE_SIZE },
  { name: "anonymous_hugetlb_2mb", backing: "hugetlb-2m", size: 2 * MIB },
  { name: "anonymous_hugetlb_1gb", backing: "hugetlb-1g", size: 1024 * MIB },
] as const;

/** tools/testing/selftests/vfio/vfio_dma_mapping_test.c */
export function dmaMappingSuite(target: SuiteTarget): void {
  fixture("vfio_dma_mapping_test", target, (address) => {
    for (const { name, backing, size } of BACKINGS) {
      eachMode(
        target,
        (mode) => {
          it("dma_map_unmap", () => {
            using iommu = new Iommu(mode.open());
            using _device = PciDevice.open(iommu, address);
            using memory = allocateOrSkip(size, backing);
            const region = iommu.map(memory, { alignment: size });

            expect(iommu.iovaOf(memory.address)).toBe(region.iova);
            checkPageTable(address, mode, region);

            expect(region.unmap()).toBe(BigInt(size));
            expect(iommu.iovaOf(memory.address)).toBeUndefined();
            const entry = ioPageTableEntry(address, region.iova);
            if (entry.readable) expect(entry.pageSize).toBeUndefined();
          });
        },
        name,
      );
    }
  });

  fixture("vfio_dma_map_limit_test", target, (address) => {
    eachMode(target, (mode) => {
      it("unmap_range", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        const region = iommu.map(memory, { iova: lastUsablePage(iommu), length: PAGE_SIZE });

        expect(iommu.iovaOf(memory.address)).toBe(region.iova);
        expect(region.unmap()).toBe(BigInt(PAGE_SIZE));
      });

      it("unmap_all", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        const region = iommu.map(memory, { iova: lastUsablePage(iommu), length: PAGE_SIZE });

        expect(iommu.iovaOf(memory.address)).toBe(region.iova);
        expect(iommu.unmapAll()).toBe(BigInt(PAGE_SIZE));
      });

      it("overflow", () => {
        using iommu = new Iommu(mode.open());
        using _device = PciDevice.open(iommu, address);
        using memory = DmaMemory.allocate(2 * PAGE_SIZE);
        const lastPage = 2n ** 64n - BigInt(PAGE_SIZE);
        const overflow = wrappingRange({ isType1: mode.traits.mapsRegisters });

        expect(() => iommu.map(memory, { iova: lastPage })).toThrow(errorWithCode(overflow));
        expect(() => iommu.unmapRange(lastPage, BigInt(memory.length))).toThrow(errorWithCode(overflow));
      });
    });
  });
}

/** The mapping must be in the IOMMU's page table, with pages as large as the memory's where the mode promises that. */
function checkPageTable(address: string, mode: IommuMode, region: DmaRegion): void {
  const what = "page size in the IOMMU's page table";
  if (mode.traits.api === "user") {
    notChecked(what, "there is no IOMMU: the mapping exists in user space alone");
    return;
  }
  const entry = ioPageTableEntry(address, region.iova);
  if (!entry.readable) {
    notChecked(what, entry.reason);
    return;
  }
  expect(entry.pageSize).toBeDefined();
  // Type 1, unlike type 1 v2, may split: compat type1 turns large pages off so that a part can be unmapped.
  if (mode.traits.splitsMappings) notChecked(what, "mode type1 does not promise large pages");
  else expect(entry.pageSize).toBe(region.length);
}

/** Last page of the last range that the IOMMU and the device can use. */
function lastUsablePage(iommu: Iommu): bigint {
  const range = iommu.iovaRanges().at(-1);
  if (range === undefined) throw new Error("the kernel reports no usable IOVA range");
  return range.last - BigInt(PAGE_SIZE) + 1n;
}
