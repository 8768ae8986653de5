import { type DmaRegion, type PciDevice, VfioError } from "@vfio-selftests/core";
import {
  BoundedWait,
  type CompletionInterrupt,
  type Driver,
  type DriverInstance,
  type DriverLimits,
  Recovery,
} from "@vfio-selftests/core/driver";
import { IDS, VERSIONS } from "./devices";
import { IoatChannel } from "./ioat-channel";
import { NAMED_REGISTERS } from "./named-registers";
import { Descriptor, Layout } from "./region-layout";
import { BAR0_MINIMUM, Control, Reg, Status, STATUS_MASK } from "./registers";

/** DMACOUNT has 16 bits. */
const MAXIMUM_COUNT = 0xffff;
const DEFAULT_TIMEOUT_MS = 5000;
/** How long to watch the completion word before asking the device: over a socket, asking costs a round trip. */
const COMPLETION_SPIN_MS = 0.1;
/** The completion word before the device writes it. No status that the device writes has all these bits. */
const NOT_COMPLETED = 0xffff_ffff;

const MSI_BYTES = 8;
const MSI_VECTOR = 0;

/** Intel I/OAT (QuickData Technology, CBDMA), version 3.2 to 3.4. */
export const ioatDriver: Driver = {
  name: "ioat",
  ids: IDS,
  regionSize: Layout.size,
  registers: NAMED_REGISTERS,
  probe,
  create: (device, region) => new IoatInstance(device, region),
};

function probe(device: PciDevice): true | string {
  const bar = device.bars[0];
  if (bar === undefined || bar.size < BAR0_MINIMUM) return `BAR0 has ${bar?.size ?? 0} bytes`;
  const version = bar.read8(Reg.CBVER);
  if (VERSIONS.includes(version)) return true;
  const known = VERSIONS.map((v) => `0x${v.toString(16)}`).join(", ");
  return `version register is 0x${version.toString(16)}; known: ${known}`;
}

class IoatInstance implements DriverInstance {
  readonly limits: DriverLimits;
  readonly msiVector = MSI_VECTOR;
  readonly completion: CompletionInterrupt = {
    vector: MSI_VECTOR,
    start: (source, destination, size) => {
      this.#recovery.retry();
      this.#channel.rearmInterrupt();
      this.#start(source, destination, size, 1, Control.interrupt | Control.completionWrite);
    },
  };
  readonly #channel: IoatChannel;
  readonly #device: PciDevice;
  readonly #words: Uint32Array;
  readonly #quadwords: BigUint64Array;
  readonly #descriptor: bigint;
  readonly #msiSource: bigint;
  readonly #msiDestination: bigint;
  readonly #end: BoundedWait;
  readonly #recovery: Recovery;
  /** Repeats of the copy in progress. 0: none is in progress. */
  #pending = 0;
  /** CHANSTS's status, as last read. */
  #status: number = Status.active;
  #removed = false;

  constructor(device: PciDevice, region: DmaRegion) {
    this.#device = device;
    const { buffer, byteOffset } = region.bytes;
    this.#words = new Uint32Array(buffer, byteOffset, Layout.size / 4);
    this.#quadwords = new BigUint64Array(buffer, byteOffset, Layout.size / 8);
    this.#descriptor = region.iovaOf(Layout.descriptor);
    this.#msiSource = region.iovaOf(Layout.msiSource);
    this.#msiDestination = region.iovaOf(Layout.msiDestination);
    this.#channel = new IoatChannel(device, region.iovaOf(Layout.completion));
    this.#recovery = new Recovery(() => this.#channel.bringUp());
    this.#end = new BoundedWait(() => this.#hasStopped(), {
      what: "CHANSTS to show done",
      subject: device.address,
      state: () => this.#channel.state(),
    });
    this.#channel.bringUp();
    this.limits = {
      minMemcpySize: 1,
      maxMemcpySize: this.#channel.maximumTransfer,
      maxMemcpyCount: MAXIMUM_COUNT,
      alignment: 1,
    };
    device.interrupts.msix.enable();
  }

  memcpyStart(source: bigint, destination: bigint, size: number, count: number): void {
    this.#recovery.retry();
    // The first of several repeats would write the completion word. Only CHANSTS shows that the last has ended.
    this.#start(source, destination, size, count, count === 1 ? Control.completionWrite : 0);
  }

  memcpyEnded(): boolean {
    return this.#isCompleted() || this.#hasStopped();
  }

  memcpyWait(options?: { timeoutMs?: number }): void {
    try {
      this.#waitForEnd(options?.timeoutMs ?? DEFAULT_TIMEOUT_MS);
      if (this.#hasHalted()) throw this.#copyError();
      this.#channel.suspend();
    } catch (error) {
      throw this.#recovery.after(error);
    } finally {
      this.#pending = 0;
    }
  }

  sendMsi(): void {
    this.completion.start(this.#msiSource, this.#msiDestination, MSI_BYTES);
    this.memcpyWait();
  }

  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#pending = 0;
    try {
      this.#channel.bringDown();
    } finally {
      this.#device.interrupts.msix.disable();
    }
  }

  #start(source: bigint, destination: bigint, size: number, count: number, control: number): void {
    this.#words[(Layout.descriptor + Descriptor.size) / 4] = size;
    this.#words[(Layout.descriptor + Descriptor.control) / 4] = control;
    this.#quadwords[(Layout.descriptor + Descriptor.source) / 8] = source;
    this.#quadwords[(Layout.descriptor + Descriptor.destination) / 8] = destination;
    this.#quadwords[(Layout.descriptor + Descriptor.next) / 8] = this.#descriptor;
    this.#words[COMPLETION_WORD] = NOT_COMPLETED;
    this.#pending = count;
    this.#channel.start(this.#descriptor, count);
  }

  /** Whether a single copy has its completion word. This takes no register access, a round trip over a socket. */
  #isCompleted(): boolean {
    return this.#pending === 1 && Atomics.load(this.#words, COMPLETION_WORD) !== NOT_COMPLETED;
  }

  /** Whether the channel shows that it is done or halted. */
  #hasStopped(): boolean {
    this.#status = this.#channel.status;
    return this.#status === Status.done || this.#status === Status.halted;
  }

  #hasHalted(): boolean {
    if (!this.#isCompleted()) return this.#status === Status.halted;
    return (Atomics.load(this.#words, COMPLETION_WORD) & STATUS_MASK) === Status.halted;
  }

  #waitForEnd(timeoutMs: number): void {
    if (this.#pending === 1) {
      const spinUntil = performance.now() + Math.min(COMPLETION_SPIN_MS, timeoutMs);
      do {
        if (this.#isCompleted()) return;
      } while (performance.now() < spinUntil);
    }
    this.#end.wait(timeoutMs);
  }

  #copyError(): VfioError {
    const { address } = this.#device;
    return new VfioError(`ioat memcpy failed on ${address}: the channel halted; ${this.#channel.state()}`, {
      code: "EIO",
      operation: "ioat memcpy",
      subject: address,
    });
  }
}

/** Offset of the completion's low half, which has the status, in 32-bit words. */
const COMPLETION_WORD = Layout.completion / 4;
