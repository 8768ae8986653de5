import { DeviceFeatures } from "@vfio-selftests/core";
import { Errno } from "@vfio-selftests/core/errors";
import { thrownBy } from "@vfio-selftests/core/testing";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import type { KernelCalls, KernelEnvironment } from "../kernel/kernel-calls";
import { KernelFile } from "../kernel/kernel-file";
import { FakeKernel } from "../testing/fake-kernel";
import { KernelDevice } from "./kernel-device";

const ADDRESS = "0000:01:00.0";

describe("KernelDevice", () => {
  let kernel: FakeKernel;
  let fd: number;
  beforeEach(() => {
    kernel = new FakeKernel();
    fd = kernel.openDeviceFile(ADDRESS);
  });
  afterEach(() => {
    kernel[Symbol.dispose]();
  });

  function open(calls: Partial<KernelCalls> = {}, options = {}): KernelDevice {
    const environment: KernelEnvironment = { ...kernel.environment, calls: { ...kernel.environment.calls, ...calls } };
    return new KernelDevice(ADDRESS, new KernelFile(environment, fd, ADDRESS), options);
  }

  it("reads a region in full, however short the kernel's answers are", () => {
    const places: bigint[] = [];
    const device = open({
      pread: (_fd, into, offset) => {
        places.push(BigInt(offset));
        into[0] = Number(offset) & 0xff;
        return 1;
      },
    });
    const bytes = new Uint8Array(3);
    device.readRegion(VFIO_PCI_CONFIG_REGION_INDEX, 0x10, bytes);
    expect([...bytes]).toEqual([0x10, 0x11, 0x12]);
    const { offset } = device.regionInfo(VFIO_PCI_CONFIG_REGION_INDEX);
    expect(places.map((place) => place - offset)).toEqual([0x10n, 0x11n, 0x12n]);
  });

  it("tells where the device did not answer", () => {
    const device = open({ pwrite: () => 0 });
    expect(() => {
      device.writeRegion(0, 0x20, new Uint8Array(4));
    }).toThrow(`pwrite failed on ${ADDRESS} region 0 + 0x20: EIO\n  Remedy: enable memory space`);
  });

  it("refuses what lies outside a region, and unknown indexes, before asking the kernel", () => {
    const device = open();
    const bytes = new Uint8Array(4);
    expect(() => {
      device.readRegion(7, 4093, bytes);
    }).toThrow("pread of region 7: offset is 4093; allowed: 0 to 4092");
    expect(() => {
      device.writeRegion(7, -1, bytes);
    }).toThrow("offset is -1");
    expect(() => device.regionInfo(9)).toThrow("region index is 9; allowed: 0 to 8");
    expect(() => device.irqInfo(5)).toThrow("interrupt index is 5; allowed: 0 to 4");
    expect(() => device.mapRegion(7, { offset: 0, size: 4096 })).toThrow("use readRegion and writeRegion");
    expect(() => device.mapRegion(0, { offset: 4096, size: 65536 })).toThrow("allowed: 0x0 + 0x10000");
  });

  it("asks for a region once", () => {
    const device = open();
    expect(device.regionInfo(0)).toBe(device.regionInfo(0));
    expect(kernel.requests.filter((request) => request === "device 0x3b6c").length).toBe(1);
  });

  it("maps with the region's rights, in whole pages", () => {
    const asked: Parameters<KernelCalls["mapIo"]>[0][] = [];
    const device = open({
      mapIo: (options) => {
        asked.push(options);
        return -Errno.ENOMEM;
      },
    });
    expect(() => device.mapRegion(0, { offset: 0, size: 65536 })).toThrow(
      `mmap failed on ${ADDRESS} region 0, 65536 bytes: ENOMEM`,
    );
    expect(() => device.mapRegion(0, { offset: 0x1000, size: 100 })).toThrow("ENOMEM");
    expect(asked).toMatchObject([
      { fd, length: 65536, prot: 3, flags: 1, offset: 0n, alignment: 0 },
      { length: 4096, offset: 0x1000n, alignment: 0 },
    ]);
  });

  it("maps a BAR of huge pages' size for huge pages, at an address aligned like the BAR", () => {
    const asked: Parameters<KernelCalls["mapIo"]>[0][] = [];
    const size = 1 << 22;
    const device = open({
      ioctl: (file, request, argument) => {
        const result = kernel.environment.calls.ioctl(file, request, argument);
        if (request === 0x3b6c && argument instanceof Uint8Array) new Uint32Array(argument.buffer)[4] = size;
        return result;
      },
      mapIo: (options) => {
        asked.push(options);
        return -Errno.ENOMEM;
      },
    });
    expect(() => device.mapRegion(0, { offset: 0, size })).toThrow("ENOMEM");
    expect(() => device.mapRegion(0, { offset: 0, size: size / 4 })).toThrow("ENOMEM");
    expect(asked).toMatchObject([{ length: size, alignment: size, advice: 14 }, { alignment: 0 }]);
    expect(asked[1]).not.toHaveProperty("advice");
  });

  it("passes a feature's payload both ways", () => {
    const device = open({
      ioctl: (file, request, argument) => {
        if (request !== 0x3b75 || !(argument instanceof Uint8Array))
          return kernel.environment.calls.ioctl(file, request, argument);
        expect([...argument.subarray(0, 8)]).toEqual([12, 0, 0, 0, 10, 0, 1, 0]);
        argument[11] = (argument[8] ?? 0) + 1;
        return 0;
      },
    });
    expect([...device.feature(0x1000a, Uint8Array.of(41, 0, 0, 0))]).toEqual([41, 0, 0, 42]);
    expect(() => open().feature(0x1000a, new Uint8Array(4))).toThrow(
      "VFIO_DEVICE_FEATURE failed on 0000:01:00.0, feature 10: ENOTTY",
    );
  });

  it("says how many vectors are possible when they are fewer than asked for", () => {
    const device = open();
    kernel.device(ADDRESS).vectorsLeft = 2;
    const request = { index: 2, action: "trigger", start: 0, count: 3, data: { eventfds: [-1, -1, -1] } } as const;
    expect(thrownBy(() => device.setIrqs(request))).toMatchObject({
      code: "ENOSPC",
      message: expect.stringContaining(
        `VFIO_DEVICE_SET_IRQS: ${ADDRESS}, interrupt index 2 can have 2 of the 3 vectors asked for\n  Remedy: enable at most 2`,
      ) as string,
    });
    device.setIrqs({ ...request, count: 2, data: { eventfds: [-1, -1] } });
  });

  it("hands over what a feature's payload points to, with the pointers' places in the ioctl's argument", () => {
    const ranges = Uint8Array.of(1, 2, 3);
    const bitmap = new Uint8Array(16);
    const device = open({
      ioctl: (fd, request, argument, ...links) => {
        if (request !== 0x3b75) return kernel.environment.calls.ioctl(fd, request, argument);
        expect(links).toEqual([8 + 16, ranges, 8 + 24, bitmap]);
        expect(links[1]).toBe(ranges);
        bitmap[3] = 0x55;
        return 0;
      },
    });
    const features = new DeviceFeatures(device);
    features.set(6, new Uint8Array(32), [
      { offset: 16, bytes: ranges },
      { offset: 24, bytes: bitmap },
    ]);
    expect(bitmap[3]).toBe(0x55);
  });

  it("detaches, closes and lets go, in this order and once", () => {
    const order: string[] = [];
    const device = open(
      { close: () => order.push("close") },
      { beforeClose: () => order.push("detach"), afterClose: () => order.push("group") },
    );
    device.close();
    device.close();
    expect(order).toEqual(["detach", "close", "group"]);
    expect(() => {
      device.readRegion(7, 0, new Uint8Array(1));
    }).toThrow(`${ADDRESS} is closed`);
  });

  it("closes to the end when a step throws", () => {
    const order: string[] = [];
    const device = open(
      { close: () => order.push("close") },
      {
        beforeClose: () => {
          throw new Error("detach");
        },
        afterClose: () => order.push("group"),
      },
    );
    expect(() => device.close()).toThrow("detach");
    expect([order, device.closed]).toEqual([["close", "group"], true]);
  });

  it("takes the file along when it cannot be asked", () => {
    kernel.failures.set("3b6b", Errno.EIO);
    expect(() => open()).toThrow("VFIO_DEVICE_GET_INFO failed on 0000:01:00.0");
    expect(kernel.files.has(fd)).toBe(false);
  });
});
