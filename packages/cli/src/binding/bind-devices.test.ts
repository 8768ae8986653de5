import { BindingStore, linkName, readAttribute } from "@vfio-selftests/core/sysfs";
import { type FakePciDevice, FakeSystem } from "@vfio-selftests/core/testing";
import { bindDevices, type BindOptions, unbindDevices } from "./bind-devices";

const NIC: FakePciDevice = {
  address: "0000:01:00.0",
  driver: "e1000e",
  group: 3,
  attributes: { sriov_totalvfs: "8\n", sriov_numvfs: "2\n" },
};
const DISK: FakePciDevice = { address: "0000:02:00.0", driver: "nvme", group: 4, class: 0x01_0802 };
const BRIDGE: FakePciDevice = { address: "0000:00:1c.0", class: 0x06_0400 };

/** A machine with these functions, and what the commands print on it. */
class Machine extends FakeSystem {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly print = (line: string): unknown => this.lines.push(line);
  readonly printError = (text: string): unknown => this.errors.push(text);

  constructor(...devices: FakePciDevice[]) {
    super();
    this.driver("vfio-pci");
    for (const device of devices) this.pci(device);
  }

  bind(addresses: string[], options: BindOptions = {}): number {
    return bindDevices(addresses, options, this);
  }

  unbind(addresses: string[], options: BindOptions = {}): number {
    return unbindDevices(addresses, options, this);
  }

  driverOf({ address }: FakePciDevice): string | undefined {
    return linkName(this.paths.pciDevice(address, "driver"));
  }

  attribute({ address }: FakePciDevice, name: string): string | undefined {
    return readAttribute(this.paths.pciDevice(address, name));
  }

  /** Another process has the device's group open. */
  hold({ group }: FakePciDevice): void {
    this.file(`dev/vfio/${group}`);
    this.file("proc/4711/comm", "qemu\n");
    this.absoluteLink("proc/4711/fd/9", `dev/vfio/${group}`);
  }
}

describe("bind and unbind", () => {
  it("take all devices of a vendor and device, and go on after ids that no device has", () => {
    const [one, two] = ["0000:01:00.0", "0000:01:00.1"].map((address) => ({ address, driver: "e1000e", group: 3 }));
    using machine = new Machine(one as FakePciDevice, two as FakePciDevice, DISK);
    const ids = readAttribute(machine.paths.pciDevice("0000:01:00.0", "vendor"))?.slice(2);
    const device = readAttribute(machine.paths.pciDevice("0000:01:00.0", "device"))?.slice(2);
    expect(machine.bind(["ffff:ffff", `${ids}:${device}`])).toBe(1);
    expect(machine.errors.join("")).toContain("no PCI device has vendor and device ffff:ffff");
    expect(machine.lines).toContain("0000:01:00.1 is bound to vfio-pci (was e1000e)");
    expect(machine.lines).toContain("0000:01:00.0 is bound to vfio-pci (was e1000e)");
  });

  it("gives a device to vfio-pci and back, with its override and virtual functions", () => {
    using machine = new Machine(NIC);
    expect(machine.bind([NIC.address])).toBe(0);
    expect(machine.driverOf(NIC)).toBe("vfio-pci");
    expect(machine.attribute(NIC, "sriov_numvfs")).toBe("0");
    expect(machine.lines).toEqual(["0000:01:00.0 is bound to vfio-pci (was e1000e)"]);

    // As in another process, only the stored state tells what it was.
    expect(machine.unbind([])).toBe(0);
    expect(machine.driverOf(NIC)).toBe("e1000e");
    expect(machine.attribute(NIC, "driver_override")).toBe("");
    expect(machine.attribute(NIC, "sriov_numvfs")).toBe("2");
    expect(machine.lines.at(-1)).toBe("0000:01:00.0 is back (driver: e1000e)");
    expect(new BindingStore(machine.paths).addresses()).toEqual([]);
  });

  it("may be repeated, and keeps the device's first state", () => {
    using machine = new Machine(NIC);
    machine.bind([NIC.address]);
    const writes = machine.paths.writes.length;
    expect(machine.bind([NIC.address])).toBe(0);
    expect(machine.paths.writes).toHaveLength(writes);
    expect(machine.lines.at(-1)).toBe("0000:01:00.0 is bound to vfio-pci already");
    expect(new BindingStore(machine.paths).load(NIC.address)?.driver).toBe("e1000e");
    expect(machine.unbind([NIC.address])).toBe(0);
    expect(machine.unbind([NIC.address])).toBe(0);
    expect(machine.lines.at(-1)).toBe("0000:01:00.0 is not bound to vfio-pci (driver: e1000e)");
    expect(machine.unbind([])).toBe(0);
    expect(machine.lines.at(-1)).toBe("no device was bound by vfio-selftests");
  });

  it("goes on after a device that is bound already, and after one that fails", () => {
    using machine = new Machine(NIC, DISK);
    machine.bind([NIC.address]);
    expect(machine.bind([NIC.address, "0000:ff:00.0", DISK.address])).toBe(1);
    expect(machine.driverOf(DISK)).toBe("vfio-pci");
    expect(machine.errors.join("")).toContain("no PCI device at 0000:ff:00.0");
  });

  it("takes the short form of an address", () => {
    using machine = new Machine(NIC);
    expect(machine.bind(["01:00.0"])).toBe(0);
    expect(machine.driverOf(NIC)).toBe("vfio-pci");
  });

  it("leaves a device as it was when a step fails", () => {
    using machine = new Machine(NIC);
    machine.paths.denied.add("sys/bus/pci/drivers_probe");
    expect(machine.bind([NIC.address])).toBe(1);
    expect(machine.driverOf(NIC)).toBe("e1000e");
    expect(machine.attribute(NIC, "sriov_numvfs")).toBe("2");
    expect(new BindingStore(machine.paths).addresses()).toEqual([]);
    expect(machine.errors.join("")).toMatch(/EACCES.*\n.*Remedy: run as root/);
  });

  it("refuses a device in use, unless forced", () => {
    using machine = new Machine(NIC, DISK);
    const nic = `sys/devices/pci0000:00/${NIC.address}/net/eth0`;
    machine.file(`${nic}/flags`, "0x1003\n");
    machine.link("sys/class/net/eth0", nic);
    const partition = `sys/devices/pci0000:00/${DISK.address}/nvme/nvme0/nvme0n1/nvme0n1p1`;
    machine.file(`${partition}/dev`, "259:1\n");
    machine.link("sys/class/block/nvme0n1p1", partition);
    machine.file("proc/self/mountinfo", "22 1 259:1 / / rw,noatime - ext4 /dev/nvme0n1p1 rw\n");
    expect(machine.bind([NIC.address, DISK.address])).toBe(1);
    expect(machine.errors.join("")).toContain("network interface eth0 is up");
    expect(machine.errors.join("")).toContain("disk nvme0n1p1 is mounted");
    expect(machine.paths.writes).toEqual([]);
    expect(new BindingStore(machine.paths).addresses()).toEqual([]);
    expect(machine.bind([NIC.address], { force: true })).toBe(0);
    expect(machine.driverOf(NIC)).toBe("vfio-pci");
  });

  it("does not take a device from a process that has it open, unless forced", () => {
    using machine = new Machine(NIC);
    machine.bind([NIC.address]);
    machine.hold(NIC);
    expect(machine.unbind([])).toBe(1);
    expect(machine.errors.join("")).toMatch(/dev\/vfio\/3 is held by process 4711 \(qemu\)\n.*Remedy: .*--force/);
    expect(machine.driverOf(NIC)).toBe("vfio-pci");
    expect(new BindingStore(machine.paths).addresses()).toEqual([NIC.address]);
    expect(machine.unbind([], { force: true })).toBe(0);
    expect(machine.driverOf(NIC)).toBe("e1000e");
  });

  it("refuses bridges and invalid addresses", () => {
    using machine = new Machine(BRIDGE);
    expect(machine.bind([BRIDGE.address])).toBe(1);
    expect(machine.errors.join("")).toContain("bind the devices behind it");
    expect(machine.bind(["nonsense"])).toBe(2);
  });

  it("gives a device that somebody else bound back to its own driver", () => {
    using machine = new Machine(NIC);
    machine.file(`sys/bus/pci/devices/${NIC.address}/driver_override`, "vfio-pci");
    machine.setDriver(NIC.address, "vfio-pci");
    expect(machine.unbind([NIC.address])).toBe(0);
    expect(machine.driverOf(NIC)).toBe("e1000e");
    expect(machine.attribute(NIC, "driver_override")).toBe("");
  });

  it("reports a damaged stored state", () => {
    using machine = new Machine(NIC);
    machine.bind([NIC.address]);
    machine.file(`run/vfio-selftests/devices/${NIC.address}.json`, "{");
    expect(machine.unbind([])).toBe(1);
    expect(machine.errors.join("")).toMatch(/is damaged\n.*Remedy:/);
  });
});
