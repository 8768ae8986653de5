import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { VfioError } from "../errors/vfio-error";
import { Iommu } from "../iommu/iommu";
import { FakeIommuBackend } from "../testing/fake-iommu-backend";
import { FakeVfioDevice, type FakeVfioDeviceOptions } from "../testing/fake-vfio-device";
import { openDescriptors } from "../testing/open-descriptors";
import { VFIO_PCI_CONFIG_REGION_INDEX } from "../uapi/vfio-numbers";
import { PciDevice } from "./pci-device";

const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

const bytes32 = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** A function with a 64-bit prefetchable BAR 0, an I/O BAR 2 and a 32-bit BAR 3. */
function config(): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set(bytes32(0x10c98086));
  bytes.set(bytes32(0xfe00000c, 0x1, 0xc001, 0xfd000000), 0x10);
  return bytes;
}

const options: FakeVfioDeviceOptions = {
  address: "0000:01:00.0",
  config: config(),
  regions: { 0: { size: 8192 }, 2: { size: 32, mappableAreas: [] }, 3: { size: 4096 }, 6: { size: 1024 } },
  irqs: { 2: { count: 4 } },
};

describe("PciDevice", () => {
  test("tells what each BAR is", () => {
    using device = new PciDevice(new FakeVfioDevice(options));
    expect(device.bars.map(({ kind, is64Bit, prefetchable, size }) => ({ kind, is64Bit, prefetchable, size }))).toEqual(
      [
        { kind: "memory", is64Bit: true, prefetchable: true, size: 8192 },
        { kind: "none", is64Bit: true, prefetchable: false, size: 0 },
        { kind: "io", is64Bit: false, prefetchable: false, size: 32 },
        { kind: "memory", is64Bit: false, prefetchable: false, size: 4096 },
        { kind: "none", is64Bit: false, prefetchable: false, size: 0 },
        { kind: "none", is64Bit: false, prefetchable: false, size: 0 },
      ],
    );
    expect(device.bar(3)).toBe(device.bars[3]);
    expect(() => device.bar(1)).toThrow("0000:01:00.0 has no BAR 1; implemented: 0, 2, 3");
    expect(() => device.bar(6)).toThrow("index is 6; allowed: 0 to 5");
    expect(device.matches(0x8086, 0x10c9)).toBe(true);
    expect(device.matches(0x8086, 0x10ca)).toBe(false);
  });

  test("reads its ROM within its size", () => {
    const vfio = new FakeVfioDevice(options);
    vfio.poke(6, 0, Uint8Array.of(0x55, 0xaa));
    using device = new PciDevice(vfio);
    expect([...device.rom.read(0, 2)]).toEqual([0x55, 0xaa]);
    expect(device.rom.read()).toHaveLength(1024);
    expect(() => device.rom.read(1000, 25)).toThrow("length is 25; allowed: 0 to 24");
    expect(() => device.rom.read(1025)).toThrow("offset is 1025");
  });

  test("asks for its ROM's size when somebody wants it: vfio-pci enables the ROM to tell", () => {
    const vfio = new FakeVfioDevice(options);
    const regionInfo = jest.spyOn(vfio, "regionInfo");
    using device = new PciDevice(vfio);
    expect(regionInfo).not.toHaveBeenCalledWith(6);
    expect(device.rom.size).toBe(1024);
    expect(regionInfo).toHaveBeenCalledWith(6);
  });

  test("opening maps nothing, and closing gives everything back", () => {
    const before = openDescriptors();
    const mapped = mappedRegions();
    const vfio = new FakeVfioDevice(options);
    const opened: PciDevice = PciDevice.open({ openDevice: () => vfio }, "0000:01:00.0");
    expect(mappedRegions()).toBe(mapped);
    opened.bar(0).write32(0, 1);
    opened.bar(3).write32(0, 1);
    expect(mappedRegions()).toBe(mapped + 2);
    opened.interrupts.msix.enable();
    opened.close();
    opened.close();
    expect(opened.closed).toBe(true);
    expect(vfio.closed).toBe(true);
    expect(mappedRegions()).toBe(mapped);
    expect(openDescriptors()).toBe(before);
  });

  test("does not close while a BAR is mapped for DMA, and is as it was", () => {
    const before = openDescriptors();
    const vfio = new FakeVfioDevice(options);
    const device = new PciDevice(vfio);
    device.interrupts.msix.enable();
    device.bar(0).write32(0, 7);
    const dma = { iova: 0x1000n, length: 4096 };
    device.bar(3).mapping?.addMapping(dma);
    expect(() => {
      device.close();
    }).toThrow(/PciDevice.close: 0000:01:00.0 region 3 is still mapped for DMA at IOVA 0x1000/);
    expect([device.closed, vfio.closed]).toEqual([false, false]);
    expect(device.bar(0).read32(0)).toBe(7);
    device.interrupts.msix.vector(2).signal();
    expect(device.interrupts.msix.vector(2).waitSync()).toBe(1n);
    device.bar(3).mapping?.removeMapping(dma);
    device.close();
    expect(vfio.closed).toBe(true);
    expect(openDescriptors()).toBe(before);
  });

  test("does not close while registers that were mapped beside the BARs are mapped for DMA", () => {
    const device = new PciDevice(new FakeVfioDevice(options));
    device.interrupts.msix.enable();
    device.bar(0).write32(0, 7);
    const beside = device.vfio.mapRegion(3, { offset: 0, size: 4096 });
    const dma = { iova: 0x1000n, length: 4096 };
    beside.addMapping(dma);
    expect(() => {
      device.close();
    }).toThrow(withCode("ERR_STILL_MAPPED"));
    expect(device.closed).toBe(false);
    expect(device.bar(0).read32(0)).toBe(7);
    expect(device.interrupts.msix.enabled).toBe(true);
    beside.removeMapping(dma);
    device.close();
  });

  test("closes everything when closing the device itself fails", () => {
    const before = openDescriptors();
    const vfio = new FakeVfioDevice(options);
    const device = new PciDevice(vfio);
    device.interrupts.msix.enable();
    const vector = device.interrupts.msix.vector(0);
    const close = vfio.close.bind(vfio);
    vfio.close = () => {
      close();
      throw new Error("detach failed");
    };
    expect(() => {
      device.close();
    }).toThrow("detach failed");
    expect([device.closed, vector.closed]).toEqual([true, true]);
    expect(openDescriptors()).toBe(before);
  });

  test("ends with the address space that opened it, with its eventfds and a BAR that is mapped for DMA", async () => {
    const before = openDescriptors();
    const iommu = new Iommu(new FakeIommuBackend((address) => new FakeVfioDevice({ ...options, address })));
    const device = PciDevice.open(iommu, "0000:01:00.0");
    device.interrupts.msix.enable();
    const arrival = device.interrupts.msix.vector(0).wait();
    const mapping = device.bar(3).mapping!;
    const region = iommu.map(mapping);
    expect(() => {
      device.close();
    }).toThrow(withCode("ERR_STILL_MAPPED"));
    iommu.close();
    await expect(arrival).rejects.toThrow(withCode("ERR_CLOSED"));
    expect([device.closed, mapping.closed, region.mapped]).toEqual([true, true, false]);
    expect(() => device.interrupts.msix.vector(0)).toThrow(withCode("ERR_CLOSED"));
    await setImmediate();
    expect(openDescriptors()).toBe(before);
  });

  test("use after close is a clear error everywhere", () => {
    const device = new PciDevice(new FakeVfioDevice(options));
    device.close();
    for (const call of [
      () => device.config.vendorId,
      () => device.config.write8(0x40, 1),
      () => device.bars[0]!.read32(0),
      () => device.rom.read(),
      () => device.interrupts.msix.enable(),
      () => device.features.supports(0, "set"),
      () => device.reset(),
      () => device.hotReset(),
      () => device.hotResetInfo(),
    ]) {
      expect(call).toThrow(withCode("ERR_CLOSED"));
    }
  });

  test("refuses what is no PCI device, and closes it", () => {
    const vfio = new FakeVfioDevice(options);
    Object.defineProperty(vfio, "info", { value: { ...vfio.info, flags: 4 } });
    expect(() => PciDevice.open({ openDevice: () => vfio }, vfio.address)).toThrow("is not a PCI device");
    expect(vfio.closed).toBe(true);
  });

  test("refuses a device without configuration space, as a model that forgot it, and closes it", () => {
    const vfio = new FakeVfioDevice(options);
    const { regionInfo } = vfio;
    jest.spyOn(vfio, "regionInfo").mockImplementation((index) => {
      const info = regionInfo.call(vfio, index);
      return index === VFIO_PCI_CONFIG_REGION_INDEX ? { ...info, size: 0 } : info;
    });
    expect(() => PciDevice.open({ openDevice: () => vfio }, vfio.address)).toThrow(
      /has no PCI configuration space \(its region has 0 bytes\)\n.*Remedy: a model gives one/,
    );
    expect(vfio.closed).toBe(true);
  });

  test("a feature that the device lacks is reported as such", () => {
    using device = new PciDevice(new FakeVfioDevice(options));
    expect(device.features.supports(0, "set")).toBe(false);
    expect(() => device.features.get(0, 16)).toThrow(withCode("ENOTTY"));
  });

  test("hot reset of a device that is not the kernel's says what to do instead", () => {
    using device = new PciDevice(new FakeVfioDevice(options));
    expect(() => device.hotResetInfo()).toThrow(/is not a device of the kernel\n.*reset\(\)/);
  });
});

describe("reset", () => {
  const again = new VfioError("again", { code: "EAGAIN", errno: 11, operation: "VFIO_DEVICE_RESET" });

  function failingReset(times: number, error: Error): { device: PciDevice; attempts: () => number } {
    let attempts = 0;
    const onReset = (): void => {
      if (++attempts <= times) throw error;
    };
    return { device: new PciDevice(new FakeVfioDevice({ ...options, onReset })), attempts: () => attempts };
  }

  test("is repeated while the kernel says EAGAIN", () => {
    const { device, attempts } = failingReset(3, again);
    device.reset();
    expect(attempts()).toBe(4);
    device.close();
  });

  test("gives up after 21 attempts, with a remedy", () => {
    const { device, attempts } = failingReset(1000, again);
    expect(() => device.reset()).toThrow(/EAGAIN 21 times in a row\n {2}Remedy: /);
    expect(attempts()).toBe(21);
    device.close();
  });

  test("is not repeated after another error", () => {
    const { device, attempts } = failingReset(
      1000,
      new VfioError("no", { code: "EIO", operation: "VFIO_DEVICE_RESET" }),
    );
    expect(() => device.reset()).toThrow("no");
    expect(attempts()).toBe(1);
    device.close();
  });

  test("of a device without a reset method says so", () => {
    using device = new PciDevice(new FakeVfioDevice({ ...options, resettable: false }));
    expect(() => device.reset()).toThrow(/0000:01:00.0 cannot be reset/);
  });
});

/** Mappings of fake regions in this process. */
function mappedRegions(): number {
  return readFileSync("/proc/self/maps", "utf8").match(/memfd:fake-region/g)?.length ?? 0;
}
