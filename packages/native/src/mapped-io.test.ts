import fc from "fast-check";
import type { NativeIo } from "./binding";
import { native } from "./index";
import * as linux from "./testing/linux";
import { nonNegative, succeeded } from "./testing/succeeded";

const page = native.pageSize();
const length = 2 * page;
const anonymous = { fd: -1, flags: linux.MAP_SHARED | linux.MAP_ANONYMOUS };

type Width = 1 | 2 | 4 | 8;

function readAt(io: NativeIo, width: Width, offset: number): number | bigint {
  return io[`read${(8 * width) as 8 | 16 | 32 | 64}`](offset);
}

function writeAt(io: NativeIo, width: Width, offset: number, value: bigint): number {
  if (width === 8) return io.write64(offset, value);
  return io[`write${(8 * width) as 8 | 16 | 32}`](offset, Number(value));
}

describe("mapIo", () => {
  it("reads and writes each width at any aligned offset, little endian, and touches nothing else", () => {
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    const model = Buffer.alloc(length);
    const access = fc.record({
      width: fc.constantFrom<Width>(1, 2, 4, 8),
      // Half of the offsets lie near an end, some outside.
      offset: fc.oneof(
        fc.integer({ min: -16, max: length + 16 }),
        fc.integer({ min: -16, max: 16 }),
        fc.integer({ min: length - 16, max: length + 16 }),
      ),
      value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    });
    fc.assert(
      fc.property(access, ({ width, offset, value }) => {
        const masked = BigInt.asUintN(width * 8, value);
        if (offset < 0 || offset >= length || offset % width !== 0) {
          expect(readAt(io, width, offset)).toBe(-linux.EINVAL);
          expect(writeAt(io, width, offset, masked)).toBe(-linux.EINVAL);
          return;
        }
        expect(writeAt(io, width, offset, masked)).toBe(0);
        for (let byte = 0; byte < width; byte++) model[offset + byte] = Number((masked >> BigInt(8 * byte)) & 0xffn);
        expect(readAt(io, width, offset)).toBe(width === 8 ? masked : Number(masked));
        const near = Math.max(0, (offset & ~7) - 8);
        for (let at = near; at < Math.min(length, near + 24); at++) expect(io.read8(at)).toBe(model[at]);
      }),
      { numRuns: 1000 },
    );
    for (let offset = 0; offset < length; offset += 8) expect(io.read64(offset)).toBe(model.readBigUInt64LE(offset));
    io.unmap();
  });

  it.each([NaN, 0.5, Infinity, -Infinity, -1, -0.5, 2 ** 53, length, undefined, null, "0", 0n, {}, true])(
    "gives -EINVAL for the offset %p",
    (offset) => {
      const io = succeeded(native.mapIo({ ...anonymous, length }));
      const wrong = offset as never;
      const source = new Uint8Array(64);
      expect([io.read8(wrong), io.read16(wrong), io.read32(wrong), io.read64(wrong)]).toEqual(Array(4).fill(-22));
      expect([io.write8(wrong, 0), io.write16(wrong, 0), io.write32(wrong, 0)]).toEqual(Array(3).fill(-22));
      expect([io.write64(wrong, 0n), io.store64Bytes(wrong, source)]).toEqual([-22, -22]);
      io.unmap();
    },
  );

  it("takes negative values as their two's complement", () => {
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    expect([io.write8(0, -1), io.write16(2, -2), io.write32(4, ~3), io.write64(8, -5n)]).toEqual([0, 0, 0, 0]);
    expect([io.read8(0), io.read16(2), io.read32(4), io.read64(8)]).toEqual([
      0xff,
      0xfffe,
      0xffff_fffc,
      2n ** 64n - 5n,
    ]);
    io.unmap();
  });

  it("refuses values that do not fit the width, and writes nothing", () => {
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    const cases: [() => unknown, string][] = [
      [() => io.write8(0, 256), "write8: value is 256; allowed is an integer from -2^7 to 2^8 - 1"],
      [() => io.write16(0, -32769), "write16: value is -32769"],
      [() => io.write32(0, 2 ** 32), "write32: value is 4294967296"],
      [() => io.write32(0, 1.5), "write32: value is 1.5"],
      [() => io.write32(0, NaN), "write32: value is NaN"],
      [() => io.write32(0, undefined as never), "write32: value is undefined"],
      [() => io.write32(0, 1n as never), "write32: value is 1n"],
      [() => io.write64(0, 1 as never), "write64: value is 1; allowed is a bigint from -2^63 to 2^64 - 1"],
      [() => io.write64(0, 2n ** 64n), "write64: value is 18446744073709551616n"],
    ];
    for (const [call, message] of cases) expect(call).toThrow(message);
    expect(io.read64(0)).toBe(0n);
    io.unmap();
  });

  it("stores 64 bytes from anywhere in the source", () => {
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    const source = Buffer.from(Array.from({ length: 100 }, (_, index) => index));
    expect(io.store64Bytes(128, source, 36)).toBe(0);
    expect(io.store64Bytes(length - 64, source.subarray(1, 65))).toBe(0);
    expect([127, 128, 191, 192].map((offset) => io.read8(offset))).toEqual([0, 36, 99, 0]);
    expect([length - 64, length - 1].map((offset) => io.read8(offset))).toEqual([1, 64]);
    expect([32, 8, 65, length].map((offset) => io.store64Bytes(offset, source))).toEqual(Array(4).fill(-linux.EINVAL));
    expect(() => io.store64Bytes(0, source, 37)).toThrow("sourceOffset is 37; allowed is an integer from 0 to 36");
    expect(() => io.store64Bytes(0, source.subarray(0, 63))).toThrow("the length of source is 63");
    expect(() => io.store64Bytes(0, "x" as never)).toThrow('store64Bytes: source is "x"');
    io.unmap();
  });

  it("keeps several mappings apart, also when their numbers are used again", () => {
    for (let round = 0; round < 3; round++) {
      const ios = [0, 1, 2].map(() => succeeded(native.mapIo({ ...anonymous, length })));
      ios.forEach((io, index) => expect(io.write32(4, 0xdead_0000 + index)).toBe(0));
      expect(ios.map((io) => io.read32(4))).toEqual([0xdead_0000, 0xdead_0001, 0xdead_0002]);
      expect(ios[1]!.unmap()).toBe(0);
      expect(ios.map((io) => io.read32(4))).toEqual([0xdead_0000, -linux.EBADF, 0xdead_0002]);
      expect(ios[1]!.write32(4, 0)).toBe(-linux.EBADF);
      ios.forEach((io) => io.unmap());
    }
  });

  it("gives -EBADF after unmap", () => {
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    expect(io.unmap()).toBe(0);
    expect(io.unmap()).toBe(-linux.EBADF);
    expect([io.read8(0), io.read16(0), io.read32(0), io.read64(0)]).toEqual(Array(4).fill(-linux.EBADF));
    expect([io.write8(0, 0), io.write64(0, 0n)]).toEqual([-linux.EBADF, -linux.EBADF]);
    expect(io.store64Bytes(0, new Uint8Array(64))).toBe(-linux.EBADF);
  });

  it("gives -EFAULT for a bus error, at each width, and works again when the memory is back", () => {
    const fd = nonNegative(native.memfdCreate("truncated", 0));
    native.ftruncate(fd, length);
    const io = succeeded(native.mapIo({ fd, length, flags: linux.MAP_SHARED }));
    expect(io.write32(0, 1)).toBe(0);
    native.ftruncate(fd, 0);
    for (let round = 0; round < 3; round++) {
      expect([io.read8(0), io.read16(0), io.read32(4), io.read64(page)]).toEqual(Array(4).fill(-linux.EFAULT));
      expect([io.write8(0, 1), io.write16(0, 1), io.write32(4, 1)]).toEqual(Array(3).fill(-linux.EFAULT));
      expect([io.write64(0, 1n), io.store64Bytes(64, new Uint8Array(64))]).toEqual([-linux.EFAULT, -linux.EFAULT]);
    }
    native.ftruncate(fd, length);
    expect([io.read32(0), io.write32(0, 5), io.read32(0)]).toEqual([0, 0, 5]);
    io.unmap();
    native.close(fd);
  });

  it("gives -EFAULT when the source of a 64-byte store raises the bus error", () => {
    const fd = nonNegative(native.memfdCreate("source", 0));
    native.ftruncate(fd, page);
    const source = succeeded(native.mapMemory({ fd, length: page, flags: linux.MAP_SHARED }));
    native.ftruncate(fd, 0);
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    expect(io.store64Bytes(0, new Uint8Array(source.buffer))).toBe(-linux.EFAULT);
    native.close(fd);
    io.unmap();
    source.unmap();
  });

  it("gives -EACCES where the protection forbids the access", () => {
    const readable = succeeded(native.mapIo({ ...anonymous, length, prot: linux.PROT_READ }));
    expect([readable.read32(0), readable.write32(0, 1)]).toEqual([0, -linux.EACCES]);
    expect(readable.store64Bytes(0, new Uint8Array(64))).toBe(-linux.EACCES);
    readable.unmap();
    const reserved = succeeded(native.mapIo({ ...anonymous, length, prot: linux.PROT_NONE }));
    expect([reserved.read8(0), reserved.write8(0, 1)]).toEqual([-linux.EACCES, -linux.EACCES]);
    reserved.unmap();
  });

  it("cannot be changed", () => {
    "use strict";
    const io = succeeded(native.mapIo({ ...anonymous, length }));
    expect(() => ((io as { length: number }).length = 1)).toThrow("read only");
    io.unmap();
  });

  it("reaches offsets beyond 4 GiB", () => {
    const flags = anonymous.flags | linux.MAP_NORESERVE;
    const io = succeeded(native.mapIo({ fd: -1, flags, length: 8 * 2 ** 30 }));
    expect([io.write32(5 * 2 ** 30, 9), io.read32(5 * 2 ** 30), io.read32(2 ** 30)]).toEqual([0, 9, 0]);
    io.unmap();
  });
});
