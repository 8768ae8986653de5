import { existsSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { VfioError, linkName, systemError, systemPaths, type SystemPaths } from "@vfio-selftests/core";

/** Writes to an existing file; throws as `writeFileSync` does. */
export type WriteFile = (path: string, value: string) => void;

/** The steps of moving one function between drivers, each a write to sysfs (Documentation/ABI/testing/sysfs-bus-pci). */
export class DriverBinding {
  readonly #paths: SystemPaths;
  readonly #writeFile: WriteFile;

  constructor(
    readonly address: string,
    paths: SystemPaths,
    writeFile: WriteFile,
  ) {
    this.#paths = paths;
    this.#writeFile = writeFile;
  }

  get driver(): string | undefined {
    return linkName(this.#paths.pciDevice(this.address, "driver"));
  }

  /** Only this driver may take the function; an empty name lifts that. */
  override(driver: string): void {
    this.#write(this.#paths.pciDevice(this.address, "driver_override"), `${driver}\n`);
  }

  /** Blocks until the driver has let go. */
  unbind(): void {
    if (this.driver !== undefined) {
      this.#write(this.#paths.pciDevice(this.address, "driver", "unbind"), this.address);
    }
  }

  /** Lets the kernel find a driver; none may be willing. */
  probe(): void {
    this.#write(this.#paths.sys("bus", "pci", "drivers_probe"), this.address);
  }

  /** Binds to this driver, which must know the function. */
  bindTo(driver: string): void {
    this.#write(this.#paths.sys("bus", "pci", "drivers", driver, "bind"), this.address);
  }

  setNumVfs(count: number): void {
    this.#write(this.#paths.pciDevice(this.address, "sriov_numvfs"), String(count));
  }

  #write(path: string, value: string): void {
    try {
      this.#writeFile(path, value);
    } catch (error) {
      const { code, errno } = error as NodeJS.ErrnoException;
      const denied = code === "EACCES" || code === "EPERM";
      throw systemError(errno ?? -5, `write ${JSON.stringify(value.trim())}`, {
        subject: path,
        ...(denied ? { remedy: "run as root (sudo)" } : {}),
      });
    }
  }
}

/** Loads vfio-pci where it is a module that is not loaded yet. Throws when the kernel does not have it. */
export function requireVfioPci(paths: SystemPaths = systemPaths): void {
  const directory = paths.sys("bus", "pci", "drivers", "vfio-pci");
  if (existsSync(directory)) return;
  spawnSync("modprobe", ["vfio-pci"], { stdio: "ignore" });
  if (existsSync(directory)) return;
  throw new VfioError("the kernel has no driver vfio-pci", {
    code: "ERR_NO_VFIO_PCI",
    operation: "bind",
    remedy:
      "load it as root (modprobe vfio-pci), or use a kernel with CONFIG_VFIO_PCI; in a VM: vfio-selftests lab run",
  });
}
