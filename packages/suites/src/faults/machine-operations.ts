import { constants, writeFileSync } from "node:fs";
import { Iommu, type IommuMode, PciDevice, VfioError } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedDriver, skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import type { FailingCalls } from "./failing-calls";
import { leaving, type Operation } from "./operation";

const DRIVER = "vfio-pci";

const GROUP_NOT_CREATED = {
  pattern: /WARNING: drivers\/vfio\/group\.c:\d+ at vfio_group_release/,
  finding: "docs/kernel-findings/group-that-cannot-be-created.md",
};

/**
 * What root does to the machine for VFIO, by sysfs: the same in every mode. Enabling virtual functions is not among it: where
 * device_add fails, pci_device_add (drivers/pci/probe.c) warns and goes on, and pci_iov_add_virtfn then removes a device that was
 * never added.
 */
export const MACHINE_OPERATIONS: readonly Operation[] = [
  {
    name: "binding",
    defect: GROUP_NOT_CREATED,
    prepare: (mode, address, calls) => {
      const driver = vfioDriverOf(address);
      driver.unbind();
      return {
        act: leaving(() => writeFailing(calls, systemPaths.sys("bus", "pci", "drivers", DRIVER, "bind"), address)),
        verify: (whole) => {
          expect(driver.current).toBe(DRIVER);
          // Without memory for the device's file devtmpfs makes none, and the driver is bound all the same.
          if (!whole && !opens(mode, address)) {
            driver.unbind();
            driver.bind(DRIVER);
          }
          expect(opens(mode, address)).toBe(true);
        },
        [Symbol.dispose]: () => driver[Symbol.dispose](),
      };
    },
  },
  {
    name: "unbinding",
    prepare: (_mode, address, calls) => {
      const driver = vfioDriverOf(address);
      return {
        act: () => {
          writeFailing(calls, systemPaths.sys("bus", "pci", "drivers", DRIVER, "unbind"), address);
          return { [Symbol.dispose]: () => writeFileSync(systemPaths.sys("bus", "pci", "drivers_probe"), address) };
        },
        verify: () => expect(driver.current).toBeUndefined(),
        [Symbol.dispose]: () => driver[Symbol.dispose](),
      };
    },
  },
];

/** Whether the device's file is there and can be opened. */
function opens(mode: IommuMode, address: string): boolean {
  try {
    using iommu = new Iommu(mode.open());
    using _device = PciDevice.open(iommu, address);
    return true;
  } catch (error) {
    if (error instanceof VfioError && error.code === "ENOENT") return false;
    throw error;
  }
}

function vfioDriverOf(address: string): GuardedDriver {
  const driver = new GuardedDriver(address);
  if (driver.current === DRIVER) return driver;
  driver[Symbol.dispose]();
  skip({ reason: `${address} is bound to ${driver.current ?? "no driver"}`, remedy: `bind it to ${DRIVER}` });
}

/** One write to a file of sysfs, and only the write can fail. */
function writeFailing({ kernel }: FailingCalls, path: string, text: string): void {
  const fd = native.open(path, constants.O_WRONLY);
  if (fd < 0) throw systemError(fd, "open", { subject: path });
  try {
    const result = kernel.calls.write(fd, Buffer.from(text));
    if (result < 0) throw systemError(result, "write", { subject: path });
  } finally {
    native.close(fd);
  }
}
