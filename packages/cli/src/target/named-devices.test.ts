import { FakeSystem } from "@vfio-selftests/core/testing";
import { deviceNamed, devicesNamed } from "./named-devices";

let machine: FakeSystem;
beforeEach(() => {
  machine = new FakeSystem();
  machine.pci({ address: "0000:01:00.0", vendor: 0x8086, device: 0x10c9 });
  machine.pci({ address: "0000:01:00.1", vendor: 0x8086, device: 0x10c9 });
  machine.pci({ address: "0000:02:00.0", vendor: 0x8086, device: 0x0e20 });
  machine.pci({ address: "0000:03:00.0", vendor: 0x15b3, device: 0x10c9 });
});
afterEach(() => machine[Symbol.dispose]());

const named = (...names: string[]): string[] => devicesNamed(names, machine.paths);

test("ids name every device that has both, and no other", () => {
  expect(named("8086:10c9")).toEqual(["0000:01:00.0", "0000:01:00.1"]);
  expect(named("8086:0e20")).toEqual(["0000:02:00.0"]);
  expect(named("15B3:10C9")).toEqual(["0000:03:00.0"]);
});

test("addresses and ids may stand together, and a device is named once", () => {
  expect(named("02:00.0", "8086:10c9", "0000:01:00.1", "8086:0E20")).toEqual([
    "0000:02:00.0",
    "0000:01:00.0",
    "0000:01:00.1",
  ]);
});

test("ids that no device has are an error that names them", () => {
  expect(() => named("0000:01:00.0", "1af4:1041")).toThrow(/no PCI device has vendor and device 1af4:1041\n.*Remedy: /);
  expect(() => named("0000:09:00.0")).toThrow("no PCI device at 0000:09:00.0");
});

test.each(["8086:10c", "8086:", "8086", "8086:10c9:1", "8086:10cg", "0000:01:00.0 "])(
  "%j is neither an address nor ids",
  (name) => {
    expect(() => named(name)).toThrow(/is ".*"; allowed: DDDD:BB:DD\.F .*VENDOR:DEVICE/);
  },
);

test("a command on one device takes ids that one device has, and lists those of several", () => {
  expect(deviceNamed("8086:0e20", machine.paths)).toBe("0000:02:00.0");
  expect(() => deviceNamed("8086:10c9", machine.paths)).toThrow(
    'device is "8086:10c9"; allowed: one device, by its address: 0000:01:00.0, 0000:01:00.1',
  );
});
