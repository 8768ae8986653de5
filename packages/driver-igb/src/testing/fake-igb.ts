import type { DmaRegion } from "@vfio-selftests/core";
import { FakeVfioDevice } from "@vfio-selftests/core/testing";
import { Bmcr, Ctrl, Eecd, Gpie, Mdic, QUEUE_ENABLE, Reg, Status, TxCommand } from "../registers";

const BAR0 = 0;
const MSIX = 2;
const VECTORS = 10;
const BAR0_SIZE = 0x20000;
const DESCRIPTOR = 16;
const HEADER = 64;
const IVAR_VECTOR = 0x1f;

/** A register write, and when it came, in milliseconds. */
export interface RegisterWrite {
  readonly register: string;
  readonly value: number;
  readonly at: number;
}

/**
 * The part of an 82576's registers that the driver uses, by the datasheet, with frames that loop back. As `hardware` it
 * reports AUTO_RD and masks a vector that fires (EIAM with EIAME); QEMU's does neither.
 */
export class FakeIgb extends FakeVfioDevice {
  readonly writes: RegisterWrite[] = [];
  /** Memory of driver and buffers, by IOVA. */
  readonly regions: DmaRegion[] = [];
  /** A transmit buffer at this address faults: its frame is lost. */
  faulting: bigint | undefined;
  /** A fault leaves the descriptor engine dead until a function level reset, as the kernel's selftests found. */
  wedgesAtFaults = false;
  /** A pending request never ends: STATUS.GIO_MASTER_ENABLE stays set. */
  masterStaysEnabled = false;
  /** The device holds frames back: the transmitter stands still. */
  holds = false;
  functionResets = 0;
  /** Resets under an enabled master. */
  dirtyResets = 0;
  readonly #hardware: boolean;
  readonly #registers = new Map<number, number>();
  #wedged = false;

  constructor(kind: "hardware" | "emulated", { resettable = true, vectors = VECTORS } = {}) {
    const config = new Uint8Array(256);
    new DataView(config.buffer).setUint32(0, 0x10c9_8086, true);
    super({
      regions: { [BAR0]: { size: BAR0_SIZE, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: vectors, eventfd: true } },
      resettable,
    });
    this.#hardware = kind === "hardware";
  }

  get(register: number): number {
    return this.#registers.get(register) ?? 0;
  }

  /** When the first write after `since` came that has these bits of a register. */
  timeOf(register: keyof typeof Reg, bits: number, since = 0): number {
    const write = this.writes.find((one) => one.register === register && (one.value & bits) === bits && one.at > since);
    if (write === undefined) throw new Error(`nothing was written to ${register}`);
    return write.at;
  }

  override readRegion(index: number, offset: number, into: Uint8Array): void {
    if (index !== BAR0) {
      super.readRegion(index, offset, into);
      return;
    }
    new DataView(into.buffer, into.byteOffset).setUint32(0, this.#read(offset), true);
  }

  override writeRegion(index: number, offset: number, from: Uint8Array): void {
    if (index !== BAR0) {
      super.writeRegion(index, offset, from);
      return;
    }
    const value = new DataView(from.buffer, from.byteOffset).getUint32(0, true);
    const register = Object.entries(Reg).find(([, at]) => at === offset)?.[0] ?? `0x${offset.toString(16)}`;
    this.writes.push({ register, value, at: performance.now() });
    this.#write(offset, value);
  }

  override reset(): void {
    this.functionResets++;
    this.#wedged = false;
    this.#registers.clear();
    super.reset();
  }

  #read(offset: number): number {
    if (offset !== Reg.STATUS) return this.get(offset);
    const ctrl = this.get(Reg.CTRL);
    const disabled = (ctrl & Ctrl.GIO_MASTER_DISABLE) !== 0 && !this.masterStaysEnabled;
    return ((ctrl & Ctrl.SLU) === 0 ? 0 : Status.LU) | (disabled ? 0 : Status.GIO_MASTER_ENABLE);
  }

  #write(offset: number, value: number): void {
    switch (offset) {
      case Reg.CTRL:
        if ((value & Ctrl.RST) === 0) break;
        if ((this.#read(Reg.STATUS) & Status.GIO_MASTER_ENABLE) !== 0) this.dirtyResets++;
        this.#registers.clear();
        if (this.#hardware) this.#registers.set(Reg.EECD, Eecd.AUTO_RD);
        return;
      case Reg.MDIC:
        this.#registers.set(offset, value | Mdic.READY);
        return;
      case Reg.EICS:
        this.#cause(value);
        return;
      case Reg.EICR:
        this.#registers.set(Reg.EICR, this.get(Reg.EICR) & ~value);
        return;
      case Reg.EIMS:
        this.#registers.set(Reg.EIMS, this.get(Reg.EIMS) | value);
        this.#cause(0);
        return;
      case Reg.EIMC:
        this.#registers.set(Reg.EIMS, this.get(Reg.EIMS) & ~value);
        return;
    }
    this.#registers.set(offset, value);
    if (offset === Reg.TDT) this.#transmit();
  }

  /** Sets causes, and sends the messages of those that are not masked (datasheet, section 7.3). */
  #cause(causes: number): void {
    this.#registers.set(Reg.EICR, this.get(Reg.EICR) | causes);
    const firing = this.get(Reg.EICR) & this.get(Reg.EIMS);
    for (let vector = 0; vector < VECTORS; vector++) {
      const bit = 1 << vector;
      if ((firing & bit) === 0) continue;
      this.interrupts.raise(MSIX, vector);
      this.#registers.set(Reg.EICR, this.get(Reg.EICR) & ~(bit & this.get(Reg.EIAC)));
      const masks = this.#hardware && (this.get(Reg.GPIE) & Gpie.EIAME) !== 0;
      if (masks) this.#registers.set(Reg.EIMS, this.get(Reg.EIMS) & ~(bit & this.get(Reg.EIAM)));
    }
  }

  #transmit(): void {
    const looped = (this.get(Reg.TXDCTL) & this.get(Reg.RXDCTL) & QUEUE_ENABLE) !== 0;
    let data: number[] = [];
    while (looped && !this.holds && !this.#wedged && this.get(Reg.TDH) !== this.get(Reg.TDT)) {
      const head = this.get(Reg.TDH);
      const ring = this.#address(Reg.TDBAL, Reg.TDBAH);
      const descriptor = this.#memory(ring + BigInt(head * DESCRIPTOR), DESCRIPTOR);
      const address = descriptor.getBigUint64(0, true);
      const command = descriptor.getUint32(8, true);
      const length = command & 0xffff;
      this.#registers.set(Reg.TDH, (head + 1) % (this.get(Reg.TDLEN) / DESCRIPTOR));
      if (address === this.faulting) {
        this.#wedged = this.wedgesAtFaults;
        data = [];
        continue;
      }
      const bytes = this.#memory(address, length);
      for (let i = 0; i < length; i++) data.push(bytes.getUint8(i));
      if ((command & TxCommand.EOP) === 0) continue;
      this.#receive(data.slice(HEADER));
      data = [];
    }
  }

  #receive(data: readonly number[]): void {
    const head = this.get(Reg.RDH);
    const at = this.#address(Reg.RDBAL, Reg.RDBAH) + BigInt(head * DESCRIPTOR);
    const descriptor = this.#memory(at, DESCRIPTOR);
    const target = this.#memory(descriptor.getBigUint64(0, true), data.length);
    data.forEach((byte, i) => target.setUint8(i, byte));
    descriptor.setUint32(12, data.length, true);
    descriptor.setUint32(8, 3, true);
    this.#registers.set(Reg.RDH, (head + 1) % (this.get(Reg.RDLEN) / DESCRIPTOR));
    const entry = this.get(Reg.IVAR0) & 0xff;
    if ((entry & 0x80) !== 0) this.#cause(1 << (entry & IVAR_VECTOR));
  }

  #address(low: number, high: number): bigint {
    return (BigInt(this.get(high)) << 32n) | BigInt(this.get(low));
  }

  #memory(address: bigint, length: number): DataView {
    const region = this.regions.find(({ iova, length: size }) => address >= iova && address < iova + BigInt(size));
    if (region === undefined) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
    return new DataView(region.bytes.buffer, region.bytes.byteOffset + Number(address - region.iova), length);
  }
}

/** The write to MDIC that puts the PHY into loopback. */
export const PHY_LOOPBACK = Bmcr.LOOPBACK | Mdic.OP_WRITE;
