import { type Bar, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import type { MappedRegisters } from "@vfio-selftests/core/backend";
import { eachMode, errorWithCode, fixture, skip } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const GIB = 1024 ** 3;

/** tools/testing/selftests/vfio/vfio_dma_mapping_mmio_test.c: a device's registers mapped for another device's DMA. */
export function dmaMappingMmioSuite(target: SuiteTarget): void {
  fixture("vfio_dma_mapping_mmio_test", target, (address) => {
    eachMode(target, (mode) => {
      it("map_full_bar", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        expectMapping(mode, iommu, largestBar(device).mapping, largestBar(device).mapping.length);
      });

      it("map_partial_bar", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { bar, mapping } = largestBar(device);
        if (bar.size < 2 * PAGE_SIZE) {
          skip({ reason: "the device's largest BAR is one page", remedy: "use a device with a larger BAR" });
        }
        expectMapping(mode, iommu, mapping, PAGE_SIZE);
      });

      it("map_bar_misaligned", () => {
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { bar } = largestBar(device);
        // No huge page can map the BAR at such an address, whatever the BAR's own alignment.
        const area = { offset: 0, size: Math.min(bar.size, GIB) };
        using mapping = device.vfio.mapRegion(bar.index, area, { alignment: GIB, alignmentOffset: PAGE_SIZE });
        expectMapping(mode, iommu, mapping, mapping.length);
      });
    });
  });
}

function largestBar(device: PciDevice): { bar: Bar; mapping: MappedRegisters } {
  const usable = device.bars.flatMap((bar) => {
    const { readable, writable } = bar.region;
    if (!readable || !writable || bar.size < PAGE_SIZE) return [];
    return bar.mapping === undefined ? [] : [{ bar, mapping: bar.mapping }];
  });
  const largest = usable.sort((a, b) => b.bar.size - a.bar.size)[0];
  return (
    largest ??
    skip({
      reason: "the device has no BAR of a page or more that can be mapped, read and written",
      remedy: "use a device with such a BAR",
    })
  );
}

/**
 * Modes on the type 1 driver must map registers. The others must refuse and leave nothing mapped, because iommufd pins
 * pages and registers have none. Upstream decides by the mode's name.
 */
function expectMapping(mode: IommuMode, iommu: Iommu, mapping: MappedRegisters, length: number): void {
  if (mode.traits.mapsRegisters) {
    expect(iommu.map(mapping, { length }).unmap()).toBe(BigInt(length));
    return;
  }
  expect(() => iommu.map(mapping, { length })).toThrow(errorWithCode("EFAULT"));
  expect(iommu.unmapAll()).toBe(0n);
}
