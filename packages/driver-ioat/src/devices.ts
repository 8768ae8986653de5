/** Peculiarities of a family of I/OAT devices. */
export interface DeviceFamily {
  readonly name: string;
  readonly devices: readonly number[];
  /** The config space has CHANERR_INT and DMAUNCERRSTS, which a reset does not clear. */
  readonly configErrors: boolean;
  /** A channel reset loses the MSI-X table (the kernel's ioat_reset_hw saves it for these). */
  readonly resetLosesMsix: boolean;
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** The Xeon layout of ten functions: eight in a row, then the two with RAID at 0xe and 0xf. */
const xeon = (base: number): number[] => [...range(base, base + 7), base + 0xe, base + 0xf];

const XEON = { configErrors: true, resetLosesMsix: false } as const;

/** The devices of version 3.2 to 3.4 that the kernel's drivers/dma/ioat/init.c knows. Vendor 0x8086. */
export const FAMILIES: readonly DeviceFamily[] = [
  { name: "Jasper Forest", devices: range(0x3710, 0x3719), ...XEON },
  { name: "Sandy Bridge", devices: xeon(0x3c20), ...XEON },
  { name: "Ivy Bridge", devices: xeon(0x0e20), ...XEON },
  { name: "Haswell", devices: xeon(0x2f20), ...XEON },
  { name: "Broadwell", devices: xeon(0x6f20), ...XEON },
  { name: "Skylake", devices: [0x2021], ...XEON },
  { name: "Briarwood", devices: range(0x0c50, 0x0c53), configErrors: false, resetLosesMsix: true },
  { name: "Broadwell-DE", devices: range(0x6f50, 0x6f53), configErrors: false, resetLosesMsix: true },
  { name: "Ice Lake", devices: [0x0b00], configErrors: false, resetLosesMsix: false },
];

export const IDS = FAMILIES.flatMap(({ devices }) => devices.map((device) => ({ vendor: 0x8086, device })));

/** Versions of the register interface (register CBVER: major and minor digit) that this driver supports. */
export const VERSIONS: readonly number[] = [0x32, 0x33, 0x34];
