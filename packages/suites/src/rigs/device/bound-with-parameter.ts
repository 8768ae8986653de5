import { join } from "node:path";
import { existsPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedDriver, GuardedValue, skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import { requireBrought } from "../kernel/brought-by-linux";

/** Parameters of vfio-pci that a device keeps as they were when it was bound (vfio_pci_init_dev). */
export type KeptParameter = "nointxmask" | "disable_idle_d3";

/** A device that vfio-pci bound while its parameter was set. The parameter is as before; the disposal binds it again. */
export class BoundWithParameter implements Disposable {
  readonly #driver: GuardedDriver;

  /** Skips the test outside the lab, and where the parameter is set anyway. */
  constructor({ kind }: SuiteTarget, address: string, name: KeptParameter) {
    if (kind !== "lab") {
      skip({ reason: "the test binds the device anew", remedy: "run it in the lab: vfio-selftests lab run" });
    }
    if (valueOf(name) !== "N") {
      skip({ reason: `vfio-pci's parameter ${name} is set`, remedy: `run without vfio_pci.${name}=1` });
    }
    requireKeptParameters(address, name);
    this.#driver = new GuardedDriver(address);
    using parameter = new GuardedValue(pathOf(name));
    parameter.set("Y");
    this.#driver.bind(this.#name);
  }

  get #name(): string {
    return this.#driver.original ?? "vfio-pci";
  }

  [Symbol.dispose](): void {
    this.#driver.bind(this.#name);
    this.#driver[Symbol.dispose]();
  }
}

/** debugfs shows what a device has kept. Where it shows no VFIO, an older kernel cannot be asked, and the test runs. */
function requireKeptParameters(address: string, name: KeptParameter): void {
  const shown = systemPaths.sys("kernel", "debug", "vfio");
  requireBrought(
    "parameters of vfio-pci that hold from the binding of a device",
    () => !existsPath(shown) || existsPath(join(shown, address, "pci", name)),
  );
}

function valueOf(name: KeptParameter): string | undefined {
  return readAttribute(pathOf(name))?.trim();
}

function pathOf(name: KeptParameter): string {
  return systemPaths.sys("module", "vfio_pci", "parameters", name);
}
