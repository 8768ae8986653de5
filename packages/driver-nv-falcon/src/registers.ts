/**
 * The registers this driver uses, all of 32 bits in BAR 0. Offsets in bytes. Sources: the kernel's
 * tools/testing/selftests/vfio/lib/drivers/nv_falcon/hw.h, and the names of its drivers/gpu/nova-core/regs.rs, which are
 * NVIDIA's (open-gpu-kernel-modules, src/common/inc/swref/published).
 */
export const Reg = {
  /** Which GPU it is: architecture in bits 28:24, implementation in bits 23:20. */
  PMC_BOOT_0: 0x00_0000,
  /** Engines that are not in reset. */
  PMC_ENABLE: 0x00_0200,
  /** Hopper: how far the security processor is with booting. */
  I2CS_SCRATCH: 0x02_00bc,
  /** 1 once the GPU's memory is clear. */
  MEM_CLEAR: 0x10_0b20,
  /** Bits 63:47 of the address of every falcon's transfer. */
  DMA_ADDR_TOP_BITS: 0x10_0f04,
  /** Turing to Ada: how far the GPU's firmware is with booting. */
  BOOT_COMPLETE: 0x11_8234,
} as const;

/** Registers of a falcon, from its base on. */
export const FalconReg = {
  DMACTL: 0x10c,
  /** Bits 39:8 of a transfer's outside address. */
  DMATRFBASE: 0x110,
  /** Offset of a transfer in DMEM. */
  DMATRFMOFFS: 0x114,
  /** A write asks for a transfer. */
  DMATRFCMD: 0x118,
  /** Bytes to add to the outside address. */
  DMATRFFBOFFS: 0x11c,
  /** Bits 46:40 of the outside address. */
  DMATRFBASE1: 0x128,
  DMEMC: 0x1c0,
  /** 1: the falcon is in reset. */
  ENGINE: 0x3c0,
  /** Where Ada's falcon shows whether it answers at all. */
  ANSWERS: 0x40c,
  /** Which core is selected, falcon or RISC-V. */
  BCR_CTRL: 0x1668,
} as const;

/** Registers of a falcon's interface to memory (FBIF), from its base on. */
export const FbifReg = { TRANSCFG: 0x00, CTL: 0x24, CTL2: 0x84 } as const;

export const BAR0_MINIMUM = 0x100_0000;

/** Values at which the GPU is up. */
export const BOOTED = { I2CS_SCRATCH: 0xff, BOOT_COMPLETE: 0x3ff, MEM_CLEAR: 1 } as const;

/** The kernel's hw.h calls bit 0 DMEM_SCRUBBING; nova-core and NVIDIA's headers have the names below. */
export const Dmactl = { requireContext: 0x1, scrubbing: 0x6 } as const;

export const Dmatrfcmd = { idle: 0x2, write: 0x20, sizeShift: 8 } as const;
/** Bytes of one transfer: a power of two in this range, at a multiple of itself. */
export const TRANSFER_BYTES = { least: 4, most: 256 } as const;

/** FBIF_TRANSCFG of context 0: physical addresses of the host's memory, coherent. */
export const Transcfg = { target: 0x3, physicalCoherentSystem: 0x5 } as const;
export const FbifCtl = { allowPhysical: 0x10, allowFullPhysical: 0x80 } as const;
/** The kernel's driver writes it. No public source says what it does. */
export const FBIF_CTL2_VALUE = 0x1;

/** The bits of BCR_CTRL that select another core than the falcon. */
export const CORE_SELECT = 0x30;
/** What a register reads whose unit must be reset first. */
export const NEEDS_RESET = 0xbadf_5620;
/** The upper half of what a register reads that nobody may use. */
export const REFUSED_HALF = 0xbadf;

/** Config space: how requests of the device came back (PCI Express 4.0, section 7.5.1.1.4), write 1 to clear. */
export const ConfigStatus = { offset: 0x06, targetAbort: 0x1000, masterAbort: 0x2000 } as const;
export const ABORTS = ConfigStatus.targetAbort | ConfigStatus.masterAbort;
