import {
  type CapabilityWalk,
  type ConfigReader,
  PciCapabilityId,
  PciExtendedCapabilityId,
} from "@vfio-selftests/core/pci";

/** The registers of one capability, by their offsets from its start. */
class CapabilityRegisters {
  readonly #config: ConfigReader;
  readonly #start: number;

  constructor(config: ConfigReader, start: number) {
    this.#config = config;
    this.#start = start;
  }

  byte(offset: number): number {
    return this.#config.read8(this.#start + offset);
  }

  word(offset: number): number {
    return this.#config.read16(this.#start + offset);
  }

  long(offset: number): number {
    return this.#config.read32(this.#start + offset);
  }
}

type Facts = (registers: CapabilityRegisters) => readonly string[];

/** PCI Express capabilities register, device/port type (PCIe Base Specification, section 7.5.3.2). */
const PCIE_TYPES: Readonly<Record<number, string>> = {
  0: "endpoint",
  1: "legacy endpoint",
  4: "root port",
  5: "upstream port",
  6: "downstream port",
  7: "bridge to PCI",
  8: "bridge from PCI",
  9: "root complex endpoint",
  10: "root complex event collector",
};

/** Link speeds in GT/s (section 7.5.3.6). */
const LINK_SPEEDS = [0, 2.5, 5, 8, 16, 32, 64, 128] as const;

/** Bits of the ACS capability register, in their order (section 7.7.11.2). */
const ACS_BITS = [
  "source validation",
  "translation blocking",
  "request redirect",
  "completion redirect",
  "upstream forwarding",
  "egress control",
  "direct translated",
] as const;

/** What is worth knowing of a standard capability, by id. PCI 3.0, section 6.8 and appendix; PCIe, section 7.5. */
const STANDARD: Readonly<Record<number, Facts>> = {
  [PciCapabilityId.powerManagement]: (at) => [
    `version ${at.word(2) & 7}`,
    `in ${["D0", "D1", "D2", "D3hot"][at.word(4) & 3] ?? ""}`,
    ...named([
      [at.word(2) & 0x200, "D1"],
      [at.word(2) & 0x400, "D2"],
      [~at.word(4) & 8, "D3hot resets it"],
    ]),
  ],
  [PciCapabilityId.msi]: (at) => [
    plural(msiVectors(at), "vector"),
    onOff(at.word(2) & 1),
    ...named([
      [at.word(2) & 0x80, "64-bit"],
      [at.word(2) & 0x100, "maskable"],
    ]),
  ],
  [PciCapabilityId.msix]: (at) => [
    plural(msixVectors(at), "vector"),
    onOff(at.word(2) & 0x8000),
    ...named([[at.word(2) & 0x4000, "all masked"]]),
    `table in BAR ${at.long(4) & 7} at ${hex((at.long(4) & ~7) >>> 0)}`,
    `pending bits in BAR ${at.long(8) & 7} at ${hex((at.long(8) & ~7) >>> 0)}`,
  ],
  [PciCapabilityId.vendorSpecific]: (at) => [`${at.byte(2)} bytes`],
  [PciCapabilityId.pciExpress]: (at) => {
    const type = (at.word(2) >> 4) & 0xf;
    const hasLink = type !== 9 && type !== 10;
    return [
      PCIE_TYPES[type] ?? `type ${type}`,
      `version ${at.word(2) & 0xf}`,
      ...named([[at.long(4) & (1 << 28), "function-level reset"]]),
      `payload up to ${128 << (at.long(4) & 7)} bytes`,
      ...(hasLink ? [`link ${link(at.word(0x12))} of ${link(at.long(0xc))}`] : []),
    ];
  },
  [PciCapabilityId.advancedFeatures]: (at) =>
    named([
      [at.byte(3) & 2, "function-level reset"],
      [at.byte(3) & 1, "reports pending transactions"],
    ]),
};

/** The same of extended capabilities. PCIe, section 7.7 to 7.9; SR-IOV, section 9.3.3; ATS and PASID, section 10.5. */
const EXTENDED: Readonly<Record<number, Facts>> = {
  [PciExtendedCapabilityId.advancedErrorReporting]: (at) =>
    at.long(4) === 0 ? [] : [`uncorrectable errors ${hex(at.long(4))}`],
  [PciExtendedCapabilityId.deviceSerialNumber]: (at) => [
    [...Array(8).keys()].map((index) => pad(at.byte(11 - index), 2)).join("-"),
  ],
  [PciExtendedCapabilityId.accessControlServices]: (at) => [
    ...ACS_BITS.flatMap((name, bit) =>
      (at.word(4) & (1 << bit)) === 0 ? [] : [`${name} ${onOff(at.word(6) & (1 << bit))}`],
    ),
  ],
  [PciExtendedCapabilityId.alternativeRoutingId]: (at) => [`next function ${at.byte(5)}`],
  [PciExtendedCapabilityId.addressTranslationServices]: (at) => [
    `${(at.word(4) & 0x1f) === 0 ? 32 : at.word(4) & 0x1f} invalidations at once`,
    onOff(at.word(6) & 0x8000),
  ],
  [PciExtendedCapabilityId.singleRootIov]: (at) => [
    `${at.word(0x10)} of ${plural(at.word(0x0e), "VF")}`,
    `VF device id ${pad(at.word(0x1a), 4)}`,
  ],
  [PciExtendedCapabilityId.pageRequestInterface]: (at) => [`${at.long(8)} outstanding requests`, onOff(at.word(4) & 1)],
  [PciExtendedCapabilityId.resizableBar]: (at) => {
    const control = at.long(8);
    return Array.from({ length: (control >>> 5) & 7 }, (_, index) => {
      const one = at.long(8 + 8 * index);
      return `BAR ${one & 7} of ${2 ** ((one >>> 8) & 0x3f)} MiB`;
    });
  },
  [PciExtendedCapabilityId.processAddressSpaceId]: (at) => [
    `${(at.word(4) >> 8) & 0x1f} bits`,
    onOff(at.word(6) & 1),
    ...named([
      [at.word(4) & 2, "execute"],
      [at.word(4) & 4, "privileged"],
    ]),
  ],
  [PciExtendedCapabilityId.designatedVendorSpecific]: (at) => [
    `vendor ${pad(at.word(4), 4)}`,
    `id ${pad(at.word(8), 4)}`,
  ],
};

/** A capability with what its registers say. */
export interface DescribedCapability {
  readonly id: number;
  readonly name: string;
  /** In configuration space, in bytes. */
  readonly offset: number;
  readonly version?: number;
  readonly facts: readonly string[];
}

export function describeCapabilities(
  walk: CapabilityWalk,
  config: ConfigReader,
  kind: "standard" | "extended",
): DescribedCapability[] {
  const table = kind === "standard" ? STANDARD : EXTENDED;
  return walk.capabilities.map((capability) => ({
    ...capability,
    facts: table[capability.id]?.(new CapabilityRegisters(config, capability.offset)) ?? [],
  }));
}

/** How many vectors an MSI or MSI-X capability has; undefined for another. */
export function vectorCount(config: ConfigReader, { id, offset }: DescribedCapability): number | undefined {
  const registers = new CapabilityRegisters(config, offset);
  if (id === PciCapabilityId.msi) return msiVectors(registers);
  return id === PciCapabilityId.msix ? msixVectors(registers) : undefined;
}

function msiVectors(at: CapabilityRegisters): number {
  return 1 << ((at.word(2) >> 1) & 7);
}

function msixVectors(at: CapabilityRegisters): number {
  return (at.word(2) & 0x7ff) + 1;
}

/** Speed and width, which status and capabilities registers of a link have at the same bits. */
function link(register: number): string {
  const width = (register >> 4) & 0x3f;
  return width === 0 ? "down" : `${LINK_SPEEDS[register & 0xf] ?? "?"} GT/s x${width}`;
}

/** The names whose bits are set. */
function named(bits: readonly (readonly [bit: number, name: string])[]): string[] {
  return bits.flatMap(([bit, name]) => (bit === 0 ? [] : [name]));
}

function onOff(bit: number): string {
  return bit === 0 ? "off" : "on";
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function pad(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
