import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakePciBus, type FakeFunction } from "../testing/fake-pci-bus";
import { bindDevices, unbindDevices, type BindOptions } from "./bind-devices";
import { SavedBindings } from "./saved-state";

const NIC: FakeFunction = { address: "0000:01:00.0", driver: "e1000e", group: 3, numVfs: 2 };
const DISK: FakeFunction = { address: "0000:02:00.0", driver: "nvme", group: 4, class: 0x01_0802 };
const BRIDGE: FakeFunction = { address: "0000:00:1c.0", class: 0x06_0400 };

/** A machine with these functions, and what the commands print on it. */
class Machine implements Disposable {
  readonly bus: FakePciBus;
  readonly saved: SavedBindings;
  readonly lines: string[] = [];
  readonly errors: string[] = [];

  constructor(...functions: FakeFunction[]) {
    this.bus = new FakePciBus(functions);
    this.saved = new SavedBindings(join(this.bus.root, "run", "devices"));
  }

  bind(addresses: string[], options: BindOptions = {}): Promise<number> {
    return bindDevices(addresses, options, this.#outside());
  }

  unbind(addresses: string[], options: BindOptions = {}): Promise<number> {
    return unbindDevices(addresses, options, this.#outside());
  }

  [Symbol.dispose](): void {
    this.bus[Symbol.dispose]();
  }

  #outside(): NonNullable<Parameters<typeof bindDevices>[2]> {
    const { bus, saved } = this;
    return {
      paths: bus.paths,
      saved,
      writeFile: bus.writeFile,
      print: (line) => this.lines.push(line),
      printError: (text) => this.errors.push(text),
    };
  }
}

describe("bind and unbind", () => {
  it("gives a device to vfio-pci and back, with its override and virtual functions", async () => {
    using machine = new Machine(NIC);
    expect(await machine.bind([NIC.address])).toBe(0);
    expect(machine.bus.driverOf(NIC.address)).toBe("vfio-pci");
    expect(machine.bus.attribute(NIC.address, "sriov_numvfs")).toBe("0");
    expect(machine.lines).toEqual(["0000:01:00.0 is bound to vfio-pci (was e1000e)"]);

    // By another process: only the saved state tells what it was.
    expect(await machine.unbind([])).toBe(0);
    expect(machine.bus.driverOf(NIC.address)).toBe("e1000e");
    expect(machine.bus.attribute(NIC.address, "driver_override")).toBe("");
    expect(machine.bus.attribute(NIC.address, "sriov_numvfs")).toBe("2");
    expect(readdirSync(machine.saved.directory)).toEqual([]);
  });

  it("may be repeated, and does not forget what the device was", async () => {
    using machine = new Machine(NIC);
    await machine.bind([NIC.address]);
    const writes = machine.bus.writes.length;
    expect(await machine.bind([NIC.address])).toBe(0);
    expect(machine.bus.writes).toHaveLength(writes);
    expect(machine.saved.get(NIC.address)?.driver).toBe("e1000e");
    expect(await machine.unbind([NIC.address])).toBe(0);
    expect(await machine.unbind([NIC.address])).toBe(0);
    expect(machine.lines.at(-1)).toBe("0000:01:00.0 is not bound to vfio-pci (driver: e1000e)");
  });

  it("goes on with the others after one that is bound already, and after one that fails", async () => {
    using machine = new Machine(NIC, DISK);
    await machine.bind([NIC.address]);
    expect(await machine.bind([NIC.address, "0000:ff:00.0", DISK.address])).toBe(1);
    expect(machine.bus.driverOf(DISK.address)).toBe("vfio-pci");
    expect(machine.errors.join("")).toContain("no PCI device at 0000:ff:00.0");
  });

  it("takes the short form of an address", async () => {
    using machine = new Machine(NIC);
    expect(await machine.bind(["01:00.0"])).toBe(0);
    expect(machine.bus.driverOf(NIC.address)).toBe("vfio-pci");
  });

  it("leaves a device as it was when a step fails", async () => {
    using machine = new Machine(NIC);
    machine.bus.refusals.set("pci/drivers_probe", "EACCES");
    expect(await machine.bind([NIC.address])).toBe(1);
    expect(machine.bus.driverOf(NIC.address)).toBe("e1000e");
    expect(machine.bus.attribute(NIC.address, "sriov_numvfs")).toBe("2");
    expect(machine.saved.addresses()).toEqual([]);
    expect(machine.errors.join("")).toMatch(/EACCES.*\n.*Remedy: run as root/);
  });

  it("refuses what is in use, unless forced", async () => {
    using machine = new Machine(NIC, DISK);
    machine.bus.put(NIC.address, "net/eth0/flags", "0x1003\n");
    machine.bus.put(DISK.address, "nvme/nvme0/nvme0n1/nvme0n1p1/size", "1\n");
    mkdirSync(machine.bus.paths.proc("self"), { recursive: true });
    writeFileSync(machine.bus.paths.proc("self", "mounts"), "/dev/nvme0n1p1 / ext4 rw 0 0\n");
    expect(await machine.bind([NIC.address, DISK.address])).toBe(1);
    expect(machine.errors.join("")).toContain("network interface eth0 is up");
    expect(machine.errors.join("")).toContain("disk nvme0n1p1 is mounted");
    expect(machine.bus.writes).toEqual([]);
    expect(await machine.bind([NIC.address], { force: true })).toBe(0);
    expect(machine.bus.driverOf(NIC.address)).toBe("vfio-pci");
  });

  it("refuses bridges and addresses that are none", async () => {
    using machine = new Machine(BRIDGE);
    expect(await machine.bind([BRIDGE.address])).toBe(1);
    expect(machine.errors.join("")).toContain("bind the devices behind it");
    expect(await machine.bind(["nonsense"])).toBe(2);
  });

  it("gives a device that somebody else bound to its own driver", async () => {
    using machine = new Machine(NIC);
    machine.bus.writeFile(machine.bus.paths.pciDevice(NIC.address, "driver_override"), "vfio-pci");
    machine.bus.writeFile(machine.bus.paths.pciDevice(NIC.address, "driver", "unbind"), NIC.address);
    machine.bus.writeFile(machine.bus.paths.sys("bus", "pci", "drivers_probe"), NIC.address);
    expect(await machine.unbind([NIC.address])).toBe(0);
    expect(machine.bus.driverOf(NIC.address)).toBe("e1000e");
  });

  it("says so when a saved state is damaged", async () => {
    using machine = new Machine(NIC);
    await machine.bind([NIC.address]);
    writeFileSync(join(machine.saved.directory, `${NIC.address}.json`), "{");
    expect(await machine.unbind([])).toBe(1);
    expect(machine.errors.join("")).toMatch(/is damaged\n.*Remedy:/);
  });
});
