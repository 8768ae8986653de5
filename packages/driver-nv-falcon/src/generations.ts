/** Falcons whose DMA engine the driver uses: base in BAR 0, and FBIF from there. */
const Engine = {
  /** PMU up to the first Maxwells. */
  legacyPmu: { name: "PMU", fbifName: "PMU_LEGACY_FBIF", base: 0x10_a000, fbif: 0x600 },
  pmu: { name: "PMU", fbifName: "PMU_FBIF", base: 0x10_a000, fbif: 0xe00 },
  gsp: { name: "GSP", fbifName: "GSP_FBIF", base: 0x11_0000, fbif: 0x600 },
  ofa: { name: "OFA", fbifName: "OFA_FBIF", base: 0x84_4000, fbif: 0x400 },
} as const;

/** A falcon in a GPU. */
export interface FalconPlace {
  readonly name: string;
  /** Of its interface to memory, for people. */
  readonly fbifName: string;
  readonly base: number;
  readonly fbif: number;
}

/** How the driver brings up the falcon of one generation of GPUs. */
export interface Generation {
  readonly name: string;
  readonly falcon: FalconPlace;
  /**
   * A number: these bits of PMC_ENABLE reset it. `engine`: its own register does. `none`: nothing does, and the GPU's security
   * processor (FSP) must let the driver use it.
   */
  readonly reset: number | "engine" | "none";
  /** Where the GPU tells that it has booted, if the driver must wait. Its memory is cleared then, too. */
  readonly boot?: "BOOT_COMPLETE" | "I2CS_SCRATCH";
  /** The falcon may answer nothing at first, until it is reset once more. */
  readonly mayNeedReset?: boolean;
}

const PMC_PWR = 0x2000;
const PMC_HUB = 0x2000_0000;

const KEPLER: Generation = { name: "Kepler", falcon: Engine.legacyPmu, reset: PMC_PWR | PMC_HUB };
const PASCAL: Generation = { name: "Pascal", falcon: Engine.pmu, reset: PMC_PWR };

/** By the architecture in PMC_BOOT_0, as the kernel's driver has them (nv_falcon/hw.h, gpu_properties_map). */
const GENERATIONS: Readonly<Record<number, Generation>> = {
  0x0e: KEPLER,
  0x0f: KEPLER,
  0x10: KEPLER,
  0x11: { ...KEPLER, name: "Maxwell, first generation" },
  0x12: { name: "Maxwell, second generation", falcon: Engine.pmu, reset: PMC_PWR },
  0x13: { name: "Pascal 10x", falcon: Engine.pmu, reset: "engine" },
  0x14: { name: "Volta", falcon: Engine.gsp, reset: "engine" },
  0x16: { name: "Turing", falcon: Engine.gsp, reset: "engine", boot: "BOOT_COMPLETE" },
  0x17: { name: "Ampere", falcon: Engine.gsp, reset: "engine", boot: "BOOT_COMPLETE" },
  0x18: { name: "Hopper", falcon: Engine.ofa, reset: "none", boot: "I2CS_SCRATCH" },
  0x19: { name: "Ada", falcon: Engine.pmu, reset: "engine", boot: "BOOT_COMPLETE", mayNeedReset: true },
};

const PASCAL_ARCHITECTURE = 0x13;

/** The generation that PMC_BOOT_0 names; undefined for one that the driver does not know. */
export function generationOf(boot0: number): Generation | undefined {
  const architecture = (boot0 >>> 24) & 0x1f;
  const implementation = (boot0 >>> 20) & 0xf;
  // P100 is reset as its predecessors are, the other Pascals as their successors.
  if (architecture === PASCAL_ARCHITECTURE && implementation === 0) return PASCAL;
  return GENERATIONS[architecture];
}

/** Each falcon that some generation uses, once. */
export const FALCON_PLACES: readonly FalconPlace[] = Object.values(Engine);
