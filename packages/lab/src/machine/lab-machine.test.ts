import { describeMachine, type LabMachineOptions } from "./lab-machine";

test("every part has a default", () => {
  const { devices, iommu, kernel, ...rest } = describeMachine({});
  expect(devices.map(({ device }) => device.name)).toEqual(["igb"]);
  expect(iommu.name).toBe("intel");
  expect(kernel).toBeUndefined();
  expect(rest).toEqual({
    memoryMiB: 6144,
    cpus: 2,
    hugePages: { gib1: 1, mib2: 64 },
    kernelParameters: [],
    writable: [],
    bootTimeoutMs: 60_000,
    slowdown: 1,
  });
});

test.each<[LabMachineOptions, RegExp]>([
  [{ iommu: "foo" }, /"foo".*none/],
  [{ devices: ["ibg"] }, /"ibg".*igb/],
  [{ memoryMiB: 1 }, /512 to 1048576/],
  [{ memoryMiB: 1024.5 }, /whole number/],
  [{ cpus: 0 }, /1 to 64/],
  [{ cpus: 65 }, /1 to 64/],
  [{ bootTimeoutMs: 0 }, /boot time-out/],
  [{ bootTimeoutMs: 2 ** 31 }, /boot time-out/],
  [{ slowdown: 0.5 }, /slowdown/],
  [{ hugePages: { gib1: -1, mib2: 0 } }, /huge pages of 1 GiB/],
  [{ hugePages: { gib1: 0, mib2: Number.NaN } }, /huge pages of 2 MiB/],
  [{ kernelParameters: ["quiet -- sh"] }, /without a -- of their own/],
  [{ kernelParameters: ["a\nb"] }, /on one line/],
  [{ kernelParameters: [""] }, /kernel parameters/],
  [{ kernelParameters: ["x=".padEnd(1201, "y")] }, /1200 bytes/],
  [{ writable: ["/nowhere"] }, /a folder that exists/],
])("%j is refused with what is allowed", (options, message) => {
  expect(() => describeMachine(options)).toThrow(
    expect.objectContaining({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringMatching(message) as string,
    }) as Error,
  );
});

test("a kernel that is none is refused", () => {
  expect(() => describeMachine({ kernel: __filename })).toThrow(/is not a Linux kernel image/);
});
