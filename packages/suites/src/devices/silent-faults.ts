import { VfioError } from "@vfio-selftests/core";
import type { DmaFaultKind, DriverSession } from "@vfio-selftests/core/driver";
import { notChecked } from "@vfio-selftests/harness";
import { EDU } from "./edu/edu-registers";

interface SilentDevice {
  readonly vendor: number;
  readonly devices: readonly number[];
  /** Subsystem device and vendor (configuration space 0x2c), where only these tell the model from real parts. */
  readonly subsystem?: number;
  /** The faults that it hides. */
  readonly hides: readonly DmaFaultKind[];
  readonly why: string;
}

/** The subsystem ids of every QEMU device that imitates no board (hw/pci/pci.c, pci_set_default_subsystem_id). */
const QEMU_SUBSYSTEM = 0x1100_1af4;
const SUBSYSTEM_OFFSET = 0x2c;

/** Devices that finish a copy as if nothing had happened when their DMA was refused, so that no driver can tell. */
const SILENT_DEVICES: readonly SilentDevice[] = [
  {
    // Real parts do stop, and the driver runs into its time-out. Their subsystem ids name a board.
    vendor: 0x8086,
    devices: [0x10c9, 0x10ca],
    subsystem: QEMU_SUBSYSTEM,
    hides: ["unmapped", "read-only"],
    why: "QEMU's igb ignores the result of its DMA (hw/net/igb_core.c)",
  },
  {
    vendor: EDU.vendor,
    devices: [EDU.device],
    hides: ["unmapped", "read-only"],
    why: "QEMU's edu ignores the result of its DMA (hw/misc/edu.c), and has no register that reports it",
  },
  {
    vendor: 0x1b36,
    devices: [0x0010],
    hides: ["unmapped", "read-only"],
    why: "QEMU's nvme takes a bounce buffer where the IOMMU refuses its DMA, and never learns of it (address_space_map in system/physmem.c)",
  },
  {
    vendor: 0x8086,
    devices: [0x0b25, 0x11fb, 0x1212],
    hides: ["read-only"],
    why: "without ATS, DSA notices a lost write only by reading the destination back, which is allowed here",
  },
];

/**
 * The driver must report the fault that `copy` runs into. A device that hides it, by our table or by its driver's word, gives an
 * explicit "not checked".
 */
export function expectFaultReport(session: DriverSession, kind: DmaFaultKind, copy: () => void): void {
  const why = whyHidden(session, kind);
  if (why === undefined) {
    expect(copy).toThrow(VfioError);
    return;
  }
  try {
    copy();
    notChecked("the driver's report of the fault", why);
  } catch (error) {
    expect(error).toBeInstanceOf(VfioError);
  }
}

function whyHidden({ device, driver: { hiddenFaults } }: DriverSession, kind: DmaFaultKind): string | undefined {
  if (hiddenFaults?.kinds.includes(kind) === true) return hiddenFaults.why;
  const { vendorId, deviceId } = device.config;
  const subsystemId = device.config.read32(SUBSYSTEM_OFFSET);
  return SILENT_DEVICES.find(
    ({ vendor, devices, subsystem = subsystemId, hides }) =>
      vendor === vendorId && devices.includes(deviceId) && subsystem === subsystemId && hides.includes(kind),
  )?.why;
}
