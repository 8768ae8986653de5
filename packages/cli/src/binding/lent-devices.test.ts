import fs from "node:fs";
import { linkName, listDirectory, readAttribute } from "@vfio-selftests/core/sysfs";
import { type FakePciDevice, FakeSystem } from "@vfio-selftests/core/testing";
import { LentDevices } from "./lent-devices";

const NIC: FakePciDevice = {
  address: "0000:01:00.0",
  driver: "igb",
  group: 3,
  attributes: { sriov_totalvfs: "8\n", sriov_numvfs: "2\n" },
};
const COPIER: FakePciDevice = { address: "0000:02:00.0", driver: "ioatdma", group: 4 };
const OWN: FakePciDevice = { address: "0000:05:00.0", driver: "vfio-pci", group: 6 };

/** A machine on which this process may wait for no kernel. A write that undoes a change stays in the file, so tests see it. */
class Machine extends FakeSystem {
  constructor(...devices: FakePciDevice[]) {
    super();
    this.driver("vfio-pci");
    for (const device of devices) this.pci(device);
  }

  lend(...devices: FakePciDevice[]): LentDevices {
    return new LentDevices(
      devices.map(({ address }) => address),
      this.paths,
    );
  }

  driverOf({ address }: FakePciDevice): string | undefined {
    return linkName(this.paths.pciDevice(address, "driver"));
  }

  attribute({ address }: FakePciDevice, name: string): string | undefined {
    return readAttribute(this.paths.pciDevice(address, name));
  }

  /** What was written to a driver's file last. */
  wrote(driver: string, file: "bind" | "unbind"): string {
    return this.read(`sys/bus/pci/drivers/${driver}/${file}`).trim();
  }

  get journals(): string[] {
    return listDirectory(this.paths.runtime("changes")).map((name) => this.read(`run/vfio-selftests/changes/${name}`));
  }
}

let told: string;
beforeEach(() => {
  told = "";
  jest.spyOn(process.stderr, "write").mockImplementation((text) => ((told += String(text)), true));
});
afterEach(() => jest.restoreAllMocks());

it("gives devices to vfio-pci and back, newest first, with their virtual functions", () => {
  using machine = new Machine(NIC, COPIER);
  const devices = machine.lend(NIC, COPIER);
  expect([NIC, COPIER].map((device) => machine.driverOf(device))).toEqual(["vfio-pci", "vfio-pci"]);
  expect(machine.attribute(NIC, "sriov_numvfs")).toBe("0");
  expect(devices.lines).toEqual([
    "0000:01:00.0 is bound to vfio-pci (was igb)",
    "0000:02:00.0 is bound to vfio-pci (was ioatdma)",
  ]);
  devices[Symbol.dispose]();
  // Both had it. The second one's write is the last.
  expect(machine.wrote("vfio-pci", "unbind")).toBe(NIC.address);
  expect(machine.wrote("igb", "bind")).toBe(NIC.address);
  expect(machine.wrote("ioatdma", "bind")).toBe(COPIER.address);
  expect(machine.attribute(NIC, "driver_override")).toBe("");
  expect(machine.attribute(NIC, "sriov_numvfs")).toBe("2");
  expect(machine.journals).toEqual([]);
});

it("has a journal from before the first change, with the virtual functions after the driver", () => {
  using machine = new Machine(NIC);
  using _devices = machine.lend(NIC);
  const [journal = "", ...others] = machine.journals;
  expect(others).toEqual([]);
  const steps = journal.trim().split("\n");
  expect(steps.map((step) => step.split("|")[0]?.split("/").slice(-2).join("/"))).toEqual([
    "driver/unbind",
    `${NIC.address}/driver_override`,
    "igb/bind",
    `${NIC.address}/sriov_numvfs`,
  ]);
});

it("leaves a device with vfio-pci that it has already", () => {
  using machine = new Machine(OWN);
  const devices = machine.lend(OWN);
  expect(devices.lines).toEqual(["0000:05:00.0 is bound to vfio-pci already, and stays so"]);
  expect(machine.journals).toEqual([]);
  devices[Symbol.dispose]();
  expect(machine.driverOf(OWN)).toBe("vfio-pci");
  expect(machine.paths.writes).toEqual([]);
});

it("gives the first device back when the second cannot be bound", () => {
  using machine = new Machine(NIC, { ...COPIER, class: 0x06_0400 });
  expect(() => machine.lend(NIC, COPIER)).toThrow(expect.objectContaining({ code: "ERR_BRIDGE" }) as Error);
  expect(machine.wrote("igb", "bind")).toBe(NIC.address);
  expect(machine.attribute(NIC, "sriov_numvfs")).toBe("2");
  expect(machine.journals).toEqual([]);
});

it("refuses a device of a group that another driver keeps, names that device, and gives its own back", () => {
  const neighbour = { ...COPIER, group: 3 };
  using machine = new Machine(NIC, neighbour);
  expect(() => machine.lend(NIC)).toThrow(
    /in IOMMU group 3 together with 0000:02:00\.0, which ioatdma has\n.*-d 0000:02/,
  );
  expect(machine.wrote("igb", "bind")).toBe(NIC.address);
  using both = machine.lend(NIC, neighbour);
  expect(both.lines).toHaveLength(2);
});

it("leaves a device that a process has open to the guardian, because unbinding it would wait for ever", () => {
  using machine = new Machine(NIC, COPIER);
  const devices = machine.lend(NIC, COPIER);
  machine.file("dev/vfio/3");
  machine.file("proc/4711/comm", "qemu\n");
  machine.absoluteLink("proc/4711/fd/9", "dev/vfio/3");
  devices[Symbol.dispose]();
  expect(told).toMatch(/0000:01:00\.0 is still open: .*process 4711 \(qemu\).* it goes back to igb/);
  expect(machine.wrote("ioatdma", "bind")).toBe(COPIER.address);
  expect(machine.wrote("igb", "bind")).toBe("");
  expect(machine.journals).toEqual([expect.stringContaining("igb/bind")]);
});

it.each([
  ["EACCES", 13, "run as root"],
  ["EROFS", 30, "make /sys writable"],
])("tells who may not bind (%s), before anything is written down", (code, errno, remedy) => {
  using machine = new Machine(NIC);
  const access = jest.spyOn(fs, "accessSync");
  access.mockImplementation(() => {
    throw Object.assign(new Error(code), { code, errno: -errno });
  });
  expect(() => machine.lend(NIC)).toThrow(new RegExp(`${code}\\n.*Remedy: ${remedy}`));
  expect(machine.journals).toEqual([]);
  expect(machine.paths.writes).toEqual([]);
});
