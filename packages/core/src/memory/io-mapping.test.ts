import { native } from "@vfio-selftests/native";
import { thrownBy } from "../testing/thrown-by";
import { MAP_SHARED } from "../uapi/mman";
import { IoMapping } from "./io-mapping";

/** Registers of one page on a memfd, so that a test can look behind them and take the page away. */
function registers(onClose?: (mapping: IoMapping) => void) {
  const fd = native.memfdCreate("registers", 0);
  native.ftruncate(fd, 4096);
  const io = native.mapIo({ fd, length: 4096, flags: MAP_SHARED });
  if (typeof io === "number") throw new Error(`mapIo: ${io}`);
  return { fd, mapping: new IoMapping(io, "0000:01:00.0 region 0", onClose) };
}

describe("IoMapping", () => {
  it("reads and writes every width at its place", () => {
    const { fd, mapping } = registers();
    mapping.write64(8, 0x8877665544332211n);
    expect([mapping.read8(8), mapping.read16(10), mapping.read32(12)]).toEqual([0x11, 0x4433, 0x88776655]);
    mapping.write8(0, 1);
    mapping.write16(2, 0x302);
    mapping.write32(4, 0xffffffff);
    expect(mapping.read64(0)).toBe(0xffffffff03020001n);
    mapping.store64Bytes(
      64,
      Uint8Array.from({ length: 80 }, (_, index) => index),
      16,
    );
    expect([mapping.read8(64), mapping.read8(127)]).toEqual([16, 79]);
    mapping.close();
    native.close(fd);
  });

  it("refuses offsets outside and misaligned, naming what is allowed", () => {
    const { fd, mapping } = registers();
    expect(() => mapping.read32(4096)).toThrow(
      "read32 of 0000:01:00.0 region 0: offset is 4096; allowed: multiples of 4 from 0 to 4092",
    );
    expect(() => mapping.read64(4)).toThrow("multiples of 8 from 0 to 4088");
    expect(() => {
      mapping.write16(-2, 0);
    }).toThrow("offset is -2");
    expect(() => {
      mapping.store64Bytes(32, new Uint8Array(64));
    }).toThrow("multiples of 64 from 0 to 4032");
    mapping.close();
    native.close(fd);
  });

  it("says that the device did not answer when the access faults", () => {
    const { fd, mapping } = registers();
    native.ftruncate(fd, 0);
    const read = () => mapping.read32(0x10);
    expect(read).toThrow("MMIO access failed on 0000:01:00.0 region 0 + 0x10 (read32): EFAULT");
    expect(read).toThrow("memory space");
    mapping.close();
    native.close(fd);
  });

  it("closes once, tells it, and refuses use afterwards", () => {
    const told: IoMapping[] = [];
    const { fd, mapping } = registers((closed) => told.push(closed));
    mapping.close();
    mapping.close();
    expect(told).toEqual([mapping]);
    expect(mapping.closed).toBe(true);
    for (const use of [() => mapping.read8(0), () => mapping.read64(0)]) {
      expect(use).toThrow("0000:01:00.0 region 0 is closed");
    }
    expect(() => {
      mapping.write32(0, 1);
    }).toThrow("is closed");
    native.close(fd);
  });

  it("refuses a value of the wrong type or width, names it and what is allowed", () => {
    const { fd, mapping } = registers();
    const untyped = mapping as unknown as Record<string, (offset: number, value: unknown) => void>;
    const refused = (write: string, value: unknown) => thrownBy(() => untyped[write]?.call(mapping, 0, value));
    for (const bits of [8, 16, 32]) {
      for (const value of [5n, "5", undefined, 1.5, 2 ** bits, -(2 ** (bits - 1)) - 1]) {
        expect(refused(`write${bits}`, value)).toMatchObject({
          code: "ERR_INVALID_ARGUMENT",
          message: expect.stringContaining(`allowed: an integer from -2^${bits - 1} to 2^${bits} - 1`) as string,
        });
      }
    }
    for (const value of [5, "5", undefined, 2n ** 64n, -(2n ** 63n) - 1n]) {
      expect(refused("write64", value).message).toContain("allowed: a bigint from -2^63 to 2^64 - 1");
    }
    expect(refused("write64", 5)).toMatchObject({
      code: "ERR_INVALID_ARGUMENT",
      message: "write64: value is 5; allowed: a bigint from -2^63 to 2^64 - 1",
    });
    for (const source of [new Uint8Array(63), Array(64)]) {
      expect(refused("store64Bytes", source).message).toContain("allowed: a Uint8Array with 64 bytes");
    }
    expect([...Array(8).keys()].map((offset) => mapping.read8(offset))).toEqual(Array(8).fill(0));
    mapping.close();
    native.close(fd);
  });

  it("does not close while it is mapped for DMA", () => {
    const { fd, mapping } = registers();
    const dma = { iova: 0x1000n, length: 4096 };
    const second = { iova: 0x9000n, length: 4096 };
    mapping.addMapping(dma);
    mapping.addMapping(second);
    expect(() => {
      mapping.close();
    }).toThrow("still mapped for DMA at IOVA 0x1000, 0x9000");
    mapping.removeMapping(dma);
    // A mapping that it does not know changes nothing.
    mapping.removeMapping({ iova: 0x5000n, length: 4096 });
    expect(() => {
      mapping.close();
    }).toThrow("at IOVA 0x9000\n");
    mapping.removeMapping(second);
    mapping.close();
    native.close(fd);
  });
});
