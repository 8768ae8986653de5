import { type ModelRegion, PciRegion } from "@vfio-selftests/vfio-user";
import { Command } from "../config-space/index";
import { NvFalconModel } from "../nv-falcon/index";
import { MemoryHost } from "./memory-host";

/** Offsets from the falcon's base for tests, kept apart from the declarations under test. */
export const Falcon = {
  HWCFG2: 0x0f4,
  DMACTL: 0x10c,
  DMATRFBASE: 0x110,
  DMATRFMOFFS: 0x114,
  DMATRFCMD: 0x118,
  DMATRFFBOFFS: 0x11c,
  XFER_STATUS: 0x120,
  DMATRFBASE1: 0x128,
  IMEMC: 0x180,
  IMEMD: 0x184,
  DMEMC: 0x1c0,
  DMEMD: 0x1c4,
  ENGINE: 0x3c0,
  BCR_CTRL: 0x1668,
} as const;

/** Bits of DMATRFCMD. */
export const Cmd = { full: 0x1, idle: 0x2, imem: 0x10, write: 0x20 } as const;
export const SIZE_256 = 6 << 8;

/** What differs between the generations, as the kernel's nv_falcon/hw.h has it. */
const PLACES = {
  kepler: { base: 0x10a000, fbif: 0x600 },
  maxwell1: { base: 0x10a000, fbif: 0x600 },
  maxwell2: { base: 0x10a000, fbif: 0xe00 },
  pascal: { base: 0x10a000, fbif: 0xe00 },
  pascal10x: { base: 0x10a000, fbif: 0xe00 },
  volta: { base: 0x110000, fbif: 0x600 },
  turing: { base: 0x110000, fbif: 0x600 },
  ampere: { base: 0x110000, fbif: 0x600 },
  ada: { base: 0x10a000, fbif: 0xe00 },
  hopper: { base: 0x844000, fbif: 0x400 },
} as const;

export type GenerationName = keyof typeof PLACES;
export const GENERATION_NAMES = Object.keys(PLACES) as GenerationName[];

/** A model with memory at {@link NvFalconFixture.data}, a clock that only the test moves, and helpers to drive it. */
export class NvFalconFixture {
  static readonly data = 0x12_3400_0000n;
  /** Never mapped. */
  static readonly nowhere = 0x7000_0000n;

  readonly host = new MemoryHost();
  readonly model: NvFalconModel;
  readonly data: Uint8Array;
  readonly bar: ModelRegion;
  readonly config: ModelRegion;
  /** Milliseconds. */
  time = 0;
  readonly #base: number;
  readonly #fbif: number;

  constructor(generation: GenerationName = "turing") {
    this.model = new NvFalconModel({ generation, now: () => this.time });
    this.data = this.host.map(NvFalconFixture.data, 0x1_0000);
    this.model.attach(this.host);
    this.bar = this.model.regions.get(PciRegion.bar0) as ModelRegion;
    this.config = this.model.regions.get(PciRegion.config) as ModelRegion;
    this.config.write(0x04, 2, Command.memorySpace | Command.busMaster);
    this.#base = PLACES[generation].base;
    this.#fbif = PLACES[generation].base + PLACES[generation].fbif;
  }

  /** Long enough for boot, memory and scrubbing. */
  wait(ms = 100): void {
    this.time += ms;
  }

  read(register: number): number {
    return this.bar.read(this.#base + register, 4);
  }

  write(register: number, value: number): void {
    this.bar.write(this.#base + register, 4, value);
  }

  readFbif(register: number): number {
    return this.bar.read(this.#fbif + register, 4);
  }

  writeFbif(register: number, value: number): void {
    this.bar.write(this.#fbif + register, 4, value);
  }

  /** Boots, resets the falcon and lets context 0 reach the host's memory. */
  bringUp(): this {
    this.wait();
    this.write(Falcon.ENGINE, 1);
    this.write(Falcon.ENGINE, 0);
    this.wait();
    this.write(Falcon.BCR_CTRL, 0);
    this.writeFbif(0x00, 0x5);
    this.writeFbif(0x24, 0x90);
    this.write(Falcon.DMACTL, 0);
    return this;
  }

  /** Asks for a transfer of the address's block, without running it. */
  request(command: number, address: bigint, local = 0): void {
    this.bar.write(0x100f04, 4, Number((address >> 47n) & 0x1ffffn));
    this.write(Falcon.DMATRFBASE1, Number((address >> 40n) & 0x7fn));
    this.write(Falcon.DMATRFBASE, Number((address >> 8n) & 0xffff_ffffn));
    this.write(Falcon.DMATRFFBOFFS, Number(address & 0xffn));
    this.write(Falcon.DMATRFMOFFS, local);
    this.write(Falcon.DMATRFCMD, command);
  }

  transfer(command: number, address: bigint, local = 0): void {
    this.request(command, address, local);
    this.run();
  }

  run(limit = 1000): void {
    for (let n = 0; n < limit && this.model.step(); n++);
  }

  get idle(): boolean {
    return (this.read(Falcon.DMATRFCMD) & Cmd.idle) !== 0;
  }

  get status(): number {
    return this.config.read(0x06, 2);
  }

  dmem(offset: number, length: number): Uint8Array {
    return this.model.falcon.dmem.bytes.subarray(offset, offset + length);
  }
}
