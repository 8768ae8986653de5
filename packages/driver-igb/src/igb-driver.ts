import { VfioError, type DmaRegion, type PciDevice } from "@vfio-selftests/core";
import { pollUntil, type Driver, type DriverInstance, type DriverLimits } from "@vfio-selftests/core/driver";
import { IgbDevice } from "./igb-device";
import { Layout, RX_RING_SIZE } from "./region-layout";
import { Reg, RX_ERROR, VECTOR0 } from "./registers";
import { halves, Rings, type ReceivedFrame } from "./rings";

/** One copy is one Ethernet frame, looped back: a header of our own, then the data. */
const LIMITS: DriverLimits = { minMemcpySize: 1, maxMemcpySize: 1024, maxMemcpyCount: RX_RING_SIZE - 1, alignment: 1 };
const DEFAULT_TIMEOUT_MS = 1000;
/** Once the transmitter is through, a looped frame arrives within microseconds; a frame lost to a fault never does. */
const ARRIVAL_TIMEOUT_MS = 10;
/** How long the transmitter may stand still before the device counts as hung. */
const STALL_TIMEOUT_MS = 200;

/** Intel 82576, real or QEMU's `igb`: the NIC in loopback copies memory by sending frames to itself. */
export const igbDriver: Driver = {
  name: "igb",
  ids: [{ vendor: 0x8086, device: 0x10c9 }],
  regionSize: Layout.size,
  create: (device, region) => new IgbInstance(device, region),
};

class IgbInstance implements DriverInstance {
  readonly limits = LIMITS;
  readonly msiVector = 0;
  readonly #device: PciDevice;
  readonly #igb: IgbDevice;
  readonly #rings: Rings;
  /** Frames of the copy in progress. */
  #pending = 0;
  #size = 0;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    this.#igb = new IgbDevice(device);
    this.#rings = new Rings(region);
    device.config.memoryEnable = true;
    device.config.busMaster = true;
    this.#igb.reset();
    device.interrupts.msix.enable(this.msiVector, 1);
    try {
      this.#bringUp();
    } catch (error) {
      device.interrupts.msix.disable();
      throw error;
    }
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#igb.maskInterrupts();
    const from = halves(source);
    const to = halves(destination);
    for (let i = 0; i < count; i++) this.#rings.push(from, to, size);
    this.#pending = count;
    this.#size = size;
    this.#igb.write(Reg.RDT, this.#rings.rxTail);
    this.#igb.write(Reg.TDT, this.#rings.txTail);
  }

  memcpyWait({ timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {}): void {
    const frame = this.#lastFrame(timeoutMs);
    if (frame === undefined) {
      const state = this.#igb.state();
      const hung = !this.#igb.transmitted;
      this.#recover(hung);
      throw this.#copyError(hung ? "ETIMEDOUT" : "EIO", hung ? "the device is stuck" : "a frame was lost", state);
    }
    const bad = this.#firstBadFrame();
    if (bad !== undefined) {
      const state = `status 0x${(bad.status >>> 0).toString(16)}, ${bad.length} of ${this.#size} bytes`;
      this.#recover(false);
      throw this.#copyError("EIO", "a frame arrived damaged", state);
    }
    this.#pending = 0;
    this.#igb.unmaskInterrupts();
  }

  sendMsi(): void {
    this.#igb.write(Reg.EICS, VECTOR0);
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    try {
      this.#igb.write(Reg.RCTL, 0);
      this.#igb.write(Reg.TCTL, 0);
      this.#igb.reset();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  #bringUp(): void {
    this.#igb.enterLoopback();
    this.#igb.startQueues(this.#rings);
    this.#igb.startInterrupts();
  }

  /** The last frame, once received; undefined when it is lost or the device is stuck. */
  #lastFrame(timeoutMs: number): ReceivedFrame | undefined {
    const deadline = performance.now() + timeoutMs;
    let lastHead = -1;
    let movedAt = performance.now();
    for (;;) {
      const frame = this.#waitForLastFrame(ARRIVAL_TIMEOUT_MS);
      if (frame !== undefined) return frame;
      if (this.#igb.transmitted) return this.#waitForLastFrame(ARRIVAL_TIMEOUT_MS);
      const now = performance.now();
      const head = this.#igb.read(Reg.TDH);
      if (head !== lastHead) movedAt = now;
      lastHead = head;
      if (now > deadline || now - movedAt > STALL_TIMEOUT_MS) return undefined;
    }
  }

  #waitForLastFrame(timeoutMs: number): ReceivedFrame | undefined {
    let frame: ReceivedFrame | undefined;
    try {
      pollUntil(() => (frame = this.#rings.received(1)) !== undefined, {
        timeoutMs,
        what: "the last frame",
        subject: this.#device.address,
      });
    } catch (error) {
      if (!(error instanceof VfioError && error.code === "ETIMEDOUT")) throw error;
    }
    return frame;
  }

  /** Upstream looks at none of this; a copy is good only when each frame came whole. */
  #firstBadFrame(): ReceivedFrame | undefined {
    for (let back = 1; back <= this.#pending; back++) {
      const frame = this.#rings.received(back) ?? { status: 0, length: 0 };
      if ((frame.status & RX_ERROR) !== 0 || frame.length !== this.#size) return frame;
    }
    return undefined;
  }

  /**
   * Makes the next copy work. A lost frame leaves the receiver one descriptor behind: new rings put both in step again
   * (milliseconds, the link stays up). A stuck device is reset through VFIO and brought up from the start.
   */
  #recover(hung: boolean): void {
    this.#pending = 0;
    if (!hung) {
      try {
        this.#igb.stopQueues();
        this.#igb.startQueues(this.#rings);
        this.#igb.unmaskInterrupts();
        return;
      } catch {
        // A device that does not let go of its queues is stuck after all.
      }
    }
    this.#device.reset();
    this.#device.config.memoryEnable = true;
    this.#device.config.busMaster = true;
    this.#device.interrupts.msix.reenable();
    this.#igb.reset();
    this.#bringUp();
  }

  #copyError(code: string, what: string, state: string): VfioError {
    return new VfioError(`igb copy on ${this.#device.address} failed: ${what}; ${state}`, {
      code,
      operation: "memcpyWait",
      subject: this.#device.address,
    });
  }
}
