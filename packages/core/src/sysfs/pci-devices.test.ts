import { FakeSystem } from "../testing/fake-system";
import { groupBlockers, iommuGroupMembers, iommuGroupOf } from "./iommu-groups";
import { listPciDevices, parseResources, pciDevice } from "./pci-devices";
import { setSriovNumVfs, sriovNumVfs, sriovTotalVfs, sriovVfAddress } from "./sriov";
import { vfioCdevPath } from "./vfio-cdev";
import { isVfioDriver, requireVfioDriver } from "./vfio-driver";

const RESOURCES = [
  "0x00000000febc0000 0x00000000febdffff 0x0000000000040200",
  "0x0000000000000000 0x0000000000000000 0x0000000000000000",
  "0x000000000000c040 0x000000000000c05f 0x0000000000040101",
  "",
].join("\n");

describe("PCI functions in sysfs", () => {
  let system: FakeSystem;
  beforeEach(() => {
    system = new FakeSystem();
  });
  afterEach(() => {
    system[Symbol.dispose]();
  });

  it("are listed by address, with what sysfs tells of them", () => {
    system.pci({ address: "0000:02:00.0", vendor: 0x1234, device: 0x11e8, class: 0x00ff00 });
    system.pci({
      address: "0000:01:00.0",
      driver: "igb",
      group: 5,
      attributes: {
        resource: RESOURCES,
        numa_node: "1\n",
        revision: "0x01\n",
        subsystem_vendor: "0x8086\n",
        subsystem_device: "0xa03c\n",
        sriov_totalvfs: "8\n",
        sriov_numvfs: "2\n",
      },
    });
    const [first, second] = listPciDevices(system.paths);
    expect(first).toEqual({
      address: "0000:01:00.0",
      vendor: 0x8086,
      device: 0x10c9,
      subsystemVendor: 0x8086,
      subsystemDevice: 0xa03c,
      class: 0xff0000,
      revision: 1,
      driver: "igb",
      driverOverride: undefined,
      iommuGroup: 5,
      numaNode: 1,
      sriov: { total: 8, enabled: 2 },
      physicalFunction: undefined,
      resources: parseResources(RESOURCES),
    });
    expect(second).toMatchObject({
      address: "0000:02:00.0",
      driver: undefined,
      iommuGroup: undefined,
      sriov: undefined,
      numaNode: undefined,
    });
  });

  it("have resources of their kinds and sizes", () => {
    expect(parseResources(RESOURCES).map(({ index, kind, size }) => [index, kind, size])).toEqual([
      [0, "memory", 0x20000n],
      [1, "none", 0n],
      [2, "io", 32n],
    ]);
  });

  it("are found by any spelling of the address; an unknown one says where to look", () => {
    system.pci({ address: "0000:01:00.0" });
    expect(pciDevice("1:0.0", system.paths).address).toBe("0000:01:00.0");
    expect(() => pciDevice("0000:7f:00.0", system.paths)).toThrow("vfio-selftests list");
  });

  it("are grouped by the IOMMU; a group's blockers are those with drivers of the kernel", () => {
    system.pci({ address: "0000:01:00.0", class: 0x060400, group: 5, driver: "pcieport" });
    system.pci({ address: "0000:02:01.0", group: 5, driver: "vfio-pci" });
    system.pci({ address: "0000:02:02.0", group: 5, driver: "e1000e" });
    system.pci({ address: "0000:02:03.0", group: 5 });
    system.pci({ address: "0000:03:00.0" });
    expect(iommuGroupOf("0000:02:01.0", system.paths)).toBe(5);
    expect(iommuGroupMembers(5, system.paths).length).toBe(4);
    expect(groupBlockers(5, system.paths).map(({ address, driver }) => [address, driver])).toEqual([
      ["0000:02:02.0", "e1000e"],
    ]);
    expect(() => iommuGroupOf("0000:03:00.0", system.paths)).toThrow("intel_iommu=on");
  });

  it("have a VFIO device file once bound, and otherwise the reason", () => {
    system.pci({ address: "0000:01:00.0", driver: "vfio-pci", cdev: "vfio3" });
    system.pci({ address: "0000:02:00.0", driver: "igb" });
    system.pci({ address: "0000:03:00.0", driver: "vfio-pci" });
    expect(vfioCdevPath("0000:01:00.0", system.paths)).toBe(`${system.root}/dev/vfio/devices/vfio3`);
    expect(() => vfioCdevPath("0000:02:00.0", system.paths)).toThrow(
      "it is bound to igb: sudo vfio-selftests bind 0000:02:00.0",
    );
    expect(() => vfioCdevPath("0000:03:00.0", system.paths)).toThrow("CONFIG_VFIO_DEVICE_CDEV");
  });

  it("are refused with the bind command unless a VFIO driver has them", () => {
    system.pci({ address: "0000:01:00.0", driver: "mlx5_vfio_pci" });
    system.pci({ address: "0000:02:00.0" });
    requireVfioDriver("0000:01:00.0", "openDevice", system.paths);
    expect(() => {
      requireVfioDriver("0000:02:00.0", "openDevice", system.paths);
    }).toThrow("is not bound to a driver, not to vfio-pci\n  Remedy: sudo vfio-selftests bind 0000:02:00.0");
    expect(["vfio-pci", "nvgrace-gpu-vfio-pci", "vfio_pci_stub", "novfio-pci", undefined].map(isVfioDriver)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it("enable and disable VFs within their total", () => {
    const directory = system.pci({
      address: "0000:01:00.0",
      attributes: { sriov_totalvfs: "8\n", sriov_numvfs: "0\n" },
    });
    system.link(`${directory}/virtfn0`, "sys/devices/pci0000:00/0000:01:10.0");
    system.pci({ address: "0000:02:00.0" });
    const set = (address: string, count: number) => () => {
      setSriovNumVfs(address, count, system.paths);
    };
    set("0000:01:00.0", 3)();
    expect(sriovNumVfs("0000:01:00.0", system.paths)).toBe(3);
    expect(sriovTotalVfs("0000:01:00.0", system.paths)).toBe(8);
    expect(sriovVfAddress("0000:01:00.0", 0, system.paths)).toBe("0000:01:10.0");
    expect(sriovVfAddress("0000:01:00.0", 1, system.paths)).toBeUndefined();
    expect(set("0000:01:00.0", 9)).toThrow("count is 9; allowed: 0 to 8");
    expect(set("0000:02:00.0", 1)).toThrow("0000:02:00.0 has no SR-IOV");
    expect(sriovTotalVfs("0000:02:00.0", system.paths)).toBeUndefined();
  });
});
