import { FakeSystem } from "../testing/fake-system";
import { BindingStore } from "./binding-store";
import { bindDriver, restoreBinding } from "./driver-binding";
import { pciDevice } from "./pci-devices";

const ADDRESS = "0000:01:00.0";

describe("bindDriver and restoreBinding", () => {
  let system: FakeSystem;
  beforeEach(() => {
    system = new FakeSystem();
    system.driver("vfio-pci");
  });
  afterEach(() => {
    system[Symbol.dispose]();
  });

  const driverOf = () => pciDevice(ADDRESS, system.paths).driver;

  it("binds by driver_override, and puts back what was there", () => {
    system.pci({ address: ADDRESS, driver: "igb" });
    const before = bindDriver(ADDRESS, { paths: system.paths });
    expect(before).toEqual({ address: ADDRESS, driver: "igb" });
    expect(driverOf()).toBe("vfio-pci");
    expect(system.paths.writes).toEqual([
      `sys/bus/pci/devices/${ADDRESS}/driver_override = vfio-pci`,
      `sys/bus/pci/drivers/igb/unbind = ${ADDRESS}`,
      `sys/bus/pci/drivers_probe = ${ADDRESS}`,
    ]);
    restoreBinding(before, { paths: system.paths });
    expect(driverOf()).toBe("igb");
    expect(system.read(`sys/bus/pci/devices/${ADDRESS}/driver_override`)).toBe("\n");
  });

  it("takes a device without a driver, and leaves it without one again", () => {
    system.pci({ address: ADDRESS });
    const before = bindDriver("01:00.0", { paths: system.paths });
    expect(driverOf()).toBe("vfio-pci");
    restoreBinding(before, { paths: system.paths });
    expect(driverOf()).toBeUndefined();
  });

  it("puts an earlier override back", () => {
    system.pci({ address: ADDRESS, driver: "pci-stub", attributes: { driver_override: "pci-stub\n" } });
    const before = bindDriver(ADDRESS, { paths: system.paths });
    restoreBinding(before, { paths: system.paths });
    expect(pciDevice(ADDRESS, system.paths)).toMatchObject({ driver: "pci-stub", driverOverride: "pci-stub" });
  });

  it("does nothing to a device that is bound already", () => {
    system.pci({ address: ADDRESS, driver: "vfio-pci" });
    bindDriver(ADDRESS, { paths: system.paths });
    expect(system.paths.writes).toEqual([]);
  });

  it("switches VFs off before, and on again afterwards", () => {
    system.pci({ address: ADDRESS, driver: "igb", attributes: { sriov_totalvfs: "8\n", sriov_numvfs: "2\n" } });
    const before = bindDriver(ADDRESS, { paths: system.paths });
    expect(system.read(`sys/bus/pci/devices/${ADDRESS}/sriov_numvfs`)).toBe("0");
    restoreBinding(before, { paths: system.paths });
    expect(system.read(`sys/bus/pci/devices/${ADDRESS}/sriov_numvfs`)).toBe("2");
  });

  it("leaves the device as it was when vfio-pci does not take it", () => {
    system.pci({ address: ADDRESS, driver: "igb" });
    system.paths.refusing.add("vfio-pci");
    expect(() => bindDriver(ADDRESS, { paths: system.paths })).toThrow(`${ADDRESS} was not taken by vfio-pci`);
    expect(pciDevice(ADDRESS, system.paths)).toMatchObject({ driver: "igb", driverOverride: undefined });
  });

  it("changes nothing when vfio-pci is not loaded, the device is a bridge, or there is none", () => {
    system.pci({ address: ADDRESS, driver: "igb" });
    system.pci({ address: "0000:00:01.0", class: 0x060400, driver: "pcieport" });
    const bind = (address: string, driver: string) => () => bindDriver(address, { driver, paths: system.paths });
    expect(bind(ADDRESS, "nvgrace-gpu-vfio-pci")).toThrow("sudo modprobe nvgrace-gpu-vfio-pci");
    expect(bind("0000:00:01.0", "vfio-pci")).toThrow("is a bridge");
    expect(bind("0000:7f:00.0", "vfio-pci")).toThrow("no PCI device at 0000:7f:00.0");
    expect(system.paths.writes).toEqual([]);
  });

  it("refuses a device that the machine uses, unless forced", () => {
    const directory = system.pci({ address: ADDRESS, driver: "nvme" });
    system.file(`${directory}/nvme/nvme0/nvme0n1/dev`, "259:0\n");
    system.link("sys/class/block/nvme0n1", `${directory}/nvme/nvme0/nvme0n1`);
    system.file("proc/self/mountinfo", "29 1 259:0 / / rw,relatime shared:1 - ext4 /dev/nvme0n1 rw\n");
    expect(() => bindDriver(ADDRESS, { paths: system.paths })).toThrow("disk nvme0n1 is mounted at /");
    expect(system.paths.writes).toEqual([]);
    bindDriver(ADDRESS, { paths: system.paths, force: true });
    expect(driverOf()).toBe("vfio-pci");
  });

  it("refuses to take a device from a process that holds it, for the kernel would wait for ever", () => {
    system.pci({ address: ADDRESS, driver: "vfio-pci", group: 5, cdev: "vfio0" });
    system.file("dev/vfio/devices/vfio0");
    system.file("proc/4711/comm", "qemu-system-x86\n");
    system.absoluteLink("proc/4711/fd/12", "dev/vfio/devices/vfio0");
    const state = { address: ADDRESS, driver: "igb" };
    system.driver("igb");
    expect(() => {
      restoreBinding(state, { paths: system.paths });
    }).toThrow("held by process 4711 (qemu-system-x86)");
    expect(driverOf()).toBe("vfio-pci");
  });
});

describe("BindingStore", () => {
  it("keeps the first state until it is forgotten", () => {
    using system = new FakeSystem();
    const store = new BindingStore(system.paths);
    const state = { address: ADDRESS, driver: "igb", numVfs: 2 };
    expect(store.load(ADDRESS)).toBeUndefined();
    store.save(state);
    store.save({ ...state, driver: "vfio-pci" });
    expect(new BindingStore(system.paths).load(ADDRESS)).toEqual(state);
    expect(store.addresses()).toEqual([ADDRESS]);
    store.forget(ADDRESS);
    store.forget(ADDRESS);
    expect(store.addresses()).toEqual([]);
  });

  it("tells a damaged file from none", () => {
    using system = new FakeSystem();
    system.file(`run/vfio-selftests/devices/${ADDRESS}.json`, "{");
    expect(() => new BindingStore(system.paths).load(ADDRESS)).toThrow(`${ADDRESS}.json is damaged`);
  });
});
