import { type ModelRegion, PciIrq, PciRegion } from "@vfio-selftests/vfio-user";
import { Command } from "../config-space/index";
import { IoatModel, type IoatModelOptions } from "../ioat/index";
import { MemoryHost } from "./memory-host";

/** Offsets in BAR0 for tests, kept apart from the declarations under test. */
export const Offset = {
  CHANCNT: 0x00,
  XFERCAP: 0x01,
  INTRCTRL: 0x03,
  ATTNSTATUS: 0x04,
  CBVER: 0x08,
  INTRDELAY: 0x0c,
  DMACAPABILITY: 0x10,
  CHANCTRL: 0x80,
  CHANCMD: 0x84,
  DMACOUNT: 0x86,
  CHANSTS: 0x88,
  CHAINADDR: 0x90,
  CHANCMP: 0x98,
  CDAR: 0xa0,
  CHANERR: 0xa8,
  CHANERRMSK: 0xac,
} as const;

export interface DescriptorFields {
  readonly size?: number;
  /** Control bits. The operation is in bits 31:24. */
  readonly control?: number;
  readonly source?: bigint;
  readonly destination?: bigint;
  readonly next?: bigint;
}

/** An IOAT model with memory: descriptors at `descriptors`, data at `data`, a completion word at `completion`. */
export class IoatFixture {
  static readonly descriptors = 0x1_0000n;
  static readonly data = 0x100_0000n;
  static readonly completion = 0x8000n;
  /** Never mapped. */
  static readonly nowhere = 0x7000_0000n;

  readonly host = new MemoryHost();
  readonly model: IoatModel;
  readonly descriptors: Uint8Array;
  readonly data: Uint8Array;
  readonly completion: Uint8Array;
  readonly bar: ModelRegion;
  readonly config: ModelRegion;

  constructor(options: IoatModelOptions & { dataBytes?: number; shared?: boolean } = {}) {
    // The clock runs so fast that every step does one piece.
    let time = 0;
    this.model = new IoatModel({ now: () => time++, ...options });
    const memory = { shared: options.shared ?? true };
    this.descriptors = this.host.map(IoatFixture.descriptors, 0x1_0000, memory);
    this.data = this.host.map(IoatFixture.data, options.dataBytes ?? 0x40_0000, memory);
    this.completion = this.host.map(IoatFixture.completion, 0x1000, memory);
    this.host.connected.add(`${PciIrq.msix}:0`);
    this.model.attach(this.host);
    this.bar = this.model.regions.get(PciRegion.bar0) as ModelRegion;
    this.config = this.model.regions.get(PciRegion.config) as ModelRegion;
    this.config.write(0x04, 2, Command.memorySpace | Command.busMaster | Command.interruptDisable);
  }

  /** Writes descriptor `index` (64 bytes each) and returns its address. */
  describe(index: number, fields: DescriptorFields): bigint {
    const view = new DataView(this.descriptors.buffer, index * 64, 64);
    view.setUint32(0, fields.size ?? 64, true);
    view.setUint32(4, fields.control ?? 0, true);
    view.setBigUint64(8, fields.source ?? IoatFixture.data, true);
    view.setBigUint64(16, fields.destination ?? IoatFixture.data + 0x20_0000n, true);
    view.setBigUint64(24, fields.next ?? IoatFixture.at(index + 1), true);
    return IoatFixture.at(index);
  }

  static at(index: number): bigint {
    return IoatFixture.descriptors + BigInt(index * 64);
  }

  write64(offset: number, value: bigint): void {
    this.bar.write64?.(offset, value);
  }

  /** Hands over `count` descriptors from `address` on and runs the model until it has nothing to do. */
  submit(address: bigint, count: number): void {
    this.write64(Offset.CHAINADDR, address);
    this.bar.write(Offset.DMACOUNT, 2, count);
    this.run();
  }

  /** Steps until the model is idle, at most `limit` times. */
  run(limit = 100_000): void {
    for (let n = 0; n < limit && this.model.step(); n++);
  }

  command(bits: number): void {
    this.bar.write(Offset.CHANCMD, 1, bits);
  }

  get status(): number {
    return this.bar.read(Offset.CHANSTS, 4) & 0x7;
  }

  get lastDescriptor(): bigint {
    return (this.bar.read64?.(Offset.CHANSTS) ?? 0n) & ~0x3fn;
  }

  get error(): number {
    return this.bar.read(Offset.CHANERR, 4);
  }

  get completionWord(): bigint {
    return new DataView(this.completion.buffer).getBigUint64(0, true);
  }
}
