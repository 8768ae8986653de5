import { FakeVfioDevice } from "@vfio-selftests/core/testing";

const BAR0 = 0;
const CONFIG = 7;
const COMMAND = 0x04;
const STATUS = 0x06;
const BASES = [0x10a000, 0x110000, 0x844000];
const DMACTL = 0x10c;
const DMATRFCMD = 0x118;
const IDLE = 0x2;
const MASTER_ABORT = 0x2000;

/** How the scripted GPU treats transfers. */
export type Behaviour = "ends" | "hangs" | "aborts reads";

/** Just enough of a GPU to answer the driver. The package `tests` has the tests with a model. */
export class ScriptedGpu extends FakeVfioDevice {
  behaviour: Behaviour = "ends";
  /** VFIO lets nobody clear PCI STATUS; a vfio-user server does. */
  statusClears = true;
  /** DMACTL shows scrubbing this often before it shows the end. */
  scrubbing = 0;
  /** What FSP answers to any message; undefined: nothing. */
  answer: readonly number[] | undefined = [0xc000_0000, 0x1510_de7e, 0, 0x22, 0];
  resets = 0;
  readonly writes: string[] = [];
  #port = 0;
  readonly #emem = new Map<number, number>();

  constructor({ boot0 = 0x1640_00a1, vendor = 0x10de, classCode = 0x0302, barBytes = 0x100_0000 } = {}) {
    const config = new Uint8Array(4096);
    const view = new DataView(config.buffer);
    view.setUint16(0, vendor, true);
    view.setUint16(2, 0x1eb8, true);
    view.setUint16(0x0a, classCode, true);
    super({ regions: { [BAR0]: { size: barBytes, mappableAreas: [] } }, config });
    if (barBytes < 0x100_0000) return;
    this.set(0, boot0);
    this.set(0x11_8234, 0x3ff);
    this.set(0x02_00bc, 0xff);
    this.set(0x10_0b20, 1);
    for (const base of BASES) this.set(base + DMATRFCMD, IDLE);
  }

  override readRegion(index: number, offset: number, into: Uint8Array): void {
    if (index === BAR0 && this.scrubbing > 0 && BASES.some((base) => offset === base + DMACTL)) {
      this.scrubbing--;
      into.set([0x6, 0, 0, 0]);
      return;
    }
    if (index === BAR0 && offset === EMEMD) this.set(EMEMD, this.#emem.get(this.#nextWord()) ?? 0);
    super.readRegion(index, offset, into);
  }

  override writeRegion(index: number, offset: number, from: Uint8Array): void {
    const value = Buffer.from(from).readUIntLE(0, Math.min(from.length, 4));
    this.writes.push(`${index === CONFIG ? "config " : ""}${offset.toString(16)} = ${value.toString(16)}`);
    if (index === CONFIG && offset === STATUS) {
      if (this.statusClears) this.status &= ~value;
      return;
    }
    super.writeRegion(index, offset, from);
    if (index !== BAR0) return;
    if (BASES.some((base) => offset === base + DMATRFCMD)) this.#transfer(offset, value);
    if (offset === EMEMC) this.#port = value & 0xffff;
    if (offset === EMEMD) this.#emem.set(this.#nextWord(), value);
    if (offset === QUEUE_HEAD) this.#answer();
  }

  override reset(): void {
    this.resets++;
    super.reset();
  }

  get status(): number {
    return Buffer.from(this.peek(CONFIG, STATUS, 2)).readUInt16LE();
  }

  set status(value: number) {
    this.poke(CONFIG, STATUS, Uint8Array.of(value & 0xff, (value >>> 8) & 0xff));
  }

  get(offset: number): number {
    return Buffer.from(this.peek(BAR0, offset, 4)).readUInt32LE();
  }

  set(offset: number, value: number): void {
    const data = Buffer.alloc(4);
    data.writeUInt32LE(value >>> 0);
    this.poke(BAR0, offset, data);
  }

  #transfer(register: number, command: number): void {
    const busMaster = ((this.peek(CONFIG, COMMAND, 1)[0] ?? 0) & 0x4) !== 0;
    const ends = this.behaviour !== "hangs" && busMaster;
    this.set(register, (command & ~IDLE) | (ends ? IDLE : 0));
    if (this.behaviour === "aborts reads" && (command & 0x20) === 0) this.status |= MASTER_ABORT;
  }

  #nextWord(): number {
    this.#port += 4;
    return this.#port - 4;
  }

  #answer(): void {
    if (this.get(QUEUE_HEAD) === this.get(QUEUE_TAIL) || this.answer === undefined) return;
    this.set(QUEUE_TAIL, this.get(QUEUE_HEAD));
    this.answer.forEach((word, i) => this.#emem.set(0x800 + i * 4, word));
    this.set(ANSWER_HEAD, 0x800);
    this.set(ANSWER_TAIL, 0x800 + (this.answer.length - 1) * 4);
  }
}

/** FSP's channel 2. */
const EMEMC = 0x8f_2ad0;
const EMEMD = 0x8f_2ad4;
const QUEUE_HEAD = 0x8f_2c10;
const QUEUE_TAIL = 0x8f_2c14;
const ANSWER_HEAD = 0x8f_2c90;
const ANSWER_TAIL = 0x8f_2c94;
