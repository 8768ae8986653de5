import type { Driver } from "@vfio-selftests/core/driver";
import { pciDevice } from "@vfio-selftests/core/sysfs";
import { type FakePciDevice, FakeSystem } from "@vfio-selftests/core/testing";
import { assessDevice } from "./assess-device";
import { textTable } from "./text-table";

const IGB = { name: "igb", ids: [{ vendor: 0x8086, device: 0x10c9 }] } as unknown as Driver;

function assess(functions: readonly FakePciDevice[]): ReturnType<typeof assessDevice> {
  using system = new FakeSystem();
  for (const device of functions) system.pci(device);
  const [{ address }] = functions as [FakePciDevice];
  return assessDevice(pciDevice(address, system.paths), [IGB], system.paths);
}

describe("assessDevice", () => {
  it("finds our driver by the ids", () => {
    expect(assess([{ address: "0000:01:00.0", driver: "vfio-pci", group: 1 }])).toEqual({
      address: "0000:01:00.0",
      ids: "8086:10c9",
      class: "ff00",
      group: 1,
      driver: "vfio-pci",
      selftestDriver: "igb",
      usable: true,
    });
  });

  it("says what keeps the suites from a device, and what to do", () => {
    const free = assess([{ address: "0000:01:00.0", driver: "e1000e", group: 1 }]);
    expect(free).toMatchObject({ usable: false, reason: "it is bound to e1000e" });
    expect(free.remedy).toBe("sudo vfio-selftests bind 0000:01:00.0");
    expect(assess([{ address: "0000:01:00.0", driver: "vfio-pci" }]).reason).toBe("it is in no IOMMU group");
  });

  it("names the devices that make its group not viable", () => {
    const device = assess([
      { address: "0000:01:00.0", driver: "vfio-pci", group: 1 },
      { address: "0000:01:00.1", driver: "nvme", group: 1 },
    ]);
    expect(device.reason).toBe("its IOMMU group 1 is not viable because of 0000:01:00.1 (nvme)");
    expect(device.remedy).toBe("sudo vfio-selftests bind 0000:01:00.1");
  });
});

describe("textTable", () => {
  it("makes columns as wide as their cells", () => {
    expect(textTable(["a", "bb"], [["long", "x"]])).toEqual(["a     bb", "long  x"]);
  });
});
