import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeMachine, type LabMachineOptions } from "./lab-machine";

test("every part has a default", () => {
  const { architecture, devices, iommu, kernel, modules, ...rest } = describeMachine({});
  expect(architecture.name).toBe("x86_64");
  expect(devices.map(({ device }) => device.name)).toEqual(["igb"]);
  expect(iommu.name).toBe("intel");
  expect(kernel).toBeUndefined();
  expect(modules).toBeUndefined();
  expect(rest).toEqual({
    memoryMiB: 6144,
    cpus: 2,
    hugePages: { gib1: 1, mib2: 64 },
    kernelParameters: [],
    qemuArguments: [],
    writable: [],
    bootTimeoutMs: 60_000,
    slowdown: 1,
  });
});

test.each<[LabMachineOptions, RegExp]>([
  [{ iommu: "foo" }, /"foo".*none/],
  [{ arch: "mips" as "arm64" }, /"mips".*x86_64, arm64/],
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
  [{ qemuArguments: ["-device", ""] }, /qemu-arg is "".*--qemu-arg=-device/],
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

test("the image is one of the VM's architecture", () => {
  const folder = mkdtempSync(join(tmpdir(), "lab-image-"));
  try {
    const kernel = join(folder, "Image");
    // Documentation/arch/arm64/booting.rst: the magic number is at byte 56.
    writeFileSync(kernel, Buffer.concat([Buffer.alloc(56), Buffer.from("ARMd"), Buffer.alloc(1000)]));
    expect(describeMachine({ arch: "arm64", kernel }).kernel).toBe(kernel);
    expect(() => describeMachine({ kernel })).toThrow(/neither bzImage nor vmlinux/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("without an IOMMU's name an arm64 VM has an SMMUv3, behind which no model in another process can do DMA", () => {
  expect(describeMachine({ arch: "arm64" }).iommu.name).toBe("smmuv3");
  expect(() => describeMachine({ arch: "arm64", devices: ["vfio-user:/nowhere"] })).toThrow(/behind the IOMMU smmuv3/);
});
