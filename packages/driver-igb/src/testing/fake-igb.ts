import type { DmaRegion } from "@vfio-selftests/core";
import { FakeVfioDevice } from "@vfio-selftests/core/testing";
import {
  Bmcr,
  Ctrl,
  Eecd,
  Gpie,
  Mdic,
  MRQC_POOLS,
  QUEUE_ENABLE,
  queueOffsets,
  Rah,
  receiveAddress,
  Reg,
  Status,
  Tctl,
  TxCommand,
} from "../registers";

const BAR0 = 0;
const MSIX = 2;
const VECTORS = 10;
const BAR0_SIZE = 0x20000;
const DESCRIPTOR = 16;
const HEADER = 64;
const IVAR_VECTOR = 0x1f;
const POOLS = 8;

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
  readonly #vfs: number;
  readonly #registers = new Map<number, number>();
  #wedged = false;

  constructor(
    kind: "hardware" | "emulated",
    { resettable = true, vectors = VECTORS, vfs = 0, address = "0000:00:00.0" } = {},
  ) {
    const config = new Uint8Array(256);
    new DataView(config.buffer).setUint32(0, 0x10c9_8086, true);
    super({
      address,
      regions: { [BAR0]: { size: BAR0_SIZE, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: vectors, eventfd: true } },
      resettable,
    });
    this.#hardware = kind === "hardware";
    this.#vfs = vfs;
  }

  get(register: number): number {
    return this.#registers.get(register) ?? 0;
  }

  /** A virtual function's message waits. */
  request(vf: number): void {
    this.#registers.set(Reg.MBVFICR, this.get(Reg.MBVFICR) | (1 << vf));
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
    const virtual = this.#vfs === 0 ? 0 : Status.IOV_MODE | (this.#vfs << Status.NUM_VFS_SHIFT);
    return ((ctrl & Ctrl.SLU) === 0 ? 0 : Status.LU) | (disabled ? 0 : Status.GIO_MASTER_ENABLE) | virtual;
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
      case Reg.MBVFICR:
      case Reg.VFLRE:
        this.#registers.set(offset, this.get(offset) & ~value);
        return;
      case Reg.EIMC:
        this.#registers.set(Reg.EIMS, this.get(Reg.EIMS) & ~value);
        return;
    }
    this.#registers.set(offset, value);
    for (let queue = 0; queue < POOLS; queue++) {
      if (offset === Reg.TDT + queueOffsets(queue).tx) this.#transmit(queue);
    }
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

  #transmit(queue: number): void {
    const { rx, tx } = queueOffsets(queue);
    const head = Reg.TDH + tx;
    const enabled = (this.get(Reg.TXDCTL + tx) & this.get(Reg.RXDCTL + rx) & QUEUE_ENABLE) !== 0;
    const running = (this.get(Reg.TCTL) & Tctl.EN) !== 0 && (this.get(Reg.VFTE) & (1 << queue)) !== 0;
    const looped = enabled && (running || !this.#hasPools);
    let data: number[] = [];
    while (looped && !this.holds && !this.#wedged && this.get(head) !== this.get(Reg.TDT + tx)) {
      const ring = this.#address(Reg.TDBAL + tx, Reg.TDBAH + tx);
      const descriptor = this.#memory(ring + BigInt(this.get(head) * DESCRIPTOR), DESCRIPTOR);
      const address = descriptor.getBigUint64(0, true);
      const command = descriptor.getUint32(8, true);
      const length = command & 0xffff;
      this.#registers.set(head, (this.get(head) + 1) % (this.get(Reg.TDLEN + tx) / DESCRIPTOR));
      if (address === this.faulting) {
        this.#wedged = this.wedgesAtFaults;
        data = [];
        continue;
      }
      const bytes = this.#memory(address, length);
      for (let i = 0; i < length; i++) data.push(bytes.getUint8(i));
      if ((command & TxCommand.EOP) === 0) continue;
      for (const pool of this.#poolsOf(data)) this.#receive(pool, data.slice(HEADER));
      data = [];
    }
  }

  get #hasPools(): boolean {
    return (this.get(Reg.MRQC) & MRQC_POOLS) === MRQC_POOLS;
  }

  /** The queues that a frame goes to: those with its address, or the only one (datasheet, section 7.10.3). */
  #poolsOf(frame: readonly number[]): number[] {
    if (!this.#hasPools) return [0];
    const wanted = Buffer.from(frame.slice(0, 6));
    let pools = 0;
    for (let entry = 0; entry < POOLS; entry++) {
      const own = Buffer.alloc(8);
      own.writeInt32LE(this.get(receiveAddress(entry)) | 0, 0);
      const high = this.get(receiveAddress(entry) + 4);
      own.writeInt32LE(high | 0, 4);
      if ((high & Rah.VALID) !== 0 && wanted.equals(own.subarray(0, 6))) pools |= high >>> Rah.POOL_SHIFT;
    }
    return Array.from({ length: POOLS }, (_, pool) => pool).filter(
      (pool) => (pools & this.get(Reg.VFRE) & (1 << pool)) !== 0,
    );
  }

  #receive(queue: number, data: readonly number[]): void {
    const { rx, ivar } = queueOffsets(queue);
    const head = this.get(Reg.RDH + rx);
    const at = this.#address(Reg.RDBAL + rx, Reg.RDBAH + rx) + BigInt(head * DESCRIPTOR);
    const descriptor = this.#memory(at, DESCRIPTOR);
    const target = this.#memory(descriptor.getBigUint64(0, true), data.length);
    data.forEach((byte, i) => target.setUint8(i, byte));
    descriptor.setUint32(12, data.length, true);
    descriptor.setUint32(8, 3, true);
    this.#registers.set(Reg.RDH + rx, (head + 1) % (this.get(Reg.RDLEN + rx) / DESCRIPTOR));
    const entry = this.get(Reg.IVAR0 + ivar) & 0xff;
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
