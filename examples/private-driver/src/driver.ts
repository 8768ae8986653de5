import { type Bar, type DmaRegion, type InterruptIndex, type PciDevice, VfioError } from "@vfio-selftests/core";
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
import { DescriptorRing, MAX_COPIES, RING_REGION_BYTES } from "./descriptor-ring.js";
import { Control, CONTROL_EVENTS, DEVICE_ID, Flag, Interrupt, Reg, VENDOR_ID } from "./registers.js";

/**
 * A descriptor could move 128 MiB. With copies of at most 1 MiB the suites also test how a larger one is put together from
 * several.
 */
const LIMITS: DriverLimits = { minMemcpySize: 1, maxMemcpySize: 2 ** 20, maxMemcpyCount: MAX_COPIES, alignment: 1 };
const BAR0_MINIMUM = 0x240;
const PREFETCH_FOUR = 8;
const START = CONTROL_EVENTS | Control.start | Control.writeBack | Control.offChip;
const ABORT_TIMEOUT_MS = 1000;
const VECTOR = 0;

// #region driver
/** The DMA function of PLX PEX 87xx switches. */
export const driver: Driver = {
  name: "plx-dma",
  ids: [{ vendor: VENDOR_ID, device: DEVICE_ID }],
  probe: (device) => {
    const bytes = device.bars[0]?.size ?? 0;
    return bytes >= BAR0_MINIMUM ? true : `BAR 0 has ${bytes} bytes, and no DMA registers`;
  },
  regionSize: RING_REGION_BYTES,
  create: (device, region) => new PlxDma(device, region),
};
// #endregion driver

class PlxDma implements DriverInstance {
  readonly limits = LIMITS;
  readonly msiVector = VECTOR;
  readonly completion: CompletionInterrupt = {
    vector: VECTOR,
    start: (source, destination, size) => {
      // The device interrupts anew only when the last interrupt was acknowledged.
      this.#bar.write16(Reg.interruptStatus, Interrupt.descriptorDone);
      this.#start(source, destination, size, 1, Flag.interruptWhenDone);
    },
  };
  readonly #device: PciDevice;
  readonly #bar: Bar;
  readonly #interrupts: InterruptIndex;
  readonly #ring: DescriptorRing;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  #removed = false;

  // #region create
  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    this.#bar = device.bar(0);
    this.#ring = new DescriptorRing(region);
    this.#recovery = new Recovery(() => this.#bringUp());
    this.#end = new BoundedWait(() => this.memcpyEnded(), {
      what: "the last descriptor",
      subject: device.address,
      state: () => this.#state(),
    });
    device.config.memoryEnable = true;
    device.config.busMaster = true;
    this.#bringUp();
    const { msi, msix } = device.interrupts;
    this.#interrupts = msix.count > 0 ? msix : msi;
    this.#interrupts.enable(VECTOR, 1);
  }
  // #endregion create

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#start(source, destination, size, count, 0);
  }

  memcpyEnded(): boolean {
    return this.#ring.ended;
  }

  // #region wait
  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#end.wait(options?.timeoutMs ?? DEFAULT_WAIT_MS);
    } catch (error) {
      throw this.#recovery.after(error);
    }
    const failure = this.#ring.failure();
    if (failure === undefined) return;
    const error = new VfioError(`plx-dma: ${failure} on ${this.#device.address}; ${this.#state()}`, {
      code: "EIO",
      operation: "plx-dma memcpy",
      subject: this.#device.address,
    });
    throw this.#recovery.after(error);
  }
  // #endregion wait

  /** Only a descriptor raises an interrupt, so this copies four bytes within the driver's own memory. */
  sendMsi(): void {
    const { scratchSource, scratchDestination, scratchBytes } = this.#ring;
    this.completion.start(scratchSource, scratchDestination, scratchBytes);
    this.memcpyWait();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#stop();
    } finally {
      this.#interrupts.disable();
    }
  }

  #start(source: bigint, destination: bigint, size: number, count: number, flags: number): void {
    this.#recovery.retry();
    this.#ring.push(source, destination, size, count, flags);
    this.#bar.write16(Reg.control, START);
  }

  /** From any state to an empty ring at which the device waits. */
  #bringUp(): void {
    this.#stop();
    this.#ring.clear();
    const { iovaLow, iovaHigh, count } = this.#ring;
    this.#bar.write32(Reg.ringAddress, iovaLow);
    this.#bar.write32(Reg.ringAddressHigh, iovaHigh);
    this.#bar.write32(Reg.ringNext, iovaLow);
    this.#bar.write32(Reg.ringCount, count);
    this.#bar.write32(Reg.prefetchLimit, PREFETCH_FOUR);
  }

  // #region stop
  /**
   * When it returns, no DMA is under way. The kernel's driver pauses the device between two descriptors instead, but a device
   * that cannot reach its memory never gets there.
   */
  #stop(): void {
    this.#bar.write16(Reg.control, CONTROL_EVENTS | Control.abort);
    pollUntil(() => (this.#bar.read16(Reg.control) & Control.abortDone) !== 0, {
      timeoutMs: ABORT_TIMEOUT_MS,
      what: "the abort to end",
      subject: this.#device.address,
      state: () => this.#state(),
    });
    this.#bar.write16(Reg.control, CONTROL_EVENTS);
    this.#bar.write16(Reg.interruptStatus, Interrupt.error | Interrupt.invalidDescriptor | Interrupt.descriptorDone);
  }
  // #endregion stop

  #state(): string {
    const hex = (value: number) => `0x${value.toString(16)}`;
    const registers = ["control", "control2", "interruptStatus"] as const;
    return registers.map((name) => `${name} ${hex(this.#bar.read16(Reg[name]))}`).join(", ");
  }
}
