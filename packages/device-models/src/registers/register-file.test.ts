import { RegisterFile, placedAt, registerMap } from "./index";

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function read(file: RegisterFile, offset: number, length: number): number[] {
  const into = new Uint8Array(length);
  file.read(offset, into);
  return [...into];
}

const sample = registerMap("sample", 0x40, {
  ID: { offset: 0, bytes: 1, reset: 0x5a },
  CONTROL: { offset: 2, bytes: 2, readWrite: 0x0f0f },
  STATUS: { offset: 4, bytes: 4, reset: 0xff, writeOneToClear: 0x0f, readToClear: 0xf0 },
  ADDRESS: { offset: 8, bytes: 8, readWrite: 0xffff_ffff_ffff_ffc0n },
  WORDS: { offset: 0x10, bytes: 4, readWrite: 0xffff_ffff, accessBytes: [4], repeat: { count: 2, stride: 8 } },
  STICKY: { offset: 0x20, bytes: 4, readWrite: 0xffff_ffff, sticky: 0xff },
});

describe("RegisterFile", () => {
  it("keeps read-only bits, stores read-write bits", () => {
    const file = new RegisterFile(sample);
    file.write(0, bytes(0, 0, 0xff, 0xff));
    expect(read(file, 0, 4)).toEqual([0x5a, 0, 0x0f, 0x0f]);
  });

  it("clears by writing 1 and by reading", () => {
    const file = new RegisterFile(sample);
    file.write(4, bytes(0x05));
    expect(file.registers.STATUS.value).toBe(0xfa);
    expect(read(file, 4, 1)).toEqual([0xfa]);
    expect(file.registers.STATUS.value).toBe(0x0a);
  });

  it("takes a 64-bit register in halves", () => {
    const file = new RegisterFile(sample);
    file.write(12, bytes(1, 2, 3, 4));
    file.write(8, bytes(0xff, 0, 0, 0x80));
    expect(file.registers.ADDRESS.value).toBe(0x0403_0201_8000_00c0n);
    expect(file.registers.ADDRESS.low).toBe(0x8000_00c0);
  });

  it("tells hooks what was written and where", () => {
    const seen: unknown[] = [];
    const file = new RegisterFile(sample, {
      ADDRESS: { afterWrite: (written, lanes) => seen.push([written, lanes]) },
      WORDS: { afterWrite: (written, _lanes, index) => seen.push([written, index]) },
    });
    file.write(12, bytes(1, 0, 0, 0));
    file.write(0x18, bytes(7, 0, 0, 0));
    expect(seen).toEqual([
      [0x1_0000_0000n, 0xf0],
      [7, 1],
    ]);
  });

  it("refreshes before a read and drops writes to a locked register", () => {
    const file: RegisterFile<(typeof sample)["declarations"]> = new RegisterFile(sample, {
      ID: { beforeRead: () => (file.registers.ID.value = 7) },
      CONTROL: { writable: () => false },
    });
    file.write(2, bytes(0xff, 0xff));
    expect(read(file, 0, 4)).toEqual([7, 0, 0, 0]);
  });

  it("refuses a width that is not declared", () => {
    const file = new RegisterFile(sample);
    file.write(0x10, bytes(1, 2));
    expect(read(file, 0x10, 2)).toEqual([0xff, 0xff]);
    expect(read(file, 0x10, 4)).toEqual([0, 0, 0, 0]);
  });

  it("reads 0 between registers and all ones outside the map", () => {
    const file = new RegisterFile(sample);
    expect(read(file, 0x3f, 2)).toEqual([0, 0xff]);
    expect(() => file.write(0x3f, bytes(1, 2, 3))).not.toThrow();
  });

  it("resets, keeping sticky bits when asked", () => {
    const file = new RegisterFile(sample);
    file.write(0x20, bytes(1, 2, 3, 4));
    file.reset({ keepSticky: true });
    expect(file.registers.STICKY.value).toBe(1);
    file.reset();
    expect(file.registers.STICKY.value).toBe(0);
  });
});

describe("registerMap", () => {
  it.each([
    ["overlap", { A: { offset: 0, bytes: 4 }, B: { offset: 2, bytes: 2 } }, /A and B overlap at 0x2/],
    ["misalignment", { A: { offset: 2, bytes: 4 } }, /not a multiple/],
    ["end beyond the map", { A: { offset: 0x10, bytes: 4 } }, /ends at 0x14, the map at 0x10/],
    ["a mask beyond the width", { A: { offset: 0, bytes: 1, readWrite: 0x100 } }, /does not fit/],
    ["masks that overlap", { A: { offset: 0, bytes: 1, readWrite: 3, writeOneToClear: 1 } }, /overlaps another mask/],
    ["a stride below the width", { A: { offset: 0, bytes: 4, repeat: { count: 2, stride: 2 } } }, /stride/],
    ["a repeated register beyond the map", { A: { offset: 0, bytes: 4, repeat: { count: 5 } } }, /A\[4\] ends/],
  ] as const)("refuses %s", (_, declarations, message) => {
    expect(() => registerMap("wrong", 0x10, declarations)).toThrow(message);
  });

  it("moves a block to its base", () => {
    expect(placedAt(0x80, { A: { offset: 4, bytes: 4 } }).A.offset).toBe(0x84);
  });
});
