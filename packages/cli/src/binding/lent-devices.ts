import { accessSync, constants } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { errnoName, systemError, systemResult, writeRemedy } from "@vfio-selftests/core/errors";
import {
  bindDriver,
  describeVfioUsers,
  groupBlockers,
  isVfioDriver,
  pciDevice,
  type SystemPaths,
  systemPaths,
} from "@vfio-selftests/core/sysfs";
import { GuardedDriver, GuardedValue } from "@vfio-selftests/harness";
import { loadVfioPci } from "./load-vfio-pci";

/** A device that vfio-pci has, and the driver that waits for it. */
interface LentDevice {
  readonly address: string;
  /** The driver that it goes back to. Undefined where it had none. */
  readonly owner: string | undefined;
  /** What was changed, in the order of the changes. */
  readonly guards: readonly Disposable[];
}

/**
 * Devices that vfio-pci has for the time of a command. Disposal gives them back to their drivers; where the process dies
 * first, its guardian does (docs/machine-state.md). A device that vfio-pci has already stays with it.
 */
export class LentDevices implements Disposable {
  readonly addresses: readonly string[];
  readonly #paths: SystemPaths;
  readonly #lent: LentDevice[] = [];

  /**
   * Binds the devices, all or none. Errors are those of `bindDriver`, and ERR_GROUP_NOT_VIABLE where a device that is not
   * among them keeps a group from user space.
   */
  constructor(addresses: readonly string[], paths: SystemPaths = systemPaths) {
    this.addresses = addresses;
    this.#paths = paths;
    try {
      for (const address of addresses) this.#lend(address);
      for (const address of addresses) this.#requireViableGroup(address);
    } catch (error) {
      const fail = (): void => {
        throw error;
      };
      closeAll("lent devices", [fail, () => this[Symbol.dispose]()]);
    }
  }

  /** For people: a line for each device. */
  get lines(): string[] {
    return this.addresses.map((address) => {
      const lent = this.#lent.find((device) => device.address === address);
      if (lent === undefined) return `${address} is bound to vfio-pci already, and stays so`;
      const { owner } = lent;
      return `${address} is bound to vfio-pci${owner === undefined ? ", and had no driver" : ` (was ${owner})`}`;
    });
  }

  #lend(address: string): void {
    const { driver, sriov } = pciDevice(address, this.#paths);
    if (isVfioDriver(driver)) return;
    this.#requireRight(address);
    loadVfioPci(this.#paths);
    const guards: Disposable[] = [];
    // Virtual functions come back last, when their driver is there again.
    if (sriov !== undefined && sriov.enabled > 0) {
      guards.push(new GuardedValue(this.#paths.pciDevice(address, "sriov_numvfs"), this.#paths));
    }
    guards.push(new GuardedDriver(address, this.#paths));
    this.#lent.push({ address, owner: driver, guards });
    bindDriver(address, { paths: this.#paths });
  }

  /** Who may not bind may not put back either, and would leave a journal that nobody can act on. */
  #requireRight(address: string): void {
    const path = this.#paths.pciDevice(address, "driver_override");
    try {
      accessSync(path, constants.W_OK);
    } catch (error) {
      const result = systemResult(error);
      throw systemError(result, "bind", { subject: path, remedy: writeRemedy(errnoName(-result)) });
    }
  }

  #requireViableGroup(address: string): void {
    const { iommuGroup } = pciDevice(address, this.#paths);
    const [blocker] = iommuGroup === undefined ? [] : groupBlockers(iommuGroup, this.#paths);
    if (blocker === undefined) return;
    throw new VfioError(
      `${address} is in IOMMU group ${iommuGroup ?? ""} together with ${blocker.address}, which ${blocker.driver ?? ""} has`,
      {
        code: "ERR_GROUP_NOT_VIABLE",
        operation: "bind",
        subject: address,
        remedy: `name that device, too: -d ${blocker.address}`,
      },
    );
  }

  [Symbol.dispose](): void {
    const newestFirst = this.#lent.splice(0).reverse();
    closeAll(
      "lent devices",
      newestFirst.map((device) => () => this.#giveBack(device)),
    );
  }

  /**
   * The kernel's unbind waits until every process has closed the device. So where one has it open, the guardian does the
   * work when this process has ended: it may wait, and this process may not.
   */
  #giveBack({ address, owner, guards }: LentDevice): void {
    const users = describeVfioUsers([address], this.#paths);
    if (users !== undefined) {
      const back = owner === undefined ? "vfio-pci lets it go" : `it goes back to ${owner}`;
      process.stderr.write(`${address} is still open: ${users}. When that process has closed it, ${back}.\n`);
      return;
    }
    try {
      for (const guard of guards.toReversed()) guard[Symbol.dispose]();
    } catch (cause) {
      throw new VfioError(
        `${address} did not go back to ${owner ?? "having no driver"}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          code: "ERR_BIND",
          operation: "restore driver",
          subject: address,
          remedy: "see the kernel log (dmesg) for the driver's reason; vfio-selftests restore tries again",
          cause,
        },
      );
    }
  }
}
