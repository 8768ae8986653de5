import { existsPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedDriver, skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";

/** The kernel's driver of serial cards takes whatever it is told to, by the number of a card with one port (8250_pci.c). */
const DRIVER = "serial";
const ONE_PORT = 1;

/** A PCI function that a driver of the host has, which does DMA as the kernel wants. The disposal gives it back. */
export class HostDriver implements Disposable {
  readonly #guarded: GuardedDriver;
  readonly #id: string;

  /** Skips the test outside the lab, and where the kernel has no such driver. */
  constructor({ kind }: SuiteTarget, address: string) {
    if (kind !== "lab") {
      skip({
        reason: "the test binds the device to another driver",
        remedy: "run it in the lab: vfio-selftests lab run",
      });
    }
    if (!existsPath(driverFile("new_id"))) {
      skip({ reason: `the kernel has no driver ${DRIVER}`, remedy: "a kernel with CONFIG_SERIAL_8250_PCI" });
    }
    this.#guarded = new GuardedDriver(address);
    const [vendor = "", device = ""] = ["vendor", "device"].map(
      (name) => readAttribute(systemPaths.pciDevice(address, name))?.trim() ?? "",
    );
    this.#id = `${vendor} ${device}`;
    this.#guarded.unbind();
    systemPaths.write(driverFile("new_id"), `${this.#id} ffffffff ffffffff 0 0 ${ONE_PORT}`);
    this.#guarded.bind(DRIVER);
    if (this.#guarded.current !== DRIVER) {
      this[Symbol.dispose]();
      skip({ reason: `the driver ${DRIVER} did not take ${address}`, remedy: "use QEMU's edu: --device edu-group" });
    }
  }

  [Symbol.dispose](): void {
    systemPaths.write(driverFile("remove_id"), this.#id);
    this.#guarded[Symbol.dispose]();
  }
}

function driverFile(name: string): string {
  return systemPaths.sys("bus", "pci", "drivers", DRIVER, name);
}
