import { FakeVfioDevice } from "../../testing/fake-vfio-device";
import { ConfigSpace } from "./config-space";
import { PciCommand } from "./registers";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

const header = new Uint8Array(256);
header.set([0x86, 0x80, 0xc9, 0x10, 0x07, 0x04, 0x10, 0x00, 0x01, 0x02, 0x00, 0x02]);
header.set([0x34, 0x12, 0x78, 0x56], 0x2c);
header[0x3d] = 1;

describe("ConfigSpace", () => {
  const device = new FakeVfioDevice({ address: "0000:01:00.0", config: header });
  const config = new ConfigSpace(device);
  afterAll(() => device.close());

  test("names the registers of the header", () => {
    expect(config).toMatchObject({
      size: 256,
      vendorId: 0x8086,
      deviceId: 0x10c9,
      revision: 1,
      classCode: 0x020002,
      subsystemVendorId: 0x1234,
      subsystemId: 0x5678,
      interruptPin: 1,
    });
  });

  test("writes with the width that was asked for and leaves the neighbours", () => {
    config.write32(0x40, 0xffffffff);
    config.write8(0x41, 0x12);
    config.write16(0x42, 0x3456);
    expect(config.read32(0x40)).toBe(0x345612ff);
    expect(config.read16(0x40)).toBe(0x12ff);
    expect(config.read8(0x43)).toBe(0x34);
    expect([...config.bytes(0x40, 4)]).toEqual([0xff, 0x12, 0x56, 0x34]);
  });

  test("sets and clears single bits of the command register", () => {
    config.command = PciCommand.memory | PciCommand.interruptDisable;
    config.busMaster = true;
    expect(config.command).toBe(0x406);
    config.memoryEnable = false;
    config.interruptDisable = false;
    expect(config.command).toBe(PciCommand.busMaster);
    config.setCommand(PciCommand.io | PciCommand.memory);
    config.clearCommand(PciCommand.busMaster);
    expect([config.busMaster, config.memoryEnable, config.command]).toEqual([false, true, 3]);
  });

  test.each([
    ["read32", () => config.read32(254), "0xfe|254"],
    ["read16", () => config.read16(1), "multiples of 2 from 0 to 254"],
    ["read8", () => config.read8(256), "from 0 to 255"],
    ["read8", () => config.read8(-1), "from 0 to 255"],
    ["write32", () => config.write32(0.5, 0), "multiples of 4"],
    ["write8", () => config.write8(0x40, 256), "0 to 0xff"],
    ["write32", () => config.write32(0x40, -1), "0 to 0xffffffff"],
    ["bytes", () => config.bytes(250, 10), "offset|length"],
    ["bytes", () => config.bytes(0, -1), "length"],
  ])("%s refuses what is outside or misaligned", (_, call, message) => {
    expect(call).toThrow(withCode("ERR_INVALID_ARGUMENT"));
    expect(call).toThrow(new RegExp(message));
  });
});
