import { IoatFixture, Offset } from "../testing/ioat-fixture";

describe("IOAT registers", () => {
  it("introduces itself as one channel of version 3.3 that moves 1 MiB at a time", () => {
    const { bar, config } = new IoatFixture();
    expect(config.read(0, 4)).toBe(0x2021_8086);
    expect(bar.read(Offset.CHANCNT, 1)).toBe(1);
    expect(bar.read(Offset.XFERCAP, 1)).toBe(20);
    expect(bar.read(Offset.CBVER, 1)).toBe(0x33);
    expect(bar.read(Offset.DMACAPABILITY, 4)).toBe(0x41);
  });

  it("gives the general registers in one wide read", () => {
    expect(new IoatFixture().bar.read(0, 4)).toBe(0x0000_1401);
  });

  it("starts halted, without an error or a descriptor", () => {
    const ioat = new IoatFixture();
    expect(ioat.bar.read64?.(Offset.CHANSTS)).toBe(3n);
    expect(ioat.error).toBe(0);
  });

  it("gives the channel to the first reader of In Use, until its release", () => {
    const { bar } = new IoatFixture();
    expect(bar.read(Offset.CHANCTRL, 2) & 0x100).toBe(0);
    expect(bar.read(Offset.CHANCTRL, 2) & 0x100).toBe(0x100);
    bar.write(Offset.CHANCTRL, 2, 0);
    expect(bar.read(Offset.CHANCTRL, 2) & 0x100).toBe(0);
  });

  it("does not give the channel to a read of the other byte", () => {
    const { bar } = new IoatFixture();
    bar.read(Offset.CHANCTRL, 1);
    expect(bar.read(Offset.CHANCTRL, 2) & 0x100).toBe(0);
  });

  it("clears master interrupt enable when INTRCTRL is read", () => {
    const { bar } = new IoatFixture();
    bar.write(Offset.INTRCTRL, 1, 0x09);
    expect(bar.read(Offset.INTRCTRL, 1)).toBe(0x09);
    expect(bar.read(Offset.INTRCTRL, 1)).toBe(0x08);
  });

  it("has its MSI-X table and pending bits at 8 and 12 KiB of BAR0", () => {
    const { bar, config } = new IoatFixture();
    expect(config.read(0x34, 1)).toBe(0x80);
    expect(config.read(0x80, 4)).toBe(0x0000_9011);
    expect(config.read(0x84, 4)).toBe(0x2000);
    expect(config.read(0x88, 4)).toBe(0x3000);
    expect(bar.read(0x200c, 4)).toBe(1);
    bar.write(0x2000, 4, 0xfee0_0003);
    expect(bar.read(0x2000, 4)).toBe(0xfee0_0000);
  });

  it("keeps config space through VFIO's reset, but not through a function level reset", () => {
    const { model, config } = new IoatFixture();
    config.write(0x10, 4, 0xe000_0000);
    model.reset();
    expect(config.read(0x10, 4)).toBe(0xe000_0004);
    config.write(0x98, 2, 0x8000);
    expect(config.read(0x10, 4)).toBe(0x4);
    expect(config.read(0x04, 2)).toBe(0);
    expect(config.read(0x98, 2) & 0x8000).toBe(0);
  });
});
