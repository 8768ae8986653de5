import { type FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";

const BAR0 = 0;
const CONFIG = 7;
const MSIX = 2;
const BAR0_SIZE = 0x4000;
const PAGE = 4096;
const BUS_MASTER = 4;

const CAP = 0x00;
const VS = 0x08;
const CC = 0x14;
const CSTS = 0x1c;
const AQA = 0x24;
const ASQ = 0x28;
const ACQ = 0x30;
const DOORBELLS = 0x1000;

const READY = 1;
const FATAL = 2;
const SHUT_DOWN = 8;

const SUCCESS = 0;
const INVALID_OPCODE = 0x01;
const DATA_TRANSFER_ERROR = 0x04;
const LBA_OUT_OF_RANGE = 0x80;
const INVALID_QUEUE = 0x101;

/** What a test may choose of the fake controller. */
export interface FakeNvmeOptions {
  readonly serial?: string;
  readonly vectors?: number;
  readonly blockBytes?: number;
  readonly blocks?: number;
  readonly namespace?: number;
  readonly metadata?: number;
  readonly doorbellShift?: number;
  /** Entries of the largest queue. */
  readonly entries?: number;
  /** MDTS. */
  readonly maximumTransfer?: number;
  /** SGLS: 0 none, 1 any bytes, 2 dwords. */
  readonly segments?: number;
  /** CAP.MPSMIN and CAP.CSS. */
  readonly minimumPage?: number;
  readonly commandSets?: number;
  readonly classCode?: number;
}

/** An I/O command as the controller saw it. */
export interface SeenCommand {
  readonly opcode: number;
  readonly lba: number;
  readonly blocks: number;
}

interface Queue {
  readonly base: bigint;
  readonly entries: number;
  index: number;
}

interface SubmissionQueue extends Queue {
  readonly completions: number;
}

interface CompletionQueue extends Queue {
  phase: number;
  readonly vector: number | undefined;
}

/**
 * The part of an NVMe controller that the driver uses, by the base specification, with a disk in memory. It executes what one
 * doorbell hands over from the last command to the first, because the specification promises no order.
 */
export class FakeNvme extends FakeVfioDevice {
  readonly disk: Buffer;
  readonly commands: SeenCommand[] = [];
  /** Opcodes of admin commands. */
  readonly adminCommands: number[] = [];
  readonly #options: FakeNvmeOptions;
  /** The controller takes commands and completes none. */
  holds = false;
  /** CSTS.RDY stays set until a function reset. */
  staysReady = false;
  /** Registers read all ones, as without power. */
  isGone = false;
  /** Milliseconds that a shutdown takes. */
  shutdownMs = 0;
  functionResets = 0;
  backend: FakeIommuBackend | undefined;
  #configuration = 0;
  #status = 0;
  #shutDownAt = Infinity;
  readonly #registers = new Map<number, number>();
  #submissions = new Map<number, SubmissionQueue>();
  #completions = new Map<number, CompletionQueue>();

  constructor(options: FakeNvmeOptions = {}) {
    const config = new Uint8Array(256);
    const { vectors = 3, classCode = 0x01_0802 } = options;
    new DataView(config.buffer).setUint32(8, classCode << 8, true);
    super({
      regions: { [BAR0]: { size: BAR0_SIZE, mappableAreas: [] } },
      config,
      irqs: { [MSIX]: { count: vectors, eventfd: true } },
    });
    this.#options = options;
    const { blocks = 1024 } = options;
    this.disk = Buffer.alloc(blocks * this.blockBytes);
  }

  get blockBytes(): number {
    return this.#options.blockBytes ?? 512;
  }

  get enabled(): boolean {
    return (this.#configuration & 1) !== 0;
  }

  override readRegion(index: number, offset: number, into: Uint8Array): void {
    if (index !== BAR0) {
      super.readRegion(index, offset, into);
      return;
    }
    const view = new DataView(into.buffer, into.byteOffset, into.length);
    if (into.length === 8) view.setBigUint64(0, offset === CAP ? this.#capabilities() : 0n, true);
    else view.setUint32(0, this.#read(offset), true);
  }

  override writeRegion(index: number, offset: number, from: Uint8Array): void {
    if (index !== BAR0) {
      super.writeRegion(index, offset, from);
      return;
    }
    const view = new DataView(from.buffer, from.byteOffset, from.length);
    for (let word = 0; word < from.length; word += 4) this.#write(offset + word, view.getUint32(word, true));
  }

  override reset(): void {
    super.reset();
    this.functionResets++;
    // A server of vfio-user may forget its interrupts; the kernel does not.
    this.interrupts.set({ index: MSIX, action: "trigger", start: 0, count: 0 });
    this.staysReady = false;
    this.#stop();
    this.#configuration = 0;
  }

  #capabilities(): bigint {
    const { entries = 1024, doorbellShift = 0, minimumPage = 0, commandSets = 1 } = this.#options;
    const timeout = 1n << 24n;
    const high = doorbellShift | (commandSets << 5) | (minimumPage << 16);
    return BigInt(entries - 1) | timeout | (BigInt(high) << 32n);
  }

  #read(offset: number): number {
    if (this.isGone) return 0xffff_ffff;
    if (offset === VS) return 0x0001_0400;
    if (offset === CC) return this.#configuration;
    if (offset === CSTS) return this.#status | (performance.now() < this.#shutDownAt ? 0 : SHUT_DOWN);
    return this.#registers.get(offset) ?? 0;
  }

  #write(offset: number, value: number): void {
    if (offset === CC) this.#configure(value);
    else if (offset >= DOORBELLS) this.#doorbell(offset - DOORBELLS, value);
    else this.#registers.set(offset, value);
  }

  #configure(value: number): void {
    const was = this.#configuration;
    this.#configuration = value;
    if ((was & 1) === 0 && (value & 1) === 1) this.#start();
    if ((was & 1) === 1 && (value & 1) === 0 && !this.staysReady) this.#stop();
    if ((value & 0xc000) !== 0) this.#shutDownAt = performance.now() + this.shutdownMs;
  }

  #start(): void {
    this.#status = READY;
    const sizes = this.#read(AQA);
    this.#submissions.set(0, { base: this.#pair(ASQ), entries: (sizes & 0xfff) + 1, index: 0, completions: 0 });
    const entries = (sizes >>> 16) + 1;
    this.#completions.set(0, { base: this.#pair(ACQ), entries, index: 0, phase: 1, vector: 0 });
  }

  #stop(): void {
    this.#status = 0;
    this.#shutDownAt = Infinity;
    this.#submissions = new Map();
    this.#completions = new Map();
  }

  #pair(offset: number): bigint {
    return (BigInt(this.#read(offset + 4)) << 32n) | BigInt(this.#read(offset));
  }

  #doorbell(offset: number, value: number): void {
    const number = offset / (4 << (this.#options.doorbellShift ?? 0));
    if (number % 2 === 1) return;
    const queue = this.#submissions.get(number / 2);
    if (queue === undefined || value >= queue.entries) throw new Error(`bad doorbell ${number} = ${value}`);
    const isMaster = ((this.peek(CONFIG, 4, 1)[0] as number) & BUS_MASTER) !== 0;
    if (!isMaster) {
      this.#status |= FATAL;
      return;
    }
    if (this.holds) return;
    const commands: DataView[] = [];
    for (; queue.index !== value; queue.index = (queue.index + 1) % queue.entries) {
      commands.push(this.#memory(queue.base + BigInt(queue.index * 64), 64));
    }
    for (const command of commands.reverse()) {
      let result = 0;
      let status: number;
      if (number > 0) status = this.#io(command);
      else [status, result] = this.#admin(command);
      this.#complete(queue, command.getUint16(2, true), status, result);
    }
  }

  #complete(queue: SubmissionQueue, id: number, status: number, result: number): void {
    const completions = this.#completions.get(queue.completions) as CompletionQueue;
    const entry = this.#memory(completions.base + BigInt(completions.index * 16), 16);
    entry.setUint32(0, result, true);
    entry.setUint32(8, queue.index, true);
    entry.setUint32(12, id | (completions.phase << 16) | (status << 17), true);
    completions.index = (completions.index + 1) % completions.entries;
    if (completions.index === 0) completions.phase ^= 1;
    if (completions.vector !== undefined) this.interrupts.raise(MSIX, completions.vector);
  }

  #admin(command: DataView): [status: number, result: number] {
    const dword = (index: number): number => command.getUint32(index * 4, true);
    const queue = { base: command.getBigUint64(24, true), entries: (dword(10) >>> 16) + 1, index: 0 };
    const id = dword(10) & 0xffff;
    this.adminCommands.push(command.getUint8(0));
    switch (command.getUint8(0)) {
      case 0x01:
        if (!this.#completions.has(dword(11) >>> 16)) return [INVALID_QUEUE, 0];
        this.#submissions.set(id, { ...queue, completions: dword(11) >>> 16 });
        return [SUCCESS, 0];
      case 0x05:
        if (queue.entries > (this.#options.entries ?? 1024)) return [INVALID_QUEUE, 0];
        const vector = (dword(11) & 2) === 0 ? undefined : dword(11) >>> 16;
        this.#completions.set(id, { ...queue, phase: 1, vector });
        return [SUCCESS, 0];
      case 0x06:
        this.#identify(this.#memory(command.getBigUint64(24, true), PAGE), dword(10) & 0xff, dword(1));
        return [SUCCESS, 0];
      case 0x09:
        return [SUCCESS, dword(11)];
    }
    return [INVALID_OPCODE, 0];
  }

  #identify(page: DataView, structure: number, namespace: number): void {
    const {
      serial = "FAKE",
      namespace: active = 1,
      maximumTransfer = 0,
      metadata = 0,
      blocks = 1024,
      segments = 1,
    } = this.#options;
    const bytes = Buffer.from(page.buffer, page.byteOffset, PAGE).fill(0);
    if (structure === 1) {
      bytes.write(serial.padEnd(20), 4, "latin1");
      bytes[77] = maximumTransfer;
      bytes.writeUInt32LE(segments, 536);
    } else if (structure === 2) bytes.writeUInt32LE(active);
    else if (namespace === active) {
      bytes.writeUInt32LE(blocks);
      bytes[26] = 1;
      bytes.writeUInt32LE(0xff << 16, 128);
      bytes.writeUInt32LE(metadata | (Math.log2(this.blockBytes) << 16), 132);
    }
  }

  #io(command: DataView): number {
    const opcode = command.getUint8(0);
    if (command.getUint32(4, true) !== (this.#options.namespace ?? 1)) return 0x0b;
    const lba = Number(command.getBigUint64(40, true));
    const blocks = (command.getUint32(48, true) & 0xffff) + 1;
    this.commands.push({ opcode, lba, blocks });
    if (opcode === 0x00) return SUCCESS;
    if (opcode > 2) return INVALID_OPCODE;
    const { blockBytes } = this;
    if (lba + blocks > this.disk.length / blockBytes) return LBA_OUT_OF_RANGE;
    let at = lba * blockBytes;
    const isSegments = (command.getUint8(1) & 0xc0) === 0x40;
    const bytes = blocks * blockBytes;
    for (const memory of isSegments ? this.#segments(command, bytes) : this.#pages(command, bytes)) {
      if (memory === undefined) return DATA_TRANSFER_ERROR;
      const stored = this.disk.subarray(at, at + memory.length);
      if (opcode === 0x01) stored.set(memory);
      else memory.set(stored);
      at += memory.length;
    }
    return SUCCESS;
  }

  /** The memory of a command by its scatter gather list, page by page. */
  *#segments(command: DataView, bytes: number): Generator<Uint8Array | undefined> {
    const { segments = 1 } = this.#options;
    if (segments === 0) throw new Error("the controller has no scatter gather lists");
    const isLast = command.getUint8(39) === 0x30;
    const list = isLast
      ? this.#memory(command.getBigUint64(24, true), command.getUint32(32, true))
      : new DataView(command.buffer, command.byteOffset + 24, 16);
    let total = 0;
    for (let at = 0; at < list.byteLength; at += 16) {
      const address = list.getBigUint64(at, true);
      const length = list.getUint32(at + 8, true);
      if (list.getUint8(at + 15) !== 0) throw new Error("no data block");
      if (segments === 2 && (length % 4 !== 0 || address % 4n !== 0n)) throw new Error("not dwords");
      total += length;
      for (let done = 0; done < length;) {
        const part = Math.min(length - done, PAGE - Number((address + BigInt(done)) % BigInt(PAGE)));
        yield this.backend?.bytesAt(address + BigInt(done), part);
        done += part;
      }
    }
    if (total !== bytes) throw new Error(`a list of ${total} bytes for ${bytes}`);
  }

  /** The memory of a command, page by page; undefined for one that is not mapped. */
  *#pages(command: DataView, bytes: number): Generator<Uint8Array | undefined> {
    const first = command.getBigUint64(24, true);
    if (first % 4n !== 0n) throw new Error("PRP 1 is not a multiple of 4");
    const second = command.getBigUint64(32, true);
    const inFirst = Math.min(bytes, PAGE - Number(first % BigInt(PAGE)));
    yield this.backend?.bytesAt(first, inFirst);
    const isList = bytes - inFirst > PAGE;
    for (let done = inFirst, index = 0; done < bytes; done += PAGE, index++) {
      const address = isList ? this.#memory(second + BigInt(8 * index), 8).getBigUint64(0, true) : second;
      if (address % BigInt(PAGE) !== 0n) throw new Error(`PRP entry 0x${address.toString(16)} has an offset`);
      yield this.backend?.bytesAt(address, Math.min(PAGE, bytes - done));
    }
  }

  #memory(address: bigint, length: number): DataView {
    const bytes = this.backend?.bytesAt(address, length);
    if (bytes === undefined) throw new Error(`nothing is mapped at 0x${address.toString(16)}`);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }
}
