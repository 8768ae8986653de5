import { readFileSync, writeFileSync } from "node:fs";
import { linkName, listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";

/** What accel-config would write: one dedicated queue for the kernel, in a group of its own with one engine. */
const QUEUE = {
  group_id: 0,
  mode: "dedicated",
  size: 16,
  priority: 10,
  type: "kernel",
  name: "vfio",
  driver_name: "dmaengine",
};

const onBus = (...names: string[]): string => systemPaths.sys("bus", "dsa", ...names);

/**
 * A dedicated work queue that idxd offers to the kernel's DMA engine (Documentation/ABI/stable/sysfs-driver-dma-idxd).
 * At disposal, queue and device are disabled, which idxd does in that order itself when it loses the function.
 */
export class DsaWorkQueue implements Disposable {
  readonly #number: string;

  /** Configures and enables device and queue. `address` is that of a function that idxd has. */
  constructor(address: string) {
    const device = listDirectory(systemPaths.pciDevice(address)).find((name) => /^dsa\d+$/.test(name));
    if (device === undefined) throw new Error(`idxd has made no device for ${address}`);
    this.#number = device.slice("dsa".length);
    this.enable();
  }

  /** "enabled" or "disabled", as idxd says. */
  get state(): string {
    return readFileSync(onBus("devices", this.#queue, "state"), "utf8").trim();
  }

  enable(): void {
    writeFileSync(onBus("devices", `engine${this.#number}.0`, "group_id"), "0");
    for (const [name, value] of Object.entries(QUEUE)) {
      writeFileSync(onBus("devices", this.#queue, name), String(value));
    }
    writeFileSync(onBus("drivers", "idxd", "bind"), this.#device);
    writeFileSync(onBus("drivers", "dmaengine", "bind"), this.#queue);
  }

  /** Waits for the descriptors that are on their way. With the device, idxd resets the configuration, too. */
  disable(): void {
    this.#unbind(this.#queue);
    this.#unbind(this.#device);
  }

  get #device(): string {
    return `dsa${this.#number}`;
  }

  get #queue(): string {
    return `wq${this.#number}.0`;
  }

  #unbind(name: string): void {
    const driver = linkName(onBus("devices", name, "driver"));
    if (driver !== undefined) writeFileSync(onBus("drivers", driver, "unbind"), name);
  }

  [Symbol.dispose](): void {
    this.disable();
  }
}
