import { randomFillSync } from "node:crypto";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { type Driver, DriverSession } from "@vfio-selftests/core/driver";
import { listDirectory, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, fixture, GuardedDriver, requireMode, skip } from "@vfio-selftests/harness";
import { onlyInLab } from "../only-in-lab";

const MIB = 1024 ** 2;

/** A driver of the kernel's, and what the skip says where the kernel has none. */
export interface KernelDriver {
  /** Its name in /sys/bus/pci/drivers. */
  readonly name: string;
  /** Vendor and device of a function that it drives, as in sysfs. */
  readonly id: `0x${string}:0x${string}`;
  /** The option of the kernel without which it is missing. */
  readonly option: string;
}

const target = kernelTarget();
const mode = defaultMode(target);

function idOf(address: string): string {
  const attribute = (name: string): string => readAttribute(systemPaths.pciDevice(address, name))?.trim() ?? "";
  return `${attribute("vendor")}:${attribute("device")}`;
}

/** Tests of the first such function. The kernel's driver has it at the start of each, and gives it back after it. */
export function kernelDriverFixture(
  { name, id, option }: KernelDriver,
  define: (address: string, owner: () => GuardedDriver) => void,
): void {
  const devices = target.devices.filter((address) => idOf(address) === id).slice(0, 1);
  fixture(`kernel_${name}`, { devices }, (address) => {
    let owner: GuardedDriver | undefined;

    requireMode(mode);
    onlyInLab("the test gives the device to a driver of the kernel");
    beforeEach(() => {
      if (!listDirectory(systemPaths.sys("bus", "pci", "drivers")).includes(name)) {
        skip({ reason: `the kernel has no ${name} (${option})`, remedy: "use the lab's own x86 kernel" });
      }
      owner = new GuardedDriver(address);
      owner.bind(name);
      expect(owner.current).toBe(name);
    });
    afterEach(() => {
      owner?.[Symbol.dispose]();
      owner = undefined;
    });

    define(address, () => {
      if (owner === undefined) throw new Error("the device has its driver in a test alone");
      return owner;
    });
  });
}

/** Lets our own driver copy with a device that the kernel's driver has had. */
export function copyThroughVfio(owner: GuardedDriver, driver: Driver): void {
  owner.bind("vfio-pci");
  using iommu = new Iommu(mode.open());
  using device = PciDevice.open(iommu, owner.address);
  using memory = DmaMemory.allocate(2 * MIB);
  using source = iommu.map(memory, { length: MIB });
  using destination = iommu.map(memory, { offset: MIB, length: MIB });
  using session = new DriverSession(driver, device, iommu);
  randomFillSync(source.bytes);
  session.memcpySync(source.iova, destination.iova, MIB);
  expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0);
}
