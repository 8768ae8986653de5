import { native } from "@vfio-selftests/native";
import type { MemoryBacking } from "../contracts/memory";
import { hugePageCounts } from "../sysfs/huge-pages";
import { openDescriptors } from "../testing/open-descriptors";
import { DmaMemory } from "./dma-memory";

describe("DmaMemory", () => {
  it.each<MemoryBacking>(["anonymous", "shared", "memfd"])(
    "gives zeroed, writable %s memory in whole pages",
    (backing) => {
      const memory = DmaMemory.allocate(5000, { backing });
      expect(memory.length).toBe(8192);
      const bytes = new Uint8Array(memory.buffer);
      expect(bytes.length).toBe(8192);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes[8191] = 7;
      expect(new Uint8Array(memory.buffer)[8191]).toBe(7);
      memory.close();
    },
  );

  it("aligns its address as asked", () => {
    for (const alignment of [4096, 2 ** 21, 2 ** 30]) {
      const memory = DmaMemory.allocate(4096, { alignment });
      expect(memory.address % BigInt(alignment)).toBe(0n);
      memory.close();
    }
  });

  it("lets another mapping of its memfd see the same bytes, and nobody shrink it", () => {
    const memory = DmaMemory.allocate(4096, { backing: "memfd" });
    const fd = memory.file?.fd ?? -1;
    new Uint8Array(memory.buffer)[1] = 42;
    const seen = new Uint8Array(2);
    native.pread(fd, seen, 0);
    expect([...seen]).toEqual([0, 42]);
    expect(native.ftruncate(fd, 0)).toBe(-1);
    memory.close();
    expect(native.pread(fd, seen, 0)).toBe(-9);
  });

  it("gives its memory back on close, once, and refuses use afterwards", () => {
    const memory = DmaMemory.allocate(4096);
    const bytes = new Uint8Array(memory.buffer).fill(7);
    memory.close();
    memory.close();
    expect(memory.closed).toBe(true);
    expect(bytes[0]).toBe(0);
    expect(() => memory.buffer).toThrow("4096 bytes of anonymous memory at 0x");
  });

  it("gives no number of a file that is closed, which is another file's by then", () => {
    const memory = DmaMemory.allocate(4096, { backing: "memfd" });
    memory.close();
    expect(() => memory.file).toThrow("DmaMemory.file: memfd of 4096 bytes is closed");
  });

  it.each([3, 2 ** 47, 2 ** 60, Infinity])("leaves no descriptor behind when it refuses alignment %p", (alignment) => {
    const before = openDescriptors();
    expect(() => DmaMemory.allocate(4096, { backing: "memfd", alignment })).toThrow(
      `alignment is ${alignment}; allowed: a power of two, at most 2^46`,
    );
    expect(openDescriptors()).toBe(before);
  });

  it.each([
    [0, {}, "length is 0"],
    [1.5, {}, "length is 1.5"],
    [4096, { alignment: 3 }, "a power of two"],
    [4096, { backing: "paper" as MemoryBacking }, 'backing is "paper"; allowed: anonymous, shared, memfd'],
  ])("refuses allocate(%p, %p)", (length, options, message) => {
    expect(() => DmaMemory.allocate(length, options)).toThrow(message);
  });

  it("says how many huge pages there are when there are not enough", () => {
    // More than any machine has reserved, and less than an address space.
    const allocate = () => DmaMemory.allocate(2 ** 40, { backing: "hugetlb-2m" });
    if (hugePageCounts(2 ** 21) === undefined) {
      expect(allocate).toThrow("no huge pages of 2 MiB");
    } else {
      expect(allocate).toThrow(/not enough huge pages of 2 MiB: 524288 needed; \d+ reserved, \d+ free/);
      expect(allocate).toThrow("hugepages-2048kB/nr_hugepages");
    }
  });
});
