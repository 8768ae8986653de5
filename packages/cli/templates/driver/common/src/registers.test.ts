import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { eachMode, fixture } from "@vfio-selftests/harness";
import { driver } from "./index.js";
import { Reg, VERSION } from "./registers.js";
import { testTarget } from "./testing/target.js";

const SIZE = 4096;
const UNMAPPED = 0x1_0000_0000n;

// Tests of this device alone. Their ids are __DRIVER_NAME___registers.MODE.NAME.
const target = testTarget();
fixture("__DRIVER_NAME___registers", target, (address) => {
  eachMode(target, (mode) => {
    it("version_is_known", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      device.config.memoryEnable = true;
      expect(device.bar(0).read32(Reg.version)).toBe(VERSION);
    });

    it("fault_address_is_reported", () => {
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      using memory = DmaMemory.allocate(SIZE, { backing: "memfd" });
      using region = iommu.map(memory, { iova: 0x10_0000n });
      using session = new DriverSession(driver, device, iommu);
      const copy = () => session.memcpySync(UNMAPPED, region.iova, SIZE);
      expect(copy).toThrow(`fault address 0x${UNMAPPED.toString(16)}`);
    });
  });
});
