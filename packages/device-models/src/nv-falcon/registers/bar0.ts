import { type RegisterDeclarations, type RegisterFile, registerMap } from "../../registers/index";
import type { Generation } from "../generations";

/** BAR 0 of every NVIDIA GPU from Kepler to Hopper has 16 MiB. */
export const BAR0_BYTES = 0x100_0000;

const ALL = 0xffff_ffff;
const WORD = { bytes: 4, accessBytes: [4] } as const;

/** Names are those of the kernel's drivers/gpu/nova-core/regs.rs where it has them, else of nv_falcon/hw.h. */
const masterControl = ({ boot0, pmcMask }: Generation) =>
  ({
    PMC_BOOT_0: { offset: 0x000, ...WORD, reset: boot0 },
    PMC_ENABLE: { offset: 0x200, ...WORD, reset: pmcMask, readWrite: ALL },
  }) as const satisfies RegisterDeclarations;

/** Hopper: written by the security processor when the GPU is up. */
const THERM = { I2CS_SCRATCH: { offset: 0xbc, ...WORD } } as const satisfies RegisterDeclarations;

const MEMORY = {
  MEM_CLEAR: { offset: 0xb20, ...WORD },
  DMA_ADDR_TOP_BITS: { offset: 0xf04, ...WORD, readWrite: 0x1_ffff },
} as const satisfies RegisterDeclarations;

/** Turing to Ada: written by the GPU's firmware when the GPU is up. */
const AON = { BOOT_COMPLETE: { offset: 0x234, ...WORD } } as const satisfies RegisterDeclarations;

/** BOOT_COMPLETE and I2CS_SCRATCH once the GPU is up, and MEM_CLEAR once its memory is clear. */
export const BOOT_DONE = { gfw: 0x3ff, fsp: 0xff, memory: 1 } as const;

/** Words of a memory through a port: the address (block and word) and whether it moves on. */
export const Port = { address: 0xfffc, incrementAfterWrite: 0x0100_0000, incrementAfterRead: 0x0200_0000 } as const;
const PORT = Port.address | Port.incrementAfterWrite | Port.incrementAfterRead;
const SECURE = 0x1000_0000;

export const Cpuctl = { startCpu: 0x02, halted: 0x10 } as const;
export const Dmactl = { requireContext: 0x1, dmemScrubbing: 0x2, imemScrubbing: 0x4 } as const;
export const Hwcfg2 = { riscv: 0x400, memoryScrubbing: 0x1000 } as const;
export const BcrCtrl = { valid: 0x1, riscv: 0x10, fetch: 0x100 } as const;
export const ENGINE_RESET = 0x1;
export const ENGINE_OFFSET = 0x3c0;

/** Bits of DMATRFCMD, the command of one transfer. */
export const Dmatrfcmd = {
  full: 0x1,
  idle: 0x2,
  secure: 0xc,
  imem: 0x10,
  write: 0x20,
  size: 0x700,
  context: 0x7000,
  setDmemTag: 0x1_0000,
} as const;

export const Transcfg = { target: 0x3, physical: 0x4 } as const;
/** Where a transfer goes that names a context with this target. */
export const Target = { localMemory: 0, coherentSystem: 1, noncoherentSystem: 2 } as const;
/** Names of the kernel's nv_falcon/hw.h. nova-core calls the second ALLOW_PHYS_NO_CTX, and does not know the first. */
export const FbifCtl = { allowPhysical: 0x10, allowFullPhysical: 0x80 } as const;

/** Blocks of 256 bytes that IMEM and DMEM have here. */
export const MEMORY_BLOCKS = 256;

const falconRegisters = ({ riscv, fbif }: Generation) =>
  ({
    MAILBOX0: { offset: 0x040, ...WORD, readWrite: ALL },
    MAILBOX1: { offset: 0x044, ...WORD, readWrite: ALL },
    HWCFG2: { offset: 0x0f4, ...WORD, reset: riscv ? Hwcfg2.riscv : 0 },
    CPUCTL: { offset: 0x100, ...WORD, reset: Cpuctl.halted },
    BOOTVEC: { offset: 0x104, ...WORD, readWrite: ALL },
    HWCFG: { offset: 0x108, ...WORD, reset: MEMORY_BLOCKS | (MEMORY_BLOCKS << 9) },
    DMACTL: { offset: 0x10c, ...WORD, reset: Dmactl.requireContext, readWrite: Dmactl.requireContext },
    DMATRFBASE: { offset: 0x110, ...WORD, readWrite: ALL },
    DMATRFMOFFS: { offset: 0x114, ...WORD, readWrite: 0xff_ffff },
    DMATRFCMD: {
      offset: 0x118,
      ...WORD,
      readWrite:
        Dmatrfcmd.secure | Dmatrfcmd.imem | Dmatrfcmd.write | Dmatrfcmd.size | Dmatrfcmd.context | Dmatrfcmd.setDmemTag,
    },
    DMATRFFBOFFS: { offset: 0x11c, ...WORD, readWrite: ALL },
    XFER_STATUS: { offset: 0x120, ...WORD },
    DMATRFBASE1: { offset: 0x128, ...WORD, readWrite: 0x1ff },
    IMEMC: { offset: 0x180, ...WORD, readWrite: PORT | SECURE, repeat: { count: 4, stride: 16 } },
    IMEMD: { offset: 0x184, ...WORD, repeat: { count: 4, stride: 16 } },
    IMEMT: { offset: 0x188, ...WORD, readWrite: 0xffff, repeat: { count: 4, stride: 16 } },
    DMEMC: { offset: 0x1c0, ...WORD, readWrite: PORT, repeat: { count: 8, stride: 8 } },
    DMEMD: { offset: 0x1c4, ...WORD, repeat: { count: 8, stride: 8 } },
    ENGINE: { offset: ENGINE_OFFSET, ...WORD, readWrite: ENGINE_RESET },
    FBIF_TRANSCFG: {
      offset: fbif,
      ...WORD,
      readWrite: Transcfg.target | Transcfg.physical,
      repeat: { count: 8 },
    },
    FBIF_CTL: { offset: fbif + 0x24, ...WORD, readWrite: FbifCtl.allowPhysical | FbifCtl.allowFullPhysical },
    FBIF_CTL2: { offset: fbif + 0x84, ...WORD, readWrite: 0x1 },
    BCR_CTRL: { offset: 0x1668, ...WORD, reset: riscv ? BcrCtrl.riscv : 0, readWrite: BcrCtrl.riscv | BcrCtrl.fetch },
  }) as const satisfies RegisterDeclarations;

/** Hopper's security processor: a port to its memory, and a queue in each direction for each of eight channels. */
const QUEUE = { ...WORD, readWrite: ALL, repeat: { count: 8, stride: 8 } } as const;
const FSP = {
  FSP_EMEMC: { offset: 0x2ac0, ...QUEUE, readWrite: PORT },
  FSP_EMEMD: { offset: 0x2ac4, ...QUEUE, readWrite: 0 },
  FSP_QUEUE_HEAD: { offset: 0x2c00, ...QUEUE },
  FSP_QUEUE_TAIL: { offset: 0x2c04, ...QUEUE },
  FSP_MSGQ_HEAD: { offset: 0x2c80, ...QUEUE },
  FSP_MSGQ_TAIL: { offset: 0x2c84, ...QUEUE },
} as const satisfies RegisterDeclarations;

/** The blocks of BAR 0 that the model has, by their places. */
export const bar0Of = (generation: Generation) =>
  ({
    master: { at: 0x00_0000, map: registerMap("PMC", 0x1000, masterControl(generation)) },
    therm: { at: 0x02_0000, map: registerMap("THERM", 0x1000, THERM) },
    memory: { at: 0x10_0000, map: registerMap("FB", 0x1000, MEMORY) },
    aon: { at: 0x11_8000, map: registerMap("AON", 0x1000, AON) },
    falcon: { at: generation.falcon, map: registerMap("falcon", 0x2000, falconRegisters(generation)) },
    fsp: { at: 0x8f_0000, map: registerMap("FSP", 0x4000, FSP) },
  }) as const;

type Blocks = ReturnType<typeof bar0Of>;
type FileOf<B extends keyof Blocks> = RegisterFile<Blocks[B]["map"]["declarations"]>;
export type FalconRegisters = FileOf<"falcon">;
export type FspRegisters = FileOf<"fsp">;
export type MemoryRegisters = FileOf<"memory">;
