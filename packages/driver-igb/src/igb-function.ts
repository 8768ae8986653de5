import { type Bar, type PciDevice, VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { RX_RING_BYTES, TX_RING_BYTES } from "./region-layout";
import * as regs from "./registers";
import { Reg } from "./registers";
import type { Rings } from "./rings";

const QUEUE_TIMEOUT_MS = 200;

/** Registers that tell why nothing arrives. */
const DIAGNOSTIC = ["STATUS", "CTRL", "RCTL", "TCTL"] as const;
const DIAGNOSTIC_TX = ["TDH", "TDT", "TXDCTL"] as const;
const DIAGNOSTIC_RX = ["RDH", "RDT", "RXDCTL"] as const;

/** What the 82576's physical and virtual functions have in common: a queue each way, and interrupts. */
export abstract class IgbFunction {
  protected readonly device: PciDevice;
  readonly #bar: Bar;
  /** Where the registers of the function's queue lie, from those of the first queue. */
  #offsets = regs.queueOffsets(0);

  constructor(device: PciDevice) {
    const bar = device.bars[0];
    if (bar === undefined || bar.size === 0) {
      throw new VfioError(`${device.address} has no BAR 0`, {
        code: "ERR_NOT_SUPPORTED",
        operation: "igb",
        subject: device.address,
      });
    }
    this.device = device;
    this.#bar = bar;
  }

  /** Stops all DMA, resets the queues, and masks all interrupts. */
  abstract reset(): void;

  /** Brings the function from reset to where frames to {@link address} come back to it. */
  abstract bringUp(): void;

  /** The function's Ethernet address, once it is up. */
  abstract readonly address: readonly number[];

  protected abstract startEngines(): void;
  protected abstract stopEngines(): void;

  /** Uses another queue than the first. */
  protected useQueue(queue: number): void {
    this.#offsets = regs.queueOffsets(queue);
  }

  read(offset: number): number {
    return this.#bar.read32(offset);
  }

  write(offset: number, value: number): void {
    this.#bar.write32(offset, value >>> 0);
  }

  /** The device's registers as text, for errors. */
  state(): string {
    const { rx, tx } = this.#offsets;
    const show = (name: keyof typeof Reg, offset = 0) => `${name}=0x${this.read(Reg[name] + offset).toString(16)}`;
    return [
      ...DIAGNOSTIC.map((name) => show(name)),
      ...DIAGNOSTIC_TX.map((name) => show(name, tx)),
      ...DIAGNOSTIC_RX.map((name) => show(name, rx)),
    ].join(" ");
  }

  /** Gives the device empty rings and starts both queues. */
  startQueues(rings: Rings): void {
    const { rx, tx } = this.#offsets;
    rings.reset();
    rings.sendTo(this.address);
    this.#ring(rings.txBase, TX_RING_BYTES, Reg.TDBAL + tx, Reg.TDBAH + tx, Reg.TDLEN + tx);
    this.#ring(rings.rxBase, RX_RING_BYTES, Reg.RDBAL + rx, Reg.RDBAH + rx, Reg.RDLEN + rx);
    this.write(Reg.TDH + tx, 0);
    this.write(Reg.TDT + tx, 0);
    this.write(Reg.RDH + rx, 0);
    this.write(Reg.RDT + rx, 0);
    this.write(Reg.SRRCTL + rx, regs.SRRCTL_SPLIT_ALWAYS);
    this.write(Reg.TXDCTL + tx, regs.QUEUE_ENABLE);
    this.write(Reg.RXDCTL + rx, regs.QUEUE_ENABLE);
    this.startEngines();
    this.#untilQueues(regs.QUEUE_ENABLE, "the queues to be enabled");
  }

  /** Stops both queues and waits until the device lets go of them. */
  stopQueues(): void {
    this.stopEngines();
    this.write(Reg.TXDCTL + this.#offsets.tx, 0);
    this.write(Reg.RXDCTL + this.#offsets.rx, 0);
    this.#untilQueues(0, "the queues to be disabled");
  }

  /** Lets the device go up to these descriptors. */
  handOver(rxTail: number, txTail: number): void {
    this.write(Reg.RDT + this.#offsets.rx, rxTail);
    this.write(Reg.TDT + this.#offsets.tx, txTail);
  }

  /** The transmit descriptor that is next. */
  get head(): number {
    return this.read(Reg.TDH + this.#offsets.tx);
  }

  /** Whether the device has fetched and sent all descriptors up to the tail. */
  get transmitted(): boolean {
    return this.head === this.read(Reg.TDT + this.#offsets.tx);
  }

  /**
   * Makes received frames raise `receiveVector`. A vector of `vectors` (bits) masks itself when it fires (EIAM, with
   * EIAME on the message), and the device clears its cause (EIAC). Arm a vector before each interrupt that is wanted.
   */
  startInterrupts(receiveVector: number, vectors: number): void {
    this.write(Reg.EIAC, vectors);
    this.write(Reg.EIAM, vectors);
    this.write(Reg.IVAR0 + this.#offsets.ivar, regs.IVAR0_RX0_VALID | receiveVector);
  }

  /**
   * Unmasks the vectors, after dropping causes that came while they were masked. It writes EICR, because EICR must not
   * be read while EIAC is set (datasheet section 8.8.5). The kernel's igb_ring_irq_enable writes EIMS after each
   * interrupt.
   */
  armInterrupts(vectors: number): void {
    this.write(Reg.EICR, vectors);
    this.write(Reg.EIMS, vectors);
  }

  maskInterrupts(vectors: number): void {
    this.write(Reg.EIMC, vectors);
  }

  /** Raises an armed vector by software, without DMA. */
  raiseInterrupt(vector: number): void {
    this.write(Reg.EICS, 1 << vector);
  }

  protected set(offset: number, bits: number, clear = 0): void {
    this.write(offset, (this.read(offset) & ~clear) | bits);
  }

  protected until(condition: () => boolean, timeoutMs: number, what: string): void {
    pollUntil(condition, { timeoutMs, what, subject: this.device.address, state: () => this.state() });
  }

  protected succeeds(condition: () => boolean, timeoutMs: number, what: string): boolean {
    try {
      this.until(condition, timeoutMs, what);
      return true;
    } catch (error) {
      if (error instanceof VfioError && error.code === "ETIMEDOUT") return false;
      throw error;
    }
  }

  #ring(base: bigint, bytes: number, low: number, high: number, length: number): void {
    this.write(low, Number(base & 0xffffffffn));
    this.write(high, Number(base >> 32n));
    this.write(length, bytes);
  }

  #untilQueues(wanted: number, what: string): void {
    const { rx, tx } = this.#offsets;
    const both = () =>
      [Reg.TXDCTL + tx, Reg.RXDCTL + rx].every((register) => (this.read(register) & regs.QUEUE_ENABLE) === wanted);
    this.until(both, QUEUE_TIMEOUT_MS, what);
  }
}
