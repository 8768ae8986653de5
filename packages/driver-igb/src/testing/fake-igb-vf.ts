import { FakeVfioDevice } from "@vfio-selftests/core/testing";
import {
  Ctrl,
  mailboxMemoryOf,
  mailboxOf,
  PfMailbox,
  QUEUE_ENABLE,
  queueOffsets,
  Reg,
  VfMailbox,
  VfReg,
} from "../registers";
import type { FakeIgb } from "./fake-igb";

const BAR0 = 0;
const BAR0_SIZE = 0x4000;
const MSIX = 2;
const VECTORS = 3;
const MAILBOX_BYTES = 64;
const VALUE_BYTES = 4;
const RX = [Reg.RDBAL, Reg.RDBAH, Reg.RDLEN, Reg.SRRCTL, Reg.RDH, Reg.RDT, Reg.RXDCTL] as const;
const TX = [Reg.TDBAL, Reg.TDBAH, Reg.TDLEN, Reg.TDH, Reg.TDT, Reg.TXDCTL] as const;

/** A virtual function of a {@link FakeIgb}: a window to its queue's registers, and the mailbox. */
export class FakeIgbVf extends FakeVfioDevice {
  readonly #pf: FakeIgb;
  readonly #number: number;
  #mailbox = 0;

  constructor(pf: FakeIgb, number: number) {
    const config = new Uint8Array(256);
    new DataView(config.buffer).setUint32(0, 0x10ca_8086, true);
    super({
      address: `0000:00:10.${number}`,
      regions: { [BAR0]: { size: BAR0_SIZE, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: VECTORS, eventfd: true } },
    });
    this.#pf = pf;
    this.#number = number;
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
    this.#write(offset, new DataView(from.buffer, from.byteOffset).getUint32(0, true));
  }

  override reset(): void {
    this.#resetQueues();
    super.reset();
  }

  #read(offset: number): number {
    if (offset === VfReg.V2PMAILBOX) {
      const sent = (this.#pf.get(mailboxOf(this.#number)) & PfMailbox.MESSAGE_SENT) !== 0;
      // The bit goes by being read.
      if (sent) this.#put(mailboxOf(this.#number), 0);
      return this.#mailbox | (sent ? VfMailbox.MESSAGE_SENT : 0);
    }
    const at = this.#inPf(offset);
    return at === undefined ? 0 : this.#pf.get(at);
  }

  #write(offset: number, value: number): void {
    if (offset === Reg.CTRL && (value & Ctrl.RST) !== 0) this.#resetQueues();
    if (offset === VfReg.V2PMAILBOX) {
      this.#mailbox = value & VfMailbox.TAKE;
      if ((value & VfMailbox.REQUEST) !== 0) this.#pf.request(this.#number);
      return;
    }
    const at = this.#inPf(offset);
    if (at !== undefined) this.#put(at, value);
  }

  /** Where the PF has a register of the VF's; undefined: the VF does not have it. */
  #inPf(offset: number): number | undefined {
    const { rx, tx } = queueOffsets(this.#number);
    if ((RX as readonly number[]).includes(offset)) return offset + rx;
    if ((TX as readonly number[]).includes(offset)) return offset + tx;
    const within = offset - VfReg.VMBMEM;
    return within >= 0 && within < MAILBOX_BYTES ? mailboxMemoryOf(this.#number) + within : undefined;
  }

  #put(offset: number, value: number): void {
    const bytes = new Uint8Array(VALUE_BYTES);
    new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
    this.#pf.writeRegion(BAR0, offset, bytes);
  }

  #resetQueues(): void {
    const { rx, tx } = queueOffsets(this.#number);
    for (const queue of [Reg.RXDCTL + rx, Reg.TXDCTL + tx]) this.#put(queue, this.#pf.get(queue) & ~QUEUE_ENABLE);
    for (const enable of [Reg.VFRE, Reg.VFTE]) this.#put(enable, this.#pf.get(enable) & ~(1 << this.#number));
  }
}
