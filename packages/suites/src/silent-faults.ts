import { VfioError, type PciDevice } from "@vfio-selftests/core";
import { notChecked } from "./outcome/note";

/** Devices that finish a copy as if nothing had happened when their DMA was refused, so that no driver can tell. */
const SILENT_DEVICES: readonly { readonly vendor: number; readonly device: number; readonly why: string }[] = [
  // Real parts do stop; the driver then runs into its time-out.
  { vendor: 0x8086, device: 0x10c9, why: "QEMU's igb ignores the result of its DMA (hw/net/igb_core.c)" },
];

/** The driver must report the fault that `copy` runs into; a device that hides faults gives an explicit "not checked". */
export function expectFaultReport(device: PciDevice, copy: () => void): void {
  const silent = SILENT_DEVICES.find((known) => device.matches(known.vendor, known.device));
  if (silent === undefined) {
    expect(copy).toThrow(VfioError);
    return;
  }
  try {
    copy();
    notChecked("the driver's report of the fault", silent.why);
  } catch (error) {
    expect(error).toBeInstanceOf(VfioError);
  }
}
