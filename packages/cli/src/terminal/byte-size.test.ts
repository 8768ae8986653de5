import { byteSize } from "./byte-size";

it.each([
  [0n, "0 B"],
  [100, "100 B"],
  [4096n, "4 KiB"],
  [131072, "128 KiB"],
  [3n << 29n, "1536 MiB"],
  [1n << 63n, "8 EiB"],
])("%s", (bytes, expected) => {
  expect(byteSize(bytes)).toBe(expected);
});
