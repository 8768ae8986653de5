import { type DmaRegion, type PciDevice, VfioError, type VfioErrorCode } from "@vfio-selftests/core";
import {
  BoundedWait,
  type CompletionInterrupt,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  Recovery,
} from "@vfio-selftests/core/driver";
import type { IgbFunction } from "./igb-function";
import { NAMED_REGISTERS } from "./named-registers";
import { PhysicalFunction } from "./physical-function";
import { HEADER_SIZE, Layout, RX_RING_SIZE } from "./region-layout";
import { RX_ERROR } from "./registers";
import { Rings } from "./rings";
import { VirtualFunction } from "./virtual-function";

/** One copy is one Ethernet frame, looped back: a header of our own, then the data. */
const LIMITS: DriverLimits = { minMemcpySize: 1, maxMemcpySize: 1024, maxMemcpyCount: RX_RING_SIZE - 1, alignment: 1 };
const DEFAULT_TIMEOUT_MS = 1000;
/**
 * Once the transmitter is through, a looped frame arrives within microseconds. A frame lost to a fault never arrives.
 */
const ARRIVAL_TIMEOUT_MS = 10;
/** How long the transmitter may stand still before the driver takes the device for hung. */
const STALL_TIMEOUT_MS = 200;

/** A test frame within the driver's region takes microseconds, and more where QEMU emulates the processor too. */
const TEST_FRAME_TIMEOUT_MS = 200;

const MSI_VECTOR = 0;
/** The vector of a copy's end, where the device has two. */
const COMPLETION_VECTOR = 1;

const PHYSICAL = { vendor: 0x8086, device: 0x10c9 } as const;
const VIRTUAL = { vendor: 0x8086, device: 0x10ca } as const;

/**
 * Intel 82576, real or QEMU's `igb`: the NIC in loopback copies memory by sending frames to itself. So do its virtual
 * functions, while the physical one is up.
 */
export const igbDriver: Driver = {
  name: "igb",
  ids: [PHYSICAL, VIRTUAL],
  regionSize: Layout.size,
  registers: NAMED_REGISTERS,
  create: (device, region) => new IgbInstance(device, region),
};

class IgbInstance implements DriverInstance {
  readonly limits = LIMITS;
  readonly msiVector = MSI_VECTOR;
  readonly completion?: CompletionInterrupt;
  readonly #device: PciDevice;
  readonly #igb: IgbFunction;
  readonly #rings: Rings;
  /** The vectors in use, one bit each. */
  readonly #vectors: number;
  readonly #end: BoundedWait;
  readonly #testFrame: BoundedWait;
  readonly #recovery: Recovery;
  /** Frames of the copy in progress. */
  #pending = 0;
  #size = 0;
  /** TDH as last read, and when it last changed. */
  #head = -1;
  #movedAt = 0;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    const virtual = device.matches(VIRTUAL.vendor, VIRTUAL.device);
    this.#igb = virtual ? new VirtualFunction(device) : new PhysicalFunction(device);
    this.#rings = new Rings(region);
    this.#recovery = new Recovery(() => this.#resetAndBringUp());
    const description = { subject: device.address, state: () => this.#igb.state() };
    this.#end = new BoundedWait(() => this.memcpyEnded(), { ...description, what: "the last frame" });
    this.#testFrame = new BoundedWait(() => this.#rings.isReceived(1), {
      ...description,
      what: "a test frame to come back",
    });
    device.config.memoryEnable = true;
    device.config.busMaster = true;
    this.#igb.reset();
    const { msix } = device.interrupts;
    const count = Math.min(msix.count, COMPLETION_VECTOR + 1);
    this.#vectors = (1 << count) - 1;
    if (count > COMPLETION_VECTOR) {
      this.completion = {
        vector: COMPLETION_VECTOR,
        start: (source, destination, size) => {
          this.#recovery.retry();
          this.#igb.armInterrupts(1 << COMPLETION_VECTOR);
          this.memcpyStart(source, destination, size, 1);
        },
      };
    }
    msix.enable(MSI_VECTOR, count);
    try {
      this.#bringUp();
    } catch (error) {
      this.#giveUp();
      throw error;
    }
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#recovery.retry();
    this.#rings.aim(source, destination);
    for (let i = 0; i < count; i++) this.#rings.push(size);
    this.#pending = count;
    this.#size = size;
    this.#head = -1;
    this.#handOver();
  }

  /**
   * Whether the last frame is there, or will not come: because the transmitter is through and the frame did not arrive,
   * or because the transmitter stands still.
   */
  memcpyEnded(): boolean {
    if (this.#rings.isReceived(1)) return true;
    const now = performance.now();
    const { head } = this.#igb;
    if (head !== this.#head) {
      this.#head = head;
      this.#movedAt = now;
      return false;
    }
    return now - this.#movedAt > (this.#igb.transmitted ? ARRIVAL_TIMEOUT_MS : STALL_TIMEOUT_MS);
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#end.wait(options?.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    } catch (error) {
      throw this.#afterRecovery(error, false);
    }
    this.#igb.maskInterrupts(1 << COMPLETION_VECTOR);
    if (!this.#rings.isReceived(1)) this.#throwLost();
    const bad = this.#badFrame();
    if (bad !== 0) this.#throwDamaged(bad);
    this.#pending = 0;
  }

  sendMsi(): void {
    this.#recovery.retry();
    this.#igb.armInterrupts(1 << MSI_VECTOR);
    this.#igb.raiseInterrupt(MSI_VECTOR);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#igb.reset();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  /** Stops the device before its rings' memory goes away. */
  #giveUp(): void {
    try {
      this.remove();
    } catch {
      // The caller must know why the device did not come up.
    }
  }

  #bringUp(): void {
    this.#igb.bringUp();
    this.#startQueues();
    this.#igb.startInterrupts(Math.min(COMPLETION_VECTOR, this.#device.interrupts.msix.count - 1), this.#vectors);
  }

  /** Sets up new rings on both sides. A test frame that comes back proves that frames loop. */
  #startQueues(): void {
    this.#igb.startQueues(this.#rings);
    this.#rings.pushTestFrame();
    this.#handOver();
    this.#testFrame.wait(TEST_FRAME_TIMEOUT_MS);
    if (isDamaged(this.#rings.status(1)) || this.#rings.length(1) !== HEADER_SIZE) {
      throw this.#error("EIO", "a test frame came back damaged", this.#igb.state());
    }
  }

  #handOver(): void {
    this.#igb.handOver(this.#rings.rxTail, this.#rings.txTail);
  }

  /** Place of a frame that did not arrive whole, counted back from the tail; 0: none. Upstream checks none of this. */
  #badFrame(): number {
    for (let back = 1; back <= this.#pending; back++) {
      if (!this.#rings.isReceived(back) || isDamaged(this.#rings.status(back))) return back;
      if (this.#rings.length(back) !== this.#size) return back;
    }
    return 0;
  }

  #throwLost(): never {
    const state = this.#igb.state();
    const stuck = !this.#igb.transmitted;
    const [code, what] = stuck
      ? (["ETIMEDOUT", "the device is stuck"] as const)
      : (["EIO", "a frame was lost"] as const);
    throw this.#afterRecovery(this.#error(code, what, state), stuck);
  }

  #throwDamaged(back: number): never {
    const status = this.#rings.isReceived(back) ? this.#rings.status(back) >>> 0 : 0;
    const length = this.#rings.isReceived(back) ? this.#rings.length(back) : 0;
    const state = `status 0x${status.toString(16)}, ${length} of ${this.#size} bytes`;
    throw this.#afterRecovery(this.#error("EIO", "a frame arrived damaged", state), false);
  }

  /**
   * Makes the next copy work, and proves it. A lost frame leaves the receiver one descriptor behind. New rings put both
   * in step again; that takes milliseconds and keeps the link up. It is enough for an emulated device. In hardware, a
   * faulted DMA read can leave the descriptor engine unable to work, which CTRL.RST does not mend (the kernel's
   * selftests' igb.c). Then no test frame comes back, and the driver resets the function through VFIO and brings it up
   * from the start. A device that cannot be reset so gets CTRL.RST alone. Returns the error that was the reason.
   */
  #afterRecovery(error: unknown, stuck: boolean): unknown {
    this.#pending = 0;
    return !stuck && this.#restartQueues() ? error : this.#recovery.after(error);
  }

  #resetAndBringUp(): void {
    if (this.#device.info.resettable) this.#device.reset();
    this.#device.config.memoryEnable = true;
    this.#device.config.busMaster = true;
    this.#device.interrupts.msix.reenable();
    this.#igb.reset();
    this.#bringUp();
  }

  /** False if the device does not let go of its queues, or does not work with new ones. */
  #restartQueues(): boolean {
    try {
      this.#igb.maskInterrupts(this.#vectors);
      this.#igb.stopQueues();
      this.#startQueues();
      return true;
    } catch (error) {
      if (error instanceof VfioError) return false;
      throw error;
    }
  }

  #error(code: VfioErrorCode, what: string, state: string): VfioError {
    return new VfioError(`igb copy on ${this.#device.address} failed: ${what}; ${state}`, {
      code,
      operation: "memcpyWait",
      subject: this.#device.address,
    });
  }
}

function isDamaged(status: number): boolean {
  return (status & RX_ERROR) !== 0;
}
