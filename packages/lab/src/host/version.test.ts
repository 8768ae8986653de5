import { atLeast, parseVersion } from "./version";

test.each([
  ["QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)", [11, 1]],
  ["QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7+deb12u15)", [7, 2]],
  ["QEMU emulator version 10.0.50 (v10.0.0-1234-gabcdef)", [10, 0]],
])("%s", (text, version) => {
  expect(parseVersion(text, "QEMU emulator version")).toEqual(version);
});

test("another program's output has no version", () => {
  expect(parseVersion("virtiofsd 1.13.2", "QEMU emulator version")).toBeUndefined();
  expect(parseVersion("QEMU emulator version unknown", "QEMU emulator version")).toBeUndefined();
});

test("versions compare by number, major first", () => {
  expect(atLeast([10, 1], [10, 1])).toBe(true);
  expect(atLeast([11, 0], [10, 1])).toBe(true);
  expect(atLeast([10, 0], [10, 1])).toBe(false);
  expect(atLeast([9, 2], [10, 1])).toBe(false);
  expect(atLeast([10, 10], [10, 9])).toBe(true);
});
