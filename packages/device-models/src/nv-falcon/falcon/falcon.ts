import type { DmaSpace } from "@vfio-selftests/vfio-user";
import { RegisterFile } from "../../registers/index";
import type { Generation } from "../generations";
import {
  type bar0Of,
  BcrCtrl,
  Dmactl,
  Dmatrfcmd,
  ENGINE_OFFSET,
  ENGINE_RESET,
  type FalconRegisters,
  Hwcfg2,
  MEMORY_BLOCKS,
  type MemoryRegisters,
} from "../registers/bar0";
import { type BusAccess, DmaEngine } from "./dma-engine";
import { requestedTransfer } from "./transfer";
import { WordMemory } from "./word-memory";

const BLOCK_BYTES = 256;
/** How long the hardware clears IMEM and DMEM after a reset. The kernel's drivers allow 10 ms and more. */
const SCRUBBING_MS = 0.2;

/** What a register reads whose unit is in reset or may not be asked (the kernel's nv_falcon/hw.h: what Ada's PMU answers). */
const NO_ANSWER = 0xbadf_5620;

/** What the falcon needs of the GPU around it. */
export interface Surroundings extends BusAccess {
  /** Whether the GPU has booted, and lets the falcon out of reset. */
  powered(): boolean;
  /** Clock in milliseconds. */
  now(): number;
  readonly memory: MemoryRegisters;
}

/** A falcon: its memories, DMA engine and reset. It runs no code: its processor stays halted. */
export class Falcon {
  readonly registers: FalconRegisters;
  readonly imem = new WordMemory(MEMORY_BLOCKS * BLOCK_BYTES);
  readonly dmem = new WordMemory(MEMORY_BLOCKS * BLOCK_BYTES);
  readonly #engine: DmaEngine;
  readonly #generation: Generation;
  readonly #around: Surroundings;
  #inReset = false;
  #scrubbedAt = 0;

  constructor(generation: Generation, map: ReturnType<typeof bar0Of>["falcon"]["map"], around: Surroundings) {
    this.#generation = generation;
    this.#around = around;
    const status = { beforeRead: () => this.#refresh() };
    this.registers = new RegisterFile(map, {
      HWCFG2: status,
      DMACTL: status,
      XFER_STATUS: status,
      DMATRFCMD: { ...status, afterWrite: () => this.#command() },
      IMEMD: this.imem.portData(() => ({
        control: this.registers.registers.IMEMC,
        data: this.registers.registers.IMEMD,
      })),
      DMEMD: this.dmem.portData(() => ({
        control: this.registers.registers.DMEMC,
        data: this.registers.registers.DMEMD,
      })),
      ENGINE: { afterWrite: (written) => this.#engineWritten((written & ENGINE_RESET) !== 0) },
    });
    this.#engine = new DmaEngine(this.registers, this, around);
  }

  /** What the block reads at this offset while it does not answer; undefined: it answers. */
  silence(offset: number): number | undefined {
    if (this.#generation.reset === "engine" && offset === ENGINE_OFFSET) return undefined;
    return this.#inReset || !this.#around.powered() ? NO_ANSWER : undefined;
  }

  /** Puts the falcon into reset, or lets it out. */
  setReset(inReset: boolean): void {
    if (inReset === this.#inReset) return;
    this.#inReset = inReset;
    this.#engine.drop();
    this.registers.reset();
    if (!inReset) this.#scrub();
  }

  /** As after power-on: out of reset, where the generation has one, and clean. */
  reset(): void {
    this.#inReset = false;
    this.#engine.drop();
    this.registers.reset();
    this.#scrub();
  }

  drop(): void {
    this.#engine.drop();
  }

  run(dma: DmaSpace): boolean {
    return this.#engine.run(dma);
  }

  /** ENGINE itself keeps what software wrote: it lies outside of what it resets. */
  #engineWritten(inReset: boolean): void {
    if (this.#generation.reset !== "engine") return;
    this.setReset(inReset);
    this.registers.registers.ENGINE.value = inReset ? ENGINE_RESET : 0;
  }

  #scrub(): void {
    this.imem.clear();
    this.dmem.clear();
    this.#scrubbedAt = this.#around.now() + SCRUBBING_MS;
  }

  get #scrubbing(): boolean {
    return this.#around.now() < this.#scrubbedAt;
  }

  /** A command is lost while the memories are cleared, and while the other core is selected. */
  #command(): void {
    if (this.#scrubbing || (this.registers.registers.BCR_CTRL.value & BcrCtrl.riscv) !== 0) return;
    this.#engine.request(requestedTransfer(this.registers, this.#around.memory));
  }

  #refresh(): void {
    const { DMACTL, DMATRFCMD, HWCFG2, XFER_STATUS } = this.registers.registers;
    const scrubbing = this.#scrubbing;
    DMACTL.value =
      (DMACTL.value & Dmactl.requireContext) | (scrubbing ? Dmactl.dmemScrubbing | Dmactl.imemScrubbing : 0);
    HWCFG2.value = (HWCFG2.value & Hwcfg2.riscv) | (scrubbing ? Hwcfg2.memoryScrubbing : 0);
    const { idle, full } = this.#engine;
    DMATRFCMD.value =
      (DMATRFCMD.value & ~(Dmatrfcmd.full | Dmatrfcmd.idle)) |
      (full ? Dmatrfcmd.full : 0) |
      (idle ? Dmatrfcmd.idle : 0);
    const [loads, stores] = [this.#engine.waiting(false), this.#engine.waiting(true)];
    XFER_STATUS.value = (loads + stores > 0 ? XferStatus.busy : 0) | (stores << 16) | (loads << 24);
  }
}

/** XFER_STATUS counts stores in bits 18:16, loads in 26:24 (envytools, docs/hw/falcon/xfer.rst). */
const XferStatus = { busy: 0x2 } as const;
