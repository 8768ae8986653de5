import { randomFillSync } from "node:crypto";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { DriverSession } from "@vfio-selftests/core/driver";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { ioatDriver } from "@vfio-selftests/driver-ioat";
import { defaultMode, fixture, GuardedDriver, requireMode, skip } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";
import { channelOf, dmatest } from "./dmatest";

/** An IOAT function that the model stands for (packages/device-models/docs/ioat.md). */
const IOAT = { vendor: "0x8086", device: "0x2021" } as const;
const MIB = 1024 ** 2;
const COPIES = 10_000;
/** dmatest's default of 16 KiB takes four times as long to compare, and finds nothing more in a model. */
const BUFFER_BYTES = 4096;
const CHANNEL_TIMEOUT_MS = 20_000;
const DMATEST_TIMEOUT_MS = 600_000;
jest.setTimeout(CHANNEL_TIMEOUT_MS + DMATEST_TIMEOUT_MS + 60_000);

const attribute = (address: string, name: string): string | undefined =>
  readAttribute(systemPaths.pciDevice(address, name))?.trim();
const isIoat = (address: string): boolean =>
  attribute(address, "vendor") === IOAT.vendor && attribute(address, "device") === IOAT.device;

const target = kernelTarget();
const mode = defaultMode(target);

/** The kernel's own driver, which takes the model for silicon. */
fixture("kernel_ioatdma", { devices: target.devices.filter(isIoat).slice(0, 1) }, (address) => {
  let owner: GuardedDriver | undefined;

  requireMode(mode);
  onlyInLab("the test gives the device to a driver of the kernel");
  beforeEach(() => {
    if (!listDirectory(systemPaths.sys("bus", "pci", "drivers")).includes("ioatdma")) {
      skip({ reason: "the kernel has no ioatdma (CONFIG_INTEL_IOATDMA)", remedy: "use the lab's x86 kernel" });
    }
    owner = new GuardedDriver(address);
    // ioat_probe runs a self-test: a device that fails it gets no driver.
    owner.bind("ioatdma");
    expect(owner.current).toBe("ioatdma");
  });
  afterEach(() => {
    owner?.[Symbol.dispose]();
    owner = undefined;
  });

  it("copies_10000_times_for_dmatest", async () => {
    const channel = await channelOf(address, CHANNEL_TIMEOUT_MS);
    const work = { copies: COPIES, bufferBytes: BUFFER_BYTES, timeoutMs: DMATEST_TIMEOUT_MS };
    expect(await dmatest(channel, work)).toEqual({ tests: COPIES, failures: 0, complaints: [] });
  });

  it("leaves_a_device_that_copies_for_vfio", () => {
    owner?.bind("vfio-pci");
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    using memory = DmaMemory.allocate(2 * MIB);
    using source = iommu.map(memory, { length: MIB });
    using destination = iommu.map(memory, { offset: MIB, length: MIB });
    using session = new DriverSession(ioatDriver, device, iommu);
    randomFillSync(source.bytes);
    session.memcpySync(source.iova, destination.iova, MIB);
    expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0);
  });
});
