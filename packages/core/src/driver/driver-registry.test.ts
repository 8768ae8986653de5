import { PciDevice } from "../pci/pci-device";
import { FakeVfioDevice } from "../testing/fake-vfio-device";
import type { Driver } from "./driver";
import { DriverRegistry } from "./driver-registry";

const config = new Uint8Array(256);
config.set([0x34, 0x12, 0x78, 0x56]);

function driver(name: string, rest: Partial<Driver>): Driver {
  return {
    name,
    regionSize: 4096,
    create: () => {
      throw new Error("not in this test");
    },
    ...rest,
  };
}

const serves = { ids: [{ vendor: 0x1234, device: 0x5678 }] };
const other = { ids: [{ vendor: 0x8086, device: 0x2021 }] };

describe("DriverRegistry", () => {
  let device: PciDevice;
  beforeAll(() => (device = new PciDevice(new FakeVfioDevice({ address: "0000:01:00.0", config }))));
  afterAll(() => device.close());

  test("finds the one driver that serves the device", () => {
    const match = driver("acme", serves);
    expect(new DriverRegistry([driver("ioat", other), match]).find(device)).toBe(match);
  });

  test("asks probe only when the ids match, or there are none", () => {
    const probe = jest.fn(() => true as const);
    const registry = new DriverRegistry([driver("ioat", { ...other, probe })]);
    expect(() => registry.find(device)).toThrow();
    expect(probe).not.toHaveBeenCalled();
    const probing = driver("probing", { probe });
    registry.register(probing);
    expect(registry.find(device)).toBe(probing);
    expect(probe).toHaveBeenCalledWith(device);
  });

  test("none: the error lists the known drivers, their ids, and why each refuses", () => {
    const registry = new DriverRegistry([
      driver("ioat", { ids: [...other.ids, { vendor: 0x8086, device: 0xb00 }] }),
      driver("picky", { ...serves, probe: () => "version 1.0 is too old" }),
      driver("broken", {
        probe: () => {
          throw new Error("BAR 0 is missing");
        },
      }),
    ]);
    const { message, code } = catchError(() => registry.find(device));
    expect(code).toBe("ERR_NO_DRIVER");
    expect(message).toContain("no driver serves 0000:01:00.0 (1234:5678)");
    expect(message).toContain("ioat (8086:2021, 8086:0b00): does not know the device's ids");
    expect(message).toContain("picky (1234:5678): version 1.0 is too old");
    expect(message).toContain("broken (probes each device): its probe failed: BAR 0 is missing");
    expect(message).toContain("vfio-selftests-driver");
  });

  test("several: the error names them and where they came from", () => {
    const registry = new DriverRegistry([driver("one", serves)]);
    registry.register(driver("two", serves), "@acme/two");
    const { message, code } = catchError(() => registry.find(device));
    expect(code).toBe("ERR_SEVERAL_DRIVERS");
    expect(message).toContain("one (built in), two (@acme/two)");
    expect(message).toContain("--driver");
  });

  test("gives a driver by name, and names the known ones otherwise", () => {
    const one = driver("one", serves);
    const registry = new DriverRegistry([one, driver("two", other)]);
    expect(registry.get("one")).toBe(one);
    expect(() => registry.get("three")).toThrow("no driver is named three; known: one, two");
  });

  test("refuses another driver of the same name, takes the same one again", () => {
    const one = driver("one", serves);
    const registry = new DriverRegistry([one]);
    registry.register(one);
    expect(registry.drivers).toEqual([one]);
    expect(() => registry.register(driver("one", other), "@acme/one")).toThrow("two drivers are named one");
    expect(() => registry.register({} as Driver, "@acme/broken")).toThrow("@acme/broken does not export a driver");
  });
});

function catchError(call: () => unknown): { message: string; code: unknown } {
  try {
    call();
  } catch (error) {
    return error as { message: string; code: unknown };
  }
  throw new Error("nothing was thrown");
}
