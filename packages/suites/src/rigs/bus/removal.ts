import { existsPath, linkName, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedDevice, skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../suite-target";
import { PendingWrite } from "./pending-write";

/**
 * The removal of a PCI function from the kernel. Declare it before those who use the function: they must have closed it
 * when this is disposed of, which brings the function back with its driver.
 */
export class Removal implements AsyncDisposable {
  readonly address: string;
  readonly #guarded: GuardedDevice;
  readonly #driver: string | undefined;
  #write: PendingWrite | undefined;

  /** Skips the test outside the lab. */
  constructor(target: SuiteTarget, address: string) {
    if (target.kind !== "lab") {
      skip({
        reason: "the test removes the device from the kernel",
        remedy: "run it in the lab: vfio-selftests lab run",
      });
    }
    this.address = address;
    this.#driver = linkName(systemPaths.pciDevice(address, "driver"));
    this.#guarded = new GuardedDevice(address);
  }

  /** Lets the kernel begin. It waits until nobody has the function open. */
  begin(): void {
    this.#write = new PendingWrite(systemPaths.pciDevice(this.address, "remove"), "1");
  }

  /** The write that makes the kernel remove the function. */
  get write(): PendingWrite {
    if (this.#write === undefined) throw new Error(`the removal of ${this.address} has not begun`);
    return this.#write;
  }

  get present(): boolean {
    return existsPath(systemPaths.pciDevice(this.address, "vendor"));
  }

  /** Whether the kernel waits for users, and the function is still there. */
  async waits(): Promise<boolean> {
    return (await this.write.waits()) && this.present;
  }

  /** Waits for the end, and expects that the function has gone. Resolves with the end of the write. */
  async end(): Promise<string> {
    const how = await this.write.end();
    expect(this.present).toBe(false);
    return how;
  }

  /** The kernel finds the function again, and its driver takes it. */
  bringBack(): void {
    this.#guarded[Symbol.dispose]();
    expect(linkName(systemPaths.pciDevice(this.address, "driver"))).toBe(this.#driver);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#write?.end();
    this.bringBack();
  }
}
