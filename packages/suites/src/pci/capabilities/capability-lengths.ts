import type { PhysicalConfig } from "../../rigs/config-space/physical-config";

/** A capability that a user may only read. */
export interface ProtectedCapability {
  readonly name: string;
  readonly id: number;
  readonly extended: boolean;
  /** Bytes, as the specification has it. Undefined for a kind of which this table knows nothing. */
  readonly lengthOf: (physical: PhysicalConfig, at: number) => number | undefined;
  /** Offsets of bytes that vfio-pci lets a user write nevertheless. */
  readonly writable?: readonly number[];
}

/** The lengths come from the specifications, not from vfio-pci's tables, which they check. */
export const PROTECTED_CAPABILITIES: readonly ProtectedCapability[] = [
  {
    // PCI-X 2.0, section 7.2: versions 1 and 2 have registers of error correction.
    name: "pci_x",
    id: 0x07,
    extended: false,
    lengthOf: (physical, at) => (((physical.read16(at + 2) >> 12) & 3) === 0 ? 8 : 24),
    // The command register, and the one that controls error correction; init_pci_cap_pcix_perm.
    writable: [2, 3, 8, 9, 10, 11],
  },
  {
    // HyperTransport I/O Link 3.10, sections 7.5 and 7.6: slave or primary, host or secondary.
    name: "hypertransport",
    id: 0x08,
    extended: false,
    lengthOf: (physical, at) => [28, 24][physical.read8(at + 3) >> 5],
  },
  {
    // AHCI 1.3.1, section 2.4: at location 0xf, index and data follow.
    name: "sata",
    id: 0x12,
    extended: false,
    lengthOf: (physical, at) => ((physical.read8(at + 4) & 0xf) === 0xf ? 16 : 8),
  },
  {
    // PCI Express 4.0, section 7.9.1, as the next ones: the registers of each channel, and the table of 4 bits a phase.
    name: "virtual_channel",
    id: 0x0002,
    extended: true,
    lengthOf: (physical, at) => {
      const registers = 0x10 + 12 * (1 + (physical.read32(at + 4) & 7));
      const arbitration = physical.read32(at + 8);
      const phases = (arbitration & 8) !== 0 ? 128 : (arbitration & 4) !== 0 ? 64 : (arbitration & 2) !== 0 ? 32 : 0;
      return phases === 0 ? registers : 16 * (arbitration >>> 24) + (phases * 4) / 8;
    },
  },
  // Section 7.9.3.
  { name: "serial_number", id: 0x0003, extended: true, lengthOf: () => 12 },
  {
    // Section 7.7.7: egress control has a bit for each function, in words. 0 stands for 256.
    name: "access_control",
    id: 0x000d,
    extended: true,
    lengthOf: (physical, at) => {
      const capabilities = physical.read16(at + 4);
      if ((capabilities & 0x20) === 0) return 8;
      const bits = capabilities >> 8 || 256;
      return 8 + 4 * Math.ceil(bits / 32);
    },
  },
  {
    // Section 7.8.6: two registers for each BAR; how many there are, the first one's control register tells.
    name: "resizable_bars",
    id: 0x0015,
    extended: true,
    lengthOf: (physical, at) => 4 + 8 * ((physical.read32(at + 8) >> 5) & 7),
  },
  {
    // Section 7.9.12: a byte for each substate, whose last number is in bits 4:0.
    name: "power_allocation",
    id: 0x0016,
    extended: true,
    lengthOf: (physical, at) => 16 + (physical.read32(at + 4) & 0x1f) + 1,
  },
  {
    // Section 7.9.13: a steering table at location 1 is here, of two bytes an entry.
    name: "processing_hints",
    id: 0x0017,
    extended: true,
    lengthOf: (physical, at) => {
      const capability = physical.read32(at + 4);
      return ((capability >> 9) & 3) === 1 ? 12 + 2 * (((capability >> 16) & 0x7ff) + 1) : 12;
    },
  },
];
