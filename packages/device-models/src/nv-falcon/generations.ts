/** How software resets the falcon, or gets at it. */
export type ResetBy =
  /** Bits of PMC_ENABLE: clear and set. */
  | "pmc"
  /** The falcon's own ENGINE register. */
  | "engine"
  /** Not at all. The falcon answers once the GPU's security processor (FSP) has been asked. */
  | "fsp";

/** Who brings the GPU up after power-on, and so what software must wait for. */
export type Boot = "vbios" | "gfw" | "fsp";

/** A generation of NVIDIA GPUs, as one chip of it. */
export interface Generation {
  /** Of the model: `nv-falcon-NAME`. */
  readonly name: string;
  /** PCI device id, of vendor 10de. */
  readonly device: number;
  /** PMC_BOOT_0: architecture in bits 28:24, implementation in 23:20, revision in the low byte. */
  readonly boot0: number;
  /** Offset in BAR 0 of the falcon whose DMA engine host software uses. */
  readonly falcon: number;
  /** Offset of its FBIF, from the falcon. */
  readonly fbif: number;
  readonly reset: ResetBy;
  /** Bits of PMC_ENABLE that the falcon needs. */
  readonly pmcMask: number;
  readonly boot: Boot;
  /** Memory is cleared before anybody may use the GPU. */
  readonly clearsMemory: boolean;
  /** The falcon has a RISC-V core beside it, which is selected after a reset. */
  readonly riscv: boolean;
}

const PMC = { pwr: 0x2000, hub: 0x2000_0000 } as const;
const PMU = 0x10_a000;
const GSP = 0x11_0000;
const OFA = 0x84_4000;

/**
 * One chip of each generation that the kernel's driver knows (nv_falcon/hw.h has engines, masks, FBIF offsets and the
 * chips' PMC_BOOT_0; the PCI ids are those of Tesla K80, GeForce GTX 750, Tesla M60, P100, P4, V100, T4, A100, L4, H100).
 */
export const GENERATIONS: readonly Generation[] = [
  {
    name: "kepler",
    device: 0x102d,
    boot0: 0x0f22_d0a1,
    falcon: PMU,
    fbif: 0x600,
    reset: "pmc",
    pmcMask: PMC.pwr | PMC.hub,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "maxwell1",
    device: 0x1381,
    boot0: 0x1170_10a2,
    falcon: PMU,
    fbif: 0x600,
    reset: "pmc",
    pmcMask: PMC.pwr | PMC.hub,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "maxwell2",
    device: 0x13f2,
    boot0: 0x1243_20a1,
    falcon: PMU,
    fbif: 0xe00,
    reset: "pmc",
    pmcMask: PMC.pwr,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "pascal",
    device: 0x15f8,
    boot0: 0x1300_00a1,
    falcon: PMU,
    fbif: 0xe00,
    reset: "pmc",
    pmcMask: PMC.pwr,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "pascal10x",
    device: 0x1bb3,
    boot0: 0x1340_00a1,
    falcon: PMU,
    fbif: 0xe00,
    reset: "engine",
    pmcMask: 0,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "volta",
    device: 0x1db4,
    boot0: 0x1400_00a1,
    falcon: GSP,
    fbif: 0x600,
    reset: "engine",
    pmcMask: 0,
    boot: "vbios",
    clearsMemory: false,
    riscv: false,
  },
  {
    name: "turing",
    device: 0x1eb8,
    boot0: 0x1640_00a1,
    falcon: GSP,
    fbif: 0x600,
    reset: "engine",
    pmcMask: 0,
    boot: "gfw",
    clearsMemory: true,
    riscv: false,
  },
  {
    name: "ampere",
    device: 0x20f1,
    boot0: 0x1700_00a1,
    falcon: GSP,
    fbif: 0x600,
    reset: "engine",
    pmcMask: 0,
    boot: "gfw",
    clearsMemory: true,
    riscv: true,
  },
  {
    name: "ada",
    device: 0x27b8,
    boot0: 0x1940_00a1,
    falcon: PMU,
    fbif: 0xe00,
    reset: "engine",
    pmcMask: 0,
    boot: "gfw",
    clearsMemory: true,
    riscv: true,
  },
  {
    name: "hopper",
    device: 0x2331,
    boot0: 0x1800_00a1,
    falcon: OFA,
    fbif: 0x400,
    reset: "fsp",
    pmcMask: 0,
    boot: "fsp",
    clearsMemory: true,
    riscv: false,
  },
];

/** What `model:nv-falcon` is: a Tesla T4. */
export const DEFAULT_GENERATION = "turing";
