import type { InterruptKind, PciDevice } from "@vfio-selftests/core";
import { EDU, EDU_REGISTERS } from "./edu/edu-registers";

/** A way to make a device raise one interrupt, by its registers. */
export interface InterruptSource {
  /** The kind of interrupt that it raises. */
  readonly kind: InterruptKind;
  /** The vector that it raises, from 0. */
  readonly vector: number;
  /** Makes the device ready, after the vector is enabled and after a reset. */
  prepare(): void;
  /** Makes the device raise the interrupt, once. */
  raise(): void;
  /** Clears the cause, so that the next `raise` is a new interrupt. */
  acknowledge(): void;
}

/** Interrupt registers that all Intel network cards since the 8254x have (82576 datasheet, section 8.8). */
const intel = {
  icr: 0xc0,
  ics: 0xc8,
  ims: 0xd0,
  imc: 0xd8,
  /** Link status change. */
  cause: 1 << 2,
} as const;

/** Interrupt registers of the 82576 for MSI-X. */
const igb = {
  gpie: 0x1514,
  eics: 0x1520,
  eims: 0x1524,
  eicr: 0x1580,
  /** GPIE: one interrupt cause per MSI-X vector. */
  multipleMsix: 1 << 4,
} as const;

function eduSource(device: PciDevice, kind: InterruptKind): InterruptSource {
  const registers = device.bar(0);
  return {
    kind,
    vector: 0,
    prepare: () => {
      // An MSI is a write to memory by the device.
      device.config.busMaster = true;
      registers.write32(EDU_REGISTERS.interruptAcknowledge, 0xffffffff);
    },
    raise: () => registers.write32(EDU_REGISTERS.interruptRaise, 1),
    acknowledge: () => registers.write32(EDU_REGISTERS.interruptAcknowledge, 1),
  };
}

function intelSource(device: PciDevice, kind: InterruptKind): InterruptSource {
  const registers = device.bar(0);
  return {
    kind,
    vector: 0,
    prepare: () => {
      device.config.busMaster = true;
      registers.write32(intel.imc, 0xffffffff);
      // A read clears the register.
      registers.read32(intel.icr);
      registers.write32(intel.ims, intel.cause);
    },
    raise: () => registers.write32(intel.ics, intel.cause),
    acknowledge: () => {
      registers.read32(intel.icr);
    },
  };
}

function igbMsixSource(device: PciDevice, vector: number): InterruptSource {
  const registers = device.bar(0);
  const bit = 1 << vector;
  return {
    kind: "msix",
    vector,
    prepare: () => {
      device.config.busMaster = true;
      registers.write32(igb.gpie, igb.multipleMsix);
      registers.write32(igb.eims, bit);
    },
    raise: () => registers.write32(igb.eics, bit),
    acknowledge: () => {
      registers.write32(igb.eicr, bit);
      registers.write32(igb.eims, bit);
    },
  };
}

/** Every way we know to make this device raise an interrupt. */
export function interruptSourcesOf(device: PciDevice): InterruptSource[] {
  if (device.matches(EDU.vendor, EDU.device)) return [eduSource(device, "intx"), eduSource(device, "msi")];
  // Not its MSI: QEMU's e1000e sends it twice.
  if (device.matches(0x8086, 0x10d3)) return [intelSource(device, "intx")];
  if (device.matches(0x8086, 0x10c9)) {
    return [
      intelSource(device, "intx"),
      intelSource(device, "msi"),
      igbMsixSource(device, 0),
      igbMsixSource(device, 3),
    ];
  }
  return [];
}

/** How to make this device assert its INTx line; undefined when that is not known. */
export function intxSourceOf(device: PciDevice): InterruptSource | undefined {
  return interruptSourcesOf(device).find(({ kind }) => kind === "intx");
}
