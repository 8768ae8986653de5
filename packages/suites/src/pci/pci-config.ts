import { Iommu, PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { defaultMode, errorWithCode, fixture, notChecked, requireMode, skip } from "@vfio-selftests/harness";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

/** Fields of the MSI and MSI-X capabilities (PCI 3.0, sections 6.8.1.3 and 6.8.2.3). */
const MSI_CONTROL = 2;
const MSIX_TABLE_SIZE_MASK = 0x7ff;
const MSIX_TABLE = 4;
const MSIX_TABLE_BAR_MASK = 7;
const MSIX_ENTRY = 16;

/** Configuration space and BARs beyond upstream's vendor, device and command registers. */
export function pciConfigSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_capabilities", target, (address) => {
    requireMode(mode);

    it("walk_ends_and_finds_each_once", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      for (const { capabilities, problem } of [device.config.capabilities(), device.config.extendedCapabilities()]) {
        expect(problem).toBeUndefined();
        expect(new Set(capabilities.map(({ offset }) => offset)).size).toBe(capabilities.length);
      }
    });

    it("vectors_match_the_interrupt_info", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const { config, interrupts } = device;
      const msi = config.findCapability(PciCapabilityId.msi);
      const msix = config.findCapability(PciCapabilityId.msix);
      // MSI: log2 of the vectors in bits 3:1; MSI-X: the number less one.
      const msiCount = msi === undefined ? 0 : 1 << ((config.read16(msi.offset + MSI_CONTROL) >> 1) & 7);
      const msixCount = msix === undefined ? 0 : (config.read16(msix.offset + MSI_CONTROL) & MSIX_TABLE_SIZE_MASK) + 1;
      expect([interrupts.msi.count, interrupts.msix.count]).toEqual([msiCount, msixCount]);
    });

    it("bytes_words_and_dwords_agree", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const bytes = device.config.bytes(0, 64);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      for (let offset = 0; offset < 64; offset += 4) {
        const low = device.config.read16(offset);
        const high = device.config.read16(offset + 2);
        expect({ offset, value: device.config.read32(offset) }).toEqual({ offset, value: high * 0x1_0000 + low });
        expect({ offset, value: view.getUint32(offset, true) }).toEqual({ offset, value: high * 0x1_0000 + low });
      }
    });

    it("access_outside_is_refused", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const { size } = device.config;
      expect(() => device.config.read32(size)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
      expect(() => device.config.read32(2)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
      if (target.kind === "models") notChecked("what the device says of such an access", "ours is refused before");
      else expect(new RawDevice(device).read(VFIO_PCI_CONFIG_REGION_INDEX, size, 4).result).toBe("EFAULT");
    });
  });

  fixture("vfio_pci_bars", target, (address) => {
    requireMode(mode);

    it("access_outside_is_refused", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      for (const bar of memoryBars(device)) {
        expect(() => bar.read32(bar.size)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
        expect(() => bar.read32(2)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
        if (target.kind === "models") notChecked("what the device says of such an access", "ours is refused before");
        else expect(new RawDevice(device).read(bar.index, bar.size, 4).result).toBe("EINVAL");
      }
    });

    it("mapping_and_file_show_the_same", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const bytes = new Uint8Array(4);
      let compared = 0;
      for (const bar of memoryBars(device)) {
        // Through the file the kernel shows all ones in place of the MSI-X table (vfio_pci_bar_rw).
        const table = msixTable(device);
        const offset = bar.index === table?.bar && table.start < 4 ? table.end : 0;
        if (offset + 4 > bar.size) continue;
        // A device's first register seldom changes by itself. Two equal reads around this one make sure.
        const before = bar.read32(offset);
        device.vfio.readRegion(bar.index, offset, bytes);
        const after = bar.read32(offset);
        if (before !== after) continue;
        expect(new DataView(bytes.buffer).getUint32(0, true)).toBe(before);
        compared++;
      }
      if (compared === 0) notChecked("the registers", "no register of the device stays the same between two reads");
    });

    it("smaller_than_a_page", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const small = device.bars.filter((bar) => bar.kind === "memory" && bar.size > 0 && bar.size < PAGE_SIZE);
      if (small.length === 0) {
        skip({
          reason: "the device has no BAR smaller than a page",
          remedy: "use a device that has one: vfio-selftests lab run --device sdhci-pci",
        });
      }
      for (const bar of small) {
        expect(bar.read32(0)).toBe(bar.read32(0));
        expect(bar.read32(bar.size - 4)).toEqual(expect.any(Number));
        expect(() => bar.read32(bar.size)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
      }
    });

    it("access_with_memory_off_is_an_error", () => {
      if (target.kind === "models") {
        skip({
          reason: "a model answers whatever its command register says",
          remedy: "run on a kernel: vfio-selftests lab run",
        });
      }
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const bar = memoryBars(device).find(({ mappable }) => mappable);
      if (bar === undefined) {
        skip({ reason: "the device has no BAR that can be mapped", remedy: "use a device with one" });
      }
      bar.read32(0);
      device.config.memoryEnable = false;
      expect(() => bar.read32(0)).toThrow(errorWithCode("EFAULT"));
      device.config.memoryEnable = true;
      expect(bar.read32(0)).toEqual(expect.any(Number));
    });

    it("use_after_close_is_refused", () => {
      using iommu = new Iommu(mode.open());
      const device = PciDevice.open(iommu, address);
      const bars = memoryBars(device);
      device.close();
      device.close();
      for (const bar of bars) expect(() => bar.read32(0)).toThrow(errorWithCode("ERR_CLOSED"));
      expect(() => device.reset()).toThrow(errorWithCode("ERR_CLOSED"));
      // The device is closed for the kernel, too: it can be opened again.
      using again = PciDevice.open(iommu, address);
      expect(again.config.vendorId).not.toBe(0xffff);
    });
  });
}

function memoryBars(device: PciDevice): PciDevice["bars"] {
  const bars = device.bars.filter((bar) => bar.kind === "memory" && bar.size > 0 && bar.region.readable);
  if (bars.length > 0) return bars;
  skip({ reason: "the device has no memory BAR", remedy: "use a device with one" });
}

/** Where the MSI-X table lies. */
function msixTable({ config, interrupts }: PciDevice): { bar: number; start: number; end: number } | undefined {
  const msix = config.findCapability(PciCapabilityId.msix);
  if (msix === undefined) return undefined;
  const place = config.read32(msix.offset + MSIX_TABLE);
  const start = place & ~MSIX_TABLE_BAR_MASK;
  return { bar: place & MSIX_TABLE_BAR_MASK, start, end: start + MSIX_ENTRY * interrupts.msix.count };
}
