import { RegisterFile } from "./register-file";
import { registerMap } from "./register-map";
import { RegisterWindows } from "./register-windows";

const MIB = 1024 ** 2;
const file = () =>
  new RegisterFile(registerMap("block", 0x10, { WORD: { offset: 0x4, bytes: 4, readWrite: 0xffff_ffff } }));

it("puts blocks at their places, and nothing in between", () => {
  const [low, high] = [file(), file()];
  const windows = new RegisterWindows(16 * MIB, [
    { at: 0x80_0000, registers: high },
    { at: 0x1000, registers: low },
  ]);
  windows.write(0x1004, 4, 0x1122_3344);
  windows.write(0x80_0006, 2, 0x5566);
  windows.write(0x1014, 4, 0xffff_ffff);
  expect([low.registers.WORD.value, high.registers.WORD.value]).toEqual([0x1122_3344, 0x5566_0000]);
  expect([windows.read(0x1004, 4), windows.read(0x1005, 1), windows.read(0x80_0004, 4)]).toEqual([
    0x1122_3344, 0x33, 0x5566_0000,
  ]);
  expect([windows.read(0x1014, 4), windows.read(0xfff, 1), windows.read(0xff_fffc, 4)]).toEqual([0, 0, 0]);
});

it("gives a silent block's answer by bytes, and loses writes to it", () => {
  const registers = file();
  let silent = true;
  const silence = (offset: number) => (silent && offset === 0x4 ? 0xbadf_5620 : undefined);
  const windows = new RegisterWindows(0x1000, [{ at: 0x100, registers, silence }]);
  windows.write(0x104, 4, 7);
  expect([windows.read(0x104, 4), windows.read(0x104, 2), windows.read(0x108, 4)]).toEqual([0xbadf_5620, 0x5620, 0]);
  silent = false;
  expect(windows.read(0x104, 4)).toBe(0);
});

it.each([
  ["overlap", [0x100, 0x108]],
  ["lie askew", [0x104]],
  ["do not fit", [0xff8]],
])("refuses windows that %s", (_, places) => {
  expect(
    () =>
      new RegisterWindows(
        0x1000,
        places.map((at) => ({ at, registers: file() })),
      ),
  ).toThrow(RangeError);
});
