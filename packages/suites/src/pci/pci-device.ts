import { Iommu, PciDevice } from "@vfio-selftests/core";
import { readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import {
  assertNoInterrupt,
  defaultMode,
  errorWithCode,
  fixture,
  notChecked,
  requireMode,
  skip,
} from "@vfio-selftests/harness";
import type { SuiteTarget } from "../suite-target";

/** Upstream's limit: every vector takes an entry of the interrupt-remapping table. */
const MOST_VECTORS = 16;

/** tools/testing/selftests/vfio/vfio_pci_device_test.c */
export function pciDeviceSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_device_test", target, (address) => {
    requireMode(mode);

    it("config_space_read_write", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      if (target.kind === "models") {
        notChecked("vendor and device id", "a model has no sysfs to compare with");
      } else {
        expect(device.config.vendorId).toBe(readNumber(systemPaths.pciDevice(address, "vendor")));
        expect(device.config.deviceId).toBe(readNumber(systemPaths.pciDevice(address, "device")));
      }
      expect(device.config.busMaster).toBe(false);
      device.config.busMaster = true;
      expect(device.config.busMaster).toBe(true);
      device.config.busMaster = false;
      expect(device.config.busMaster).toBe(false);
    });

    it("validate_bars", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      expect(device.vfio.regionInfo(VFIO_PCI_CONFIG_REGION_INDEX).mappable).toBe(false);
      for (const { region, mappings, size } of device.bars) {
        if (!region.mappable) {
          expect(mappings).toHaveLength(0);
          continue;
        }
        // Upstream asserts this when it opens a device: every size is a power of two.
        expect(size & (size - 1)).toBe(0);
        expect(size).toBeGreaterThan(0);
        expect(mappings).toHaveLength(region.mappableAreas.length);
        for (const mapping of mappings) {
          expect(mapping.address).not.toBe(0n);
          expect(mapping.length).toBeGreaterThan(0);
        }
      }
    });

    it("reset", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      if (!device.info.resettable) {
        skip({ reason: "the device has no reset method", remedy: "use a device with function-level reset" });
      }
      device.reset();
      expect(device.config.vendorId).not.toBe(0xffff);
    });
  });

  fixture("vfio_pci_irq_test", target, (address) => {
    requireMode(mode);

    for (const kind of ["msi", "msix"] as const) {
      describe(kind, () => {
        it("enable_trigger_disable", () => {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const interrupts = device.interrupts[kind];
          const count = Math.min(interrupts.count, MOST_VECTORS);
          if (count === 0) {
            skip({ reason: `the device has no ${interrupts.name}`, remedy: `use a device with ${interrupts.name}` });
          }
          interrupts.enable(0, count);
          for (const vector of interrupts.enabledVectors) {
            assertNoInterrupt(vector);
            vector.trigger();
            // The count is there at once: upstream, too, reads the eventfd without blocking.
            expect(vector.tryRead()).toBe(1n);
          }
          expect(interrupts.enabledVectors).toHaveLength(count);
          interrupts.disable();
          // The kernel has no vector left to trigger.
          expect(() => device.vfio.setIrqs({ index: interrupts.index, action: "trigger", start: 0, count: 1 })).toThrow(
            errorWithCode("EINVAL"),
          );
        });
      });
    }
  });
}
