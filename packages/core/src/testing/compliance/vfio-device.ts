/// <reference types="jest" />
import { native } from "@vfio-selftests/native";
import type { IrqInfo, RegionInfo, SetIrqs, VfioDevice } from "../../contracts/vfio-device";
import { VfioError } from "../../errors/vfio-error";
import { Eventfd } from "../../interrupts/eventfd";
import {
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
} from "../../uapi/vfio-numbers";
import { descriptorsAre, openDescriptors } from "../open-descriptors";
import { thrownBy } from "../thrown-by";

/** An open PCI device that a test may change at will. */
export interface DeviceUnderTest extends Disposable {
  /** The open device. */
  readonly device: VfioDevice;
  /** Ends a test that needs something which the device lacks. Default: the test fails. */
  readonly lacks?: (what: string) => never;
}

const COMMAND = 4;
const MEMORY_ENABLE = 1 << 1;

/** What `PciDevice` relies on in every device. `setUp` gives a freshly opened device to each test of the block. */
export function vfioDeviceCompliance(setUp: () => DeviceUnderTest): void {
  describe("complies as a VfioDevice", () => {
    let under: DeviceUnderTest;
    let device: VfioDevice;
    let descriptors: number;
    // False if `setUp`, or a hook before this one, skips the test.
    let isSetUp = false;
    beforeEach(() => {
      descriptors = openDescriptors();
      under = setUp();
      device = under.device;
      isSetUp = true;
    });
    afterEach(async () => {
      if (!isSetUp) return;
      isSetUp = false;
      device.close();
      under[Symbol.dispose]();
      await descriptorsAre(descriptors);
    });

    const codeOf = (action: () => unknown) => thrownBy(action).code;
    const config = (offset: number, length: number) => {
      const bytes = new Uint8Array(length);
      device.readRegion(VFIO_PCI_CONFIG_REGION_INDEX, offset, bytes);
      return bytes;
    };
    const lacks = (what: string): never => {
      if (under.lacks !== undefined) under.lacks(what);
      throw new Error(`the device lacks ${what}`);
    };

    /** A mappable region, with memory space on. */
    function mappableRegion(): RegionInfo {
      const [command = 0, high = 0] = config(COMMAND, 2);
      device.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, COMMAND, Uint8Array.of(command | MEMORY_ENABLE, high));
      for (let index = 0; index < VFIO_PCI_CONFIG_REGION_INDEX; index++) {
        const info = device.regionInfo(index);
        if (info.mappableAreas.length > 0 && info.readable) return info;
      }
      return lacks("a region that can be mapped");
    }

    function interrupt(): IrqInfo {
      const kinds = [VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX];
      const info = kinds.map((index) => device.irqInfo(index)).find(({ count, eventfd }) => count > 0 && eventfd);
      return info ?? lacks("interrupts");
    }

    /** vfio-pci refuses to trigger a vector that is not enabled; libvfio-user does nothing. */
    function triggerInVain(request: SetIrqs): void {
      try {
        device.setIrqs(request);
      } catch (error) {
        expect(error).toBeInstanceOf(VfioError);
      }
    }

    it("tells of every region, once and in itself consistent", () => {
      for (let index = 0; index <= VFIO_PCI_CONFIG_REGION_INDEX; index++) {
        const info = device.regionInfo(index);
        expect(device.regionInfo(index)).toBe(info);
        expect(info.index).toBe(index);
        for (const { offset, size } of info.mappableAreas) {
          expect(size).toBeGreaterThan(0);
          expect(offset + size).toBeLessThanOrEqual(info.size);
        }
      }
      expect(device.regionInfo(VFIO_PCI_CONFIG_REGION_INDEX).size).toBeGreaterThanOrEqual(256);
    });

    it("refuses indexes that it does not have, naming those that it has", () => {
      const { regionCount, irqCount } = device.info;
      for (const index of [-1, 0.5, NaN, regionCount, 2 ** 32]) {
        expect(thrownBy(() => device.regionInfo(index))).toMatchObject({
          code: "ERR_INVALID_ARGUMENT",
          message: expect.stringContaining(`0 to ${regionCount - 1}`) as string,
        });
      }
      for (const index of [-1, 0.5, irqCount]) expect(codeOf(() => device.irqInfo(index))).toBe("ERR_INVALID_ARGUMENT");
    });

    it("reads and writes registers, and nothing outside a region", () => {
      const vendor = config(0, 2);
      expect([...vendor]).not.toEqual([0xff, 0xff]);
      const command = config(COMMAND, 2);
      device.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, COMMAND, command);
      expect(config(COMMAND, 2)).toEqual(command);
      expect(config(0, 4).subarray(0, 2)).toEqual(vendor);
      const { size } = device.regionInfo(VFIO_PCI_CONFIG_REGION_INDEX);
      for (const offset of [-1, 0.5, NaN, size - 3, 2 ** 53]) {
        const bytes = Uint8Array.of(1, 2, 3, 4);
        for (const access of ["readRegion", "writeRegion"] as const) {
          expect(codeOf(() => device[access](VFIO_PCI_CONFIG_REGION_INDEX, offset, bytes))).toBe(
            "ERR_INVALID_ARGUMENT",
          );
        }
        expect([...bytes]).toEqual([1, 2, 3, 4]);
      }
      expect(codeOf(() => config(0, size + 1))).toBe("ERR_INVALID_ARGUMENT");
    });

    it("maps areas of regions, at the alignment asked for, and no others", () => {
      const { index, size, mappableAreas } = mappableRegion();
      const [area = lacks("an area")] = mappableAreas;
      const bytes = new Uint8Array(4);
      device.readRegion(index, area.offset, bytes);
      const alignment = 2 ** 21;
      const mapping = device.mapRegion(index, area, { alignment });
      expect(mapping.address % BigInt(alignment)).toBe(0n);
      expect(mapping.length).toBeGreaterThanOrEqual(area.size);
      expect(mapping.read32(0)).toBe(new DataView(bytes.buffer).getUint32(0, true));
      for (const wrong of [
        { offset: area.offset, size: 0 },
        { offset: area.offset, size: size + native.pageSize() },
        { offset: -native.pageSize(), size: native.pageSize() },
        { offset: area.offset + 0.5, size: 1 },
        { offset: area.offset, size: 0.5 },
        { offset: NaN, size: 1 },
      ]) {
        expect(codeOf(() => device.mapRegion(index, wrong))).toBe("ERR_INVALID_ARGUMENT");
      }
      const wholeConfig = { offset: 0, size: 256 };
      expect(codeOf(() => device.mapRegion(VFIO_PCI_CONFIG_REGION_INDEX, wholeConfig))).toBe("ERR_INVALID_ARGUMENT");
      device.close();
      expect(mapping.closed).toBe(true);
      expect(codeOf(() => mapping.read32(0))).toBe("ERR_CLOSED");
    });

    it("stays open while registers of it are mapped for DMA", () => {
      const { index, mappableAreas } = mappableRegion();
      const mapping = device.mapRegion(index, mappableAreas[0] ?? lacks("an area"));
      const dma = { iova: 0x1000n, length: 4096 };
      mapping.addMapping(dma);
      expect(codeOf(() => device.close())).toBe("ERR_STILL_MAPPED");
      expect([device.closed, mapping.closed]).toEqual([false, false]);
      config(0, 2);
      mapping.removeMapping(dma);
      device.close();
      expect([device.closed, mapping.closed]).toEqual([true, true]);
    });

    it("signals a vector that is triggered, and none that is disabled", () => {
      const { index } = interrupt();
      using eventfd = new Eventfd("compliance");
      const assign = { index, action: "trigger", start: 0, count: 1 } as const;
      device.setIrqs({ ...assign, data: { eventfds: [eventfd.fd] } });
      device.setIrqs(assign);
      expect(eventfd.waitSync({ timeoutMs: 5000 })).toBe(1n);
      device.setIrqs({ ...assign, count: 0 });
      triggerInVain(assign);
      expect(eventfd.tryRead()).toBeUndefined();
    });

    it("refuses vectors that it does not have, and values that are not as many as the vectors", () => {
      const { index, count } = interrupt();
      using eventfd = new Eventfd("compliance");
      const eventfds = Array<number>(count + 1).fill(eventfd.fd);
      const request = { index, action: "trigger", start: 0 } as const;
      expect(() => device.setIrqs({ ...request, count: count + 1, data: { eventfds } })).toThrow();
      for (const data of [{ eventfds: [] }, { bools: [true, true] }]) {
        expect(codeOf(() => device.setIrqs({ ...request, count: 1, data }))).toBe("ERR_INVALID_ARGUMENT");
      }
      // None of that enabled the index.
      triggerInVain({ ...request, count: 1 });
      expect(eventfd.tryRead()).toBeUndefined();
    });

    it("resets when it says that it can, and refuses features that there are not", () => {
      const vendor = config(0, 2);
      if (device.info.resettable) device.reset();
      expect(config(0, 2)).toEqual(vendor);
      const NO_FEATURE = 0xffff;
      expect(thrownBy(() => device.feature(VFIO_DEVICE_FEATURE_PROBE | NO_FEATURE, new Uint8Array(0))).code).not.toBe(
        "",
      );
    });

    it("refuses everything once it is closed", () => {
      device.close();
      device.close();
      expect(device.closed).toBe(true);
      const bytes = new Uint8Array(4);
      for (const use of [
        () => device.regionInfo(0),
        () => device.irqInfo(0),
        () => device.readRegion(VFIO_PCI_CONFIG_REGION_INDEX, 0, bytes),
        () => device.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, 0, bytes),
        () => device.mapRegion(0, { offset: 0, size: native.pageSize() }),
        () => device.setIrqs({ index: 0, action: "trigger", start: 0, count: 0 }),
        () => device.reset(),
        () => device.feature(VFIO_DEVICE_FEATURE_PROBE, bytes),
      ]) {
        expect(codeOf(use)).toBe("ERR_CLOSED");
      }
    });
  });
}
