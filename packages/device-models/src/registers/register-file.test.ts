import { placedAt, RegisterFile, registerMap } from "./index";

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
    file.write(0, 4, 0xffff_0000);
    expect(file.read(0, 4)).toBe(0x0f0f_005a);
  });

  it("clears by writing 1 and by reading", () => {
    const file = new RegisterFile(sample);
    file.write(4, 1, 0x05);
    expect(file.registers.STATUS.value).toBe(0xfa);
    expect(file.read(4, 1)).toBe(0xfa);
    expect(file.registers.STATUS.value).toBe(0x0a);
  });

  it("takes a 64-bit register in halves", () => {
    const file = new RegisterFile(sample);
    file.write(12, 4, 0x0403_0201);
    file.write(8, 4, 0x8000_00ff);
    expect(file.registers.ADDRESS.value).toBe(0x0403_0201_8000_00c0n);
    expect(file.read64(8)).toBe(0x0403_0201_8000_00c0n);
    expect(file.read(12, 2)).toBe(0x0201);
    expect(file.registers.ADDRESS.low).toBe(0x8000_00c0);
  });

  it("passes hooks the written value and bytes", () => {
    const seen: unknown[] = [];
    const file = new RegisterFile(sample, {
      ADDRESS: { afterWrite: (written, lanes) => seen.push([written, lanes]) },
      WORDS: { afterWrite: (written, _lanes, index) => seen.push([written, index]) },
    });
    file.write(12, 4, 1);
    file.write64(8, 0x1_0000_00c0n);
    file.write(0x18, 4, 7);
    expect(seen).toEqual([
      [0x1_0000_0000n, 0xf0],
      [0x1_0000_00c0n, 0xff],
      [7, 1],
    ]);
  });

  it("refreshes before a read and drops writes to a locked register", () => {
    const file: RegisterFile<(typeof sample)["declarations"]> = new RegisterFile(sample, {
      ID: { beforeRead: () => (file.registers.ID.value = 7) },
      CONTROL: { writable: () => false },
    });
    file.write(2, 2, 0xffff);
    expect(file.read(0, 4)).toBe(7);
  });

  it("refuses a width that is not declared", () => {
    const file = new RegisterFile(sample);
    file.write(0x10, 2, 0x0201);
    expect(file.read(0x10, 2)).toBe(0xffff);
    expect(file.read(0x10, 4)).toBe(0);
    file.write64(0x10, 0x0000_0002_0000_0001n);
    expect(file.read64(0x10)).toBe(1n);
  });

  it("refuses an access of a declared width that is not aligned to it", () => {
    const file = new RegisterFile(
      registerMap("halves", 0x8, {
        PAIR: { offset: 0, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, accessBytes: [4] },
      }),
    );
    file.write(2, 4, 0x0403_0201);
    expect(file.read(2, 4)).toBe(0xffff_ffff);
    file.write(4, 4, 0x0403_0201);
    expect(file.registers.PAIR.value).toBe(0x0403_0201_0000_0000n);
  });

  it("reads 0 and ignores writes between registers and outside the map", () => {
    const file = new RegisterFile(sample);
    file.write64(0x38, 0xffff_ffff_ffff_ffffn);
    file.write(0x40, 4, 1);
    expect(file.read64(0x38)).toBe(0n);
    expect(file.read(0x40, 4)).toBe(0);
  });

  it("resets, keeping sticky bits when asked", () => {
    const file = new RegisterFile(sample);
    file.write(0x20, 4, 0x0403_0201);
    file.reset({ keepSticky: true });
    expect(file.registers.STICKY.value).toBe(1);
    file.reset();
    expect(file.registers.STICKY.value).toBe(0);
  });

  it("keeps sticky bits in both halves of a 64-bit register", () => {
    const wide = { offset: 0, bytes: 8, readWrite: 0xffff_ffff_ffff_ffffn, sticky: 0xff00_0000_0000_00ffn } as const;
    const file = new RegisterFile(registerMap("wide", 0x8, { WIDE: wide }));
    file.write64(0, 0x1122_3344_5566_7788n);
    file.reset({ keepSticky: true });
    expect(file.registers.WIDE.value).toBe(0x1100_0000_0000_0088n);
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
