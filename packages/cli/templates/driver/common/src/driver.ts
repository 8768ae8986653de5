import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import {
  BoundedWait,
  type CompletionInterrupt,
  DEFAULT_WAIT_MS,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  pollUntil,
  Recovery,
} from "@vfio-selftests/core/driver";
import { Control, DEVICE_ID, MAX_COUNT, MAX_SIZE, Reg, Status, VECTOR, VENDOR_ID, VERSION } from "./registers.js";

const LIMITS: DriverLimits = { minMemcpySize: 1, maxMemcpySize: MAX_SIZE, maxMemcpyCount: MAX_COUNT, alignment: 1 };
const RESET_TIMEOUT_MS = 1000;

/** What `vfio-selftests` looks for in this package. */
export const driver: Driver = {
  name: "__DRIVER_NAME__",
  ids: [{ vendor: VENDOR_ID, device: DEVICE_ID }],
  probe: (device) => {
    const version = device.bar(0).read32(Reg.version);
    return version === VERSION ? true : `version ${version} of the device is unknown to this driver`;
  },
  // A device that fetches descriptors needs memory for them. This one takes all from its registers.
  regionSize: 1,
  create: (device) => new CopyEngine(device),
};

/** The contract of each method: `DriverInstance` of @vfio-selftests/core/driver. */
class CopyEngine implements DriverInstance {
  readonly limits = LIMITS;
  readonly msiVector = VECTOR;
  readonly completion: CompletionInterrupt = {
    vector: VECTOR,
    start: (source, destination, size) => this.#start(source, destination, size, 1, Control.interruptAtEnd),
  };
  readonly #device: PciDevice;
  readonly #bar: Bar;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  #removed = false;

  constructor(device: PciDevice) {
    this.#device = device;
    this.#bar = device.bar(0);
    this.#recovery = new Recovery(() => this.#reset());
    // Made once, because a wait that makes objects disturbs what the tests measure.
    this.#end = new BoundedWait(() => this.memcpyEnded(), {
      what: "the copy to end",
      subject: device.address,
      state: () => this.#state(),
    });
    device.config.memoryEnable = true;
    device.config.busMaster = true;
    this.#reset();
    device.interrupts.msix.enable();
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#start(source, destination, size, count, 0);
  }

  memcpyEnded(): boolean {
    return (this.#bar.read32(Reg.status) & Status.busy) === 0;
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#end.wait(options?.timeoutMs ?? DEFAULT_WAIT_MS);
    } catch (error) {
      throw this.#recovery.after(error);
    }
    if ((this.#bar.read32(Reg.status) & (Status.readFault | Status.writeFault)) === 0) return;
    const error = new VfioError(`__DRIVER_NAME__: the copy failed on ${this.#device.address}: ${this.#state()}`, {
      code: "EIO",
      operation: "__DRIVER_NAME__ memcpy",
      subject: this.#device.address,
    });
    throw this.#recovery.after(error);
  }

  sendMsi(): void {
    this.#bar.write32(Reg.control, Control.interruptNow);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#reset();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  #start(source: bigint, destination: bigint, size: number, count: number, control: number): void {
    this.#recovery.retry();
    this.#bar.write64(Reg.source, source);
    this.#bar.write64(Reg.destination, destination);
    this.#bar.write32(Reg.size, size);
    this.#bar.write32(Reg.count, count);
    this.#bar.write32(Reg.control, Control.start | control);
  }

  /** When it returns, no DMA is under way. */
  #reset(): void {
    this.#bar.write32(Reg.control, Control.reset);
    pollUntil(() => this.memcpyEnded(), {
      timeoutMs: RESET_TIMEOUT_MS,
      what: "the reset to end",
      subject: this.#device.address,
      state: () => this.#state(),
    });
  }

  #state(): string {
    const status = this.#bar.read32(Reg.status);
    const address = this.#bar.read64(Reg.faultAddress);
    return `status 0x${status.toString(16)}, fault address 0x${address.toString(16)}`;
  }
}
