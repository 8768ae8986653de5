import { PciIrq, PciRegion } from "@vfio-selftests/vfio-user";
import { Flag } from "../dsa/descriptors/flags";
import { DsaModel } from "../dsa/dsa-model";
import { CMDSTATUS_ACTIVE } from "../dsa/registers/bar0";
import { Command, DSA, type DsaOptions, Table } from "../dsa/registers/capabilities";
import { MemoryHost } from "./memory-host";
import { Opcode } from "./opcodes";

/** Fields of a descriptor. A missing field is 0. */
export interface DescriptorFields {
  readonly opcode?: number;
  readonly flags?: number;
  readonly completion?: bigint;
  readonly source?: bigint;
  readonly destination?: bigint;
  readonly size?: number;
  readonly handle?: number;
  readonly pasid?: number;
  readonly privileged?: boolean;
  /** Bytes 40 and following. */
  readonly rest?: Uint8Array;
}

export function descriptorBytes(fields: DescriptorFields): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ((fields.pasid ?? 0) | (fields.privileged === true ? 0x8000_0000 : 0)) >>> 0, true);
  view.setUint32(4, ((fields.flags ?? 0) | ((fields.opcode ?? 0) << 24)) >>> 0, true);
  view.setBigUint64(8, fields.completion ?? 0n, true);
  view.setBigUint64(16, fields.source ?? 0n, true);
  view.setBigUint64(24, fields.destination ?? 0n, true);
  view.setUint32(32, fields.size ?? 0, true);
  view.setUint16(36, fields.handle ?? 0, true);
  bytes.set(fields.rest ?? [], 40);
  return bytes;
}

export interface Record {
  readonly status: number;
  readonly result: number;
  readonly completed: number;
  readonly faultAddress: bigint;
  /** Invalid Flags, or the CRC. */
  readonly extra: number;
}

/** Where the fixture puts things in the client's memory. */
export const BASE = 0x10_0000n;
export const MEMORY_BYTES = 0x40_0000;
export const RECORD = BASE;
export const LIST = BASE + 0x1000n;
export const SOURCE = BASE + 0x10_0000n;
export const DESTINATION = BASE + 0x20_0000n;
/** Nothing is mapped here. */
export const NOWHERE = 0x7000_0000n;

/** Asks for a completion record. */
export const NOTIFY = Flag.completionAddressValid | Flag.requestCompletionRecord;

/** The set-up of a work queue: the words of WQCFG. */
export interface QueueSetup {
  readonly size?: number;
  readonly threshold?: number;
  /** Default: dedicated, priority 1. */
  readonly mode?: number;
  /** Default: 2^31 bytes, 2^10 descriptors. */
  readonly limits?: number;
}

export const DEDICATED = 0x11;
const LIMITS = 31 | (10 << 5);

/** A model and its client in one thread, one step at a time. */
export class DsaFixture {
  readonly memory = new MemoryHost();
  readonly model: DsaModel;
  readonly bytes: Uint8Array;

  constructor(options: DsaOptions = {}) {
    // Every look at this clock is a millisecond later, so a step works on one piece.
    let milliseconds = 0;
    this.model = new DsaModel({ now: () => milliseconds++, ...options });
    for (let vector = 0; vector < DSA.msixVectors; vector++) this.memory.connected.add(`${PciIrq.msix}:${vector}`);
    this.model.attach(this.memory);
    this.bytes = this.memory.map(BASE, MEMORY_BYTES);
  }

  /** MSI-X vectors raised so far. */
  get interrupts(): number[] {
    return this.memory.interrupts.map((raised) => Number(raised.split(":")[1]));
  }

  read32(offset: number): number {
    return this.model.bar0.read(offset, 4);
  }

  read64(offset: number): bigint {
    return this.model.bar0.read64(offset);
  }

  write32(offset: number, value: number): void {
    this.model.bar0.write(offset, 4, value);
  }

  write64(offset: number, value: bigint): void {
    this.model.bar0.write64(offset, value);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    this.model.regions.get(PciRegion.config)?.write(offset, width, value);
  }

  /** Runs a command to its end. Returns the error code. */
  command(code: number, operand = 0): number {
    this.write32(0xa0, ((code << 20) | operand) >>> 0);
    this.run();
    const status = this.read32(0xa8);
    if ((status & CMDSTATUS_ACTIVE) !== 0) throw new Error(`command ${code} does not complete`);
    return status & 0xff;
  }

  /** Steps until the model has nothing more to do. Returns the number of steps. */
  run(limit = 100_000): number {
    for (let steps = 1; steps <= limit; steps++) if (!this.model.step()) return steps;
    throw new Error(`the model is still busy after ${limit} steps`);
  }

  /**
   * Sets up bus mastering, queues and groups; by default queue 0 and engine 0 in group 0. It enables neither device nor
   * queues.
   */
  configure(
    queues: readonly QueueSetup[] = [{}],
    groups: readonly [queues: bigint, engines: bigint][] = [[1n, 1n]],
  ): void {
    this.writeConfig(4, 2, 0x406);
    queues.forEach(({ size = 16, threshold = 0, mode = DEDICATED, limits = LIMITS }, i) => {
      const base = Table.workQueues + i * 64;
      [size, threshold, mode, limits].forEach((word, n) => this.write32(base + n * 4, word));
    });
    groups.forEach(([members, engines], i) => {
      this.write64(Table.groups + i * 64, members);
      this.write64(Table.groups + i * 64 + 0x20, engines);
    });
  }

  /** As `configure`, and enables everything. */
  enable(queues: readonly QueueSetup[] = [{}], groups?: readonly [queues: bigint, engines: bigint][]): void {
    this.configure(queues, groups);
    this.#expectSuccess(Command.enableDevice, 0);
    queues.forEach((_, i) => this.#expectSuccess(Command.enableWorkQueue, i));
  }

  #expectSuccess(code: number, operand: number): void {
    const error = this.command(code, operand);
    if (error !== 0) throw new Error(`command ${code}: error 0x${error.toString(16)}`);
  }

  /** Writes a descriptor to a queue's unlimited portal, without running it. */
  submit(fields: DescriptorFields | Uint8Array, queue = 0): void {
    const bytes = fields instanceof Uint8Array ? fields : descriptorBytes(fields);
    this.model.portals.write64Bytes(queue * 0x4000, bytes);
  }

  /** Submits a descriptor that asks for a completion record, and runs to the end. */
  execute(fields: DescriptorFields): Record {
    this.at(RECORD, 32).fill(0);
    this.submit({ completion: RECORD, flags: NOTIFY, ...fields });
    this.run();
    return this.record();
  }

  /** Puts descriptors at LIST and executes them as a batch. */
  executeBatch(members: readonly DescriptorFields[], fields: DescriptorFields = {}): Record {
    members.forEach((member, i) => this.at(LIST + BigInt(i * 64), 64).set(descriptorBytes(member)));
    return this.execute({ opcode: Opcode.batch, source: LIST, size: members.length, ...fields });
  }

  record(address = RECORD): Record {
    const bytes = this.at(address, 32);
    const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
    return {
      status: bytes[0] as number,
      result: bytes[1] as number,
      completed: view.getUint32(4, true),
      faultAddress: view.getBigUint64(8, true),
      extra: view.getUint32(16, true),
    };
  }

  /** The client's memory at an address. */
  at(address: bigint, length: number): Uint8Array {
    const offset = Number(address - BASE);
    return this.bytes.subarray(offset, offset + length);
  }

  /** SWERROR as fields. */
  softwareError() {
    const [first, second, address] = [0xc0, 0xc8, 0xd0].map((offset) => this.read64(offset)) as [
      bigint,
      bigint,
      bigint,
    ];
    const bit = (n: bigint) => ((first >> n) & 1n) === 1n;
    return {
      valid: bit(0n),
      overflow: bit(1n),
      descriptorValid: bit(2n),
      workQueueValid: bit(3n),
      batch: bit(4n),
      write: bit(5n),
      privileged: bit(6n),
      error: Number((first >> 8n) & 0xffn),
      workQueue: Number((first >> 16n) & 0xffn),
      operation: Number((first >> 32n) & 0xffn),
      pasid: Number((first >> 40n) & 0xf_ffffn),
      batchIndex: Number(second & 0xffffn),
      invalidFlags: Number(second >> 32n),
      address,
    };
  }
}
