import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import { isVfioDriver, listPciDevices, pciDevice } from "@vfio-selftests/core/sysfs";
import { eachMode, errorWithCode, fixture, skip } from "@vfio-selftests/harness";

const target = kernelTarget();

/** Mistakes of a user with a device, and what the errors say. */
fixture("iommu_modes_device_errors", target, (address) => {
  eachMode(target, (mode) => {
    it("unknown_device", () => {
      using iommu = new Iommu(mode.open());
      expect(() => iommu.openDevice("0000:7f:1f.7")).toThrow("vfio-selftests list");
      expect(() => iommu.openDevice("not an address")).toThrow("DDDD:BB:DD.F or BB:DD.F");
    });

    it("device_of_another_driver", () => {
      const other = listPciDevices().find(
        ({ driver, iommuGroup }) => driver !== undefined && !isVfioDriver(driver) && iommuGroup !== undefined,
      );
      if (other?.driver === undefined)
        skip({ reason: "every device here is bound to vfio-pci", remedy: "use the lab, which has others" });
      using iommu = new Iommu(mode.open());
      expect(() => iommu.openDevice(other.address)).toThrow(
        `${other.address} is bound to ${other.driver}, not to vfio-pci\n  Remedy: sudo vfio-selftests bind ${other.address}`,
      );
    });

    it("device_that_this_process_holds_elsewhere", () => {
      using holder = new Iommu(mode.open());
      const device = holder.openDevice(address);
      for (const other of target.modes.filter((candidate) => candidate.availability().available)) {
        using iommu = new Iommu(other.open());
        expect(() => iommu.openDevice(address)).toThrow(`held by this process (${process.pid})`);
      }
      // The failed attempts did not affect the holder.
      const id = new Uint8Array(2);
      device.readRegion(7, 0, id);
      expect(new DataView(id.buffer).getUint16(0, true)).toBe(pciDevice(address).vendor);
    });

    it("vf_token_that_is_no_uuid", () => {
      using iommu = new Iommu(mode.open());
      expect(() => iommu.openDevice(address, { vfToken: "secret" })).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
    });

    it("registers_while_memory_space_is_off", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      const bar = device.bars.find(({ mappable, kind }) => mappable && kind === "memory");
      if (bar === undefined) skip({ reason: `${address} has no BAR that can be mapped`, remedy: "use another device" });
      device.config.memoryEnable = true;
      const before = bar.read32(0);
      device.config.memoryEnable = false;
      // The kernel answers with a bus error, which the process survives.
      expect(() => bar.read32(0)).toThrow("enable memory space");
      device.config.memoryEnable = true;
      expect(bar.read32(0)).toBe(before);
    });

    it("offsets_outside_regions", () => {
      using iommu = new Iommu(mode.open());
      const device = iommu.openDevice(address);
      const { size } = device.regionInfo(7);
      expect(() => {
        device.readRegion(7, size, new Uint8Array(1));
      }).toThrow(`offset is ${size}; allowed: 0 to ${size - 1}`);
      expect(() => device.regionInfo(device.info.regionCount)).toThrow(errorWithCode("ERR_INVALID_ARGUMENT"));
    });

    it("use_after_close", () => {
      const iommu = new Iommu(mode.open());
      const device = iommu.openDevice(address);
      iommu.close();
      expect(() => {
        device.reset();
      }).toThrow(errorWithCode("ERR_CLOSED"));
      expect(() => iommu.openDevice(address)).toThrow(errorWithCode("ERR_CLOSED"));
    });
  });
});
