import { PciDevice } from "@vfio-selftests/core";
import { type Driver, DriverRegistry } from "@vfio-selftests/core/driver";
import { FakeVfioDevice } from "@vfio-selftests/core/testing";
import { findDriver } from "./find-driver";

const config = new Uint8Array(256);
config.set([0x34, 0x12, 0x78, 0x56]);

function driver(name: string, device: number, probe: () => true | string): Driver {
  const create = () => {
    throw new Error("not in this test");
  };
  return { name, ids: [{ vendor: 0x1234, device }], probe, regionSize: 4096, create };
}

let device: PciDevice;
beforeAll(() => (device = new PciDevice(new FakeVfioDevice({ address: "0000:01:00.0", config }))));
afterAll(() => device.close());

const find = (...drivers: Driver[]) =>
  findDriver({ kind: "hardware", modes: [], devices: [], drivers: new DriverRegistry(drivers) }, device);

it("a skip for want of a driver names each driver and why it refuses", () => {
  const drivers = [
    driver("one", 1, () => true),
    driver("two", 2, () => true),
    driver("picky", 0x5678, () => "version 1.0 is too old"),
  ];
  const reason =
    "no driver serves the device (1234:5678); one, two: does not know the device's ids; picky: version 1.0 is too old";
  expect(() => find(...drivers)).toThrow(reason);
  expect(() => find()).toThrow("no driver serves the device (1234:5678); none is known");
});

it("a driver that serves the device is found", () => {
  const match = driver("match", 0x5678, () => true);
  expect(find(match)).toBe(match);
});
