import { existsSync } from "node:fs";
import { join } from "node:path";
import { makeTestHost } from "../testing/test-host";
import { requireDiskSpace } from "./disk-space";

const MIB = 1024 * 1024;

test("too little space is told in figures, and nothing is created", () => {
  using host = makeTestHost({ freeBytes: 100 * MIB });
  const folder = join(host.folder, "cache", "vfio-selftests");
  expect(() => {
    requireDiskSpace(host, folder, 600 * MIB, "QEMU");
  }).toThrow(
    expect.objectContaining({
      code: "ENOSPC",
      message: expect.stringMatching(/600 MiB needed, 100 MiB free at .*\n.*free 500 MiB.*XDG_CACHE_HOME/) as string,
    }) as Error,
  );
  expect(existsSync(join(host.folder, "cache"))).toBe(false);
});

test("exactly enough is enough", () => {
  using host = makeTestHost({ freeBytes: 600 * MIB });
  expect(() => {
    requireDiskSpace(host, host.folder, 600 * MIB, "QEMU");
  }).not.toThrow();
});
