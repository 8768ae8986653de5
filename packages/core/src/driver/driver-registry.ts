import { VfioError } from "../errors/vfio-error";
import type { PciDevice } from "../pci/pci-device";
import type { Driver } from "./driver";
import { validateDriver } from "./validate-driver";

/** A driver and its origin: a package's name or a path. */
export interface RegisteredDriver {
  /** The loaded driver. */
  readonly driver: Driver;
  /** The package's name, or the path. */
  readonly origin: string;
}

/** One driver's answer about a device. */
export type DriverVerdict =
  | { readonly driver: Driver; readonly matches: true }
  | { readonly driver: Driver; readonly matches: false; readonly reason: string };

/** The known drivers. It chooses the one that serves a device. */
export class DriverRegistry {
  readonly #entries: RegisteredDriver[] = [];

  /** `drivers` are registered in their order. */
  constructor(drivers: readonly Driver[] = []) {
    for (const driver of drivers) this.register(driver);
  }

  /** The registered drivers, in the order of registration. */
  get drivers(): readonly Driver[] {
    return this.#entries.map((entry) => entry.driver);
  }

  /** Adds a driver. Adding the same object again changes nothing; another driver of the same name is an error. */
  register(driver: Driver, origin = "built in"): void {
    validateDriver(driver, origin);
    const same = this.#entries.find((entry) => entry.driver.name === driver.name);
    if (same?.driver === driver) return;
    if (same !== undefined) {
      throw new VfioError(`two drivers are named ${driver.name}: ${same.origin} and ${origin}`, {
        code: "EEXIST",
        operation: "DriverRegistry.register",
        subject: driver.name,
        remedy: "remove one of them, or give it another name",
      });
    }
    this.#entries.push({ driver, origin });
  }

  /** The driver of this name. */
  get(name: string): Driver {
    const entry = this.#entries.find(({ driver }) => driver.name === name);
    if (entry === undefined) {
      throw new VfioError(`no driver is named ${name}; known: ${this.#entries.map((e) => e.driver.name).join(", ")}`, {
        code: "ERR_NO_DRIVER",
        operation: "DriverRegistry.get",
        subject: name,
      });
    }
    return entry.driver;
  }

  /** Every driver's answer about the device, in the order of registration. */
  verdicts(device: PciDevice): DriverVerdict[] {
    const { vendorId, deviceId } = device.config;
    return this.#entries.map(({ driver }) => judge(driver, device, vendorId, deviceId));
  }

  /**
   * The one driver that serves the device. No match is an error (`ERR_NO_DRIVER`) that lists the known drivers and why
   * each refuses. Several matches are an error (`ERR_SEVERAL_DRIVERS`) that names them.
   */
  find(device: PciDevice): Driver {
    const verdicts = this.verdicts(device);
    const [match, ...others] = verdicts.filter((verdict) => verdict.matches);
    if (match === undefined) throw this.#noDriver(device, verdicts);
    if (others.length > 0) throw this.#severalDrivers(device, [match, ...others]);
    return match.driver;
  }

  #noDriver(device: PciDevice, verdicts: readonly DriverVerdict[]): VfioError {
    const lines = verdicts.map(({ driver, ...verdict }) => {
      const reason = verdict.matches ? "" : `: ${verdict.reason}`;
      return `\n  ${driver.name} (${describeIds(driver)})${reason}`;
    });
    const known = lines.length === 0 ? " No driver is known." : ` Known drivers:${lines.join("")}`;
    return new VfioError(`no driver serves ${device.address} (${describeDevice(device)}).${known}`, {
      code: "ERR_NO_DRIVER",
      operation: "DriverRegistry.find",
      subject: device.address,
      remedy:
        "add a package with the keyword vfio-selftests-driver to the project's dependencies, name it in " +
        "vfio-selftests.config.json, or give it with --driver",
    });
  }

  #severalDrivers(device: PciDevice, matches: readonly DriverVerdict[]): VfioError {
    const names = matches.map(({ driver }) => {
      const origin = this.#entries.find((entry) => entry.driver === driver)?.origin;
      return `${driver.name} (${origin})`;
    });
    return new VfioError(`several drivers serve ${device.address} (${describeDevice(device)}): ${names.join(", ")}`, {
      code: "ERR_SEVERAL_DRIVERS",
      operation: "DriverRegistry.find",
      subject: device.address,
      remedy: "choose one with --driver",
    });
  }
}

function judge(driver: Driver, device: PciDevice, vendorId: number, deviceId: number): DriverVerdict {
  if (driver.ids !== undefined && !driver.ids.some((id) => id.vendor === vendorId && id.device === deviceId)) {
    return { driver, matches: false, reason: "does not know the device's ids" };
  }
  try {
    const answer = driver.probe?.(device) ?? true;
    return answer === true ? { driver, matches: true } : { driver, matches: false, reason: answer };
  } catch (error) {
    // A broken private driver must not prevent the registry from asking the others.
    const reason = error instanceof Error ? error.message : String(error);
    return { driver, matches: false, reason: `its probe failed: ${reason}` };
  }
}

function describeIds(driver: Driver): string {
  return driver.ids?.map((id) => `${hex4(id.vendor)}:${hex4(id.device)}`).join(", ") ?? "probes each device";
}

function describeDevice(device: PciDevice): string {
  return `${hex4(device.config.vendorId)}:${hex4(device.config.deviceId)}`;
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, "0");
}
