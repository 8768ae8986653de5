import { closeSync, constants, openSync } from "node:fs";
import fc from "fast-check";
import type { MapOptions } from "./binding";
import { native } from "./index";
import * as linux from "./testing/linux";
import { itWithoutSanitizers, prelude, runNode } from "./testing/node-process";
import { nonNegative, succeeded } from "./testing/succeeded";

const page = native.pageSize();
const anonymous = { fd: -1, flags: linux.MAP_PRIVATE | linux.MAP_ANONYMOUS };

describe("mapMemory", () => {
  it("shows the memory of a file, from an offset", () => {
    const fd = nonNegative(native.memfdCreate("memory", 0));
    native.ftruncate(fd, 2 * page);
    const options = { fd, length: page, flags: linux.MAP_SHARED, offset: BigInt(page) };
    const memory = succeeded(native.mapMemory(options));
    expect(memory.length).toBe(page);
    expect(memory.buffer.byteLength).toBe(page);
    new Uint8Array(memory.buffer).set(Buffer.from("dma"), 5);
    const into = Buffer.alloc(3);
    native.pread(fd, into, page + 5);
    expect(into.toString()).toBe("dma");
    expect(memory.unmap()).toBe(0);
    native.close(fd);
  });

  it("tells its address", () => {
    const memory = succeeded(native.mapMemory({ ...anonymous, length: page }));
    new Uint32Array(memory.buffer)[1] = 0x1234_5678;
    const self = openSync("/proc/self/mem", constants.O_RDONLY);
    const into = new Uint32Array(1);
    expect(native.pread(self, new Uint8Array(into.buffer), memory.address + 4n)).toBe(4);
    expect(into[0]).toBe(0x1234_5678);
    closeSync(self);
    memory.unmap();
  });

  it("is empty memory of its own after unmap, once", () => {
    const fd = nonNegative(native.memfdCreate("unmapped", 0));
    native.ftruncate(fd, page);
    const memory = succeeded(native.mapMemory({ fd, length: page, flags: linux.MAP_SHARED }));
    const words = new Uint32Array(memory.buffer).fill(7);
    expect(memory.unmap()).toBe(0);
    expect(words.every((word) => word === 0)).toBe(true);
    words.fill(8);
    const into = Buffer.alloc(1);
    native.pread(fd, into, 0);
    expect(into[0]).toBe(7);
    expect(memory.unmap()).toBe(-linux.EBADF);
    native.close(fd);
  });

  it("cannot be transferred by structuredClone", () => {
    const memory = succeeded(native.mapMemory({ ...anonymous, length: page }));
    // Node 20 copies instead; later versions refuse.
    try {
      const copy = structuredClone(memory.buffer, { transfer: [memory.buffer] });
      new Uint8Array(memory.buffer)[7] = 42;
      expect(new Uint8Array(copy)[7]).toBe(0);
    } catch (error) {
      expect((error as Error).name).toBe("DataCloneError");
    }
    expect(memory.unmap()).toBe(0);
  });

  it("may be unmapped also after the buffer was transferred", () => {
    const memory = succeeded(native.mapMemory({ ...anonymous, length: page }));
    // Only Node 22 and later can move the memory.
    const { transfer } = memory.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer };
    const moved = transfer?.call(memory.buffer) ?? memory.buffer;
    new Uint8Array(moved).fill(42);
    expect(memory.unmap()).toBe(0);
    expect(new Uint8Array(moved)[7]).toBe(0);
    expect(memory.unmap()).toBe(-linux.EBADF);
  });

  it("satisfies any alignment and offset", () => {
    const options = fc.record({
      pages: fc.integer({ min: 1, max: 20 }),
      exponent: fc.integer({ min: 0, max: 14 }),
      offset: fc.nat(),
    });
    fc.assert(
      fc.property(options, ({ pages, exponent, offset }) => {
        const alignment = page * 2 ** exponent;
        const alignmentOffset = (offset % 2 ** exponent) * page;
        const memory = succeeded(native.mapMemory({ ...anonymous, length: pages * page, alignment, alignmentOffset }));
        expect(memory.address % BigInt(alignment)).toBe(BigInt(alignmentOffset));
        new Uint8Array(memory.buffer).fill(1);
        expect(memory.unmap()).toBe(0);
      }),
    );
  });

  it("aligns file mappings too", () => {
    const fd = nonNegative(native.memfdCreate("aligned", 0));
    native.ftruncate(fd, page);
    const options = { fd, length: page, flags: linux.MAP_SHARED, alignment: 2 ** 30, alignmentOffset: page };
    const memory = succeeded(native.mapMemory(options));
    expect(memory.address % 2n ** 30n).toBe(BigInt(page));
    memory.unmap();
    native.close(fd);
  });

  it("tells the kernel's error", () => {
    expect(native.mapMemory({ fd: 1023, length: page, flags: linux.MAP_SHARED })).toBe(-linux.EBADF);
    expect(native.mapMemory({ fd: -1, length: page, flags: linux.MAP_ANONYMOUS })).toBe(-linux.EINVAL);
    const file = openSync("/proc/self/exe", constants.O_RDONLY);
    expect(native.mapMemory({ fd: file, length: page, flags: linux.MAP_SHARED })).toBe(-linux.EACCES);
    closeSync(file);
  });

  it("says when it is longer than an ArrayBuffer of this Node can be", () => {
    const flags = anonymous.flags | linux.MAP_NORESERVE;
    const length = 5 * 2 ** 30;
    const memory = native.mapMemory({ fd: -1, flags, length });
    if (typeof memory === "number") {
      expect(memory).toBe(-linux.EFBIG);
    } else {
      expect(memory.buffer.byteLength).toBe(length);
      expect(memory.unmap()).toBe(0);
    }
  });

  it("maps 2 MiB pages, or says that there are none", () => {
    const flags = anonymous.flags | linux.MAP_HUGETLB | linux.MAP_HUGE_2MB;
    const huge = 2 ** 21;
    const memory = native.mapMemory({ fd: -1, flags, length: huge, alignment: 4 * huge, alignmentOffset: huge });
    const ENOMEM = 12;
    if (typeof memory === "number") {
      expect(memory).toBe(-ENOMEM);
    } else {
      expect(memory.address % BigInt(4 * huge)).toBe(BigInt(huge));
      new Uint8Array(memory.buffer).fill(1);
      expect(memory.unmap()).toBe(0);
    }
    expect(() => native.mapMemory({ fd: -1, flags, length: page })).toThrow("page size, 2097152");
    expect(() => native.mapMemory({ fd: -1, flags, length: huge, alignment: 4 * huge, alignmentOffset: page })).toThrow(
      "options.alignmentOffset is 4096; allowed is a multiple of the mapping's page size, 2097152",
    );
  });

  const wrong: [string, Partial<Record<keyof MapOptions, unknown>>, string][] = [
    ["no length", { length: undefined }, "mapMemory: options.length is undefined"],
    ["length 0", { length: 0 }, "options.length is 0; allowed is an integer from 1"],
    [
      "a partial page",
      { length: page + 1 },
      `options.length is ${page + 1}; allowed is a multiple of the mapping's page`,
    ],
    ["a length of NaN", { length: NaN }, "options.length is NaN"],
    [
      "MAP_FIXED",
      { flags: anonymous.flags | linux.MAP_FIXED },
      "options.flags is 50; allowed is any without MAP_FIXED",
    ],
    ["flags of another type", { flags: "x" }, 'options.flags is "x"'],
    ["an odd alignment", { alignment: 3 * page }, "options.alignment is 12288; allowed is 0 or a power of two"],
    ["an alignment below a page", { alignment: 16 }, "options.alignment is 16"],
    ["an alignment offset alone", { alignmentOffset: page }, "allowed is less than options.alignment"],
    ["an unaligned alignment offset", { alignment: 2 * page, alignmentOffset: 8 }, "options.alignmentOffset is 8"],
    ["a negative offset", { offset: -1n }, "options.offset is -1n"],
    ["guard pages (MADV_GUARD_INSTALL)", { advice: 102 }, "options.advice is 102; allowed is an integer from 0 to 99"],
    ["read-only memory", { prot: linux.PROT_READ }, "options.prot is 1; allowed is PROT_READ | PROT_WRITE"],
    ["executable memory", { prot: 7 }, "options.prot is 7"],
  ];
  it.each(wrong)("refuses %s", (_name, options, message) => {
    expect(() => native.mapMemory({ ...anonymous, length: page, ...options } as MapOptions)).toThrow(message);
  });

  it("refuses options that are no object, and lets the error of a getter through", () => {
    expect(() => native.mapMemory(5 as never)).toThrow("mapMemory: options is 5; allowed is an object");
    const options = {
      ...anonymous,
      get length(): number {
        throw new Error("from the getter");
      },
    };
    expect(() => native.mapMemory(options)).toThrow("from the getter");
  });
});

describe("garbage", () => {
  const mappings = `
    const maps = () => require("fs").readFileSync("/proc/self/maps", "latin1").split("memfd:garbage").length - 1;
    const settle = async () => { for (let i = 0; i < 10; i++) { gc(); await new Promise((r) => setTimeout(r, 5)); } };
    const fd = native.memfdCreate("garbage", 0);
    native.ftruncate(fd, 4096);
    const memory = () => native.mapMemory({ fd, length: 4096, flags: 1 });
    const io = () => native.mapIo({ fd, length: 4096, flags: 1 });
  `;
  const run = (code: string): string => {
    const exit = runNode(`${prelude} ${mappings} (async () => { ${code} })();`, ["--expose-gc"]);
    expect(exit).toMatchObject({ status: 0, stderr: "" });
    return exit.stdout.trim();
  };

  it("is unmapped when neither the buffer nor a function is reachable", () => {
    const counts = run(`
      (() => { for (let i = 0; i < 10; i++) { memory(); io(); } })();
      const before = maps(); await settle(); console.log(before, maps());`);
    expect(counts).toBe("20 0");
  });

  it("is not what the unmap function, the buffer or a mapping of registers still reaches", () => {
    const counts = run(`
      const unmap = (() => memory().unmap)();
      const view = (() => new Uint8Array(memory().buffer))();
      const read8 = (() => { const registers = io(); return (offset) => registers.read8(offset); })();
      await settle();
      view[3] = 9;
      console.log(maps(), read8(3), unmap(), maps());`);
    expect(counts).toBe("3 9 0 2");
  });

  it("is not a buffer that was transferred, until that one is garbage", () => {
    const counts = run(`
      let moved = (() => { const { buffer } = memory(); return buffer.transfer ? buffer.transfer() : buffer; })();
      await settle();
      new Uint8Array(moved)[0] = 1;
      const before = maps(); moved = null; await settle(); console.log(before, maps());`);
    expect(counts).toBe("1 0");
  });

  itWithoutSanitizers(
    "does not pile up over 10,000 mappings, unmapped or dropped",
    () => {
      const growth = run(`
      const rss = () => process.memoryUsage.rss() / 2 ** 20;
      const round = async (count) => {
        for (let i = 0; i < count; i++) {
          const kept = memory(); new Uint8Array(kept.buffer)[0] = 1;
          const registers = io(); registers.write8(0, 1);
          if (i % 2) { kept.unmap(); registers.unmap(); }
          if (i % 500 === 499) await settle();
        }
      };
      await round(2000); const before = rss();
      await round(10000); console.log(Math.round(rss() - before), maps());`);
      const [megabytes, left] = growth.split(" ").map(Number);
      expect(megabytes).toBeLessThan(16);
      expect(left).toBe(0);
    },
    60_000,
  );
});
