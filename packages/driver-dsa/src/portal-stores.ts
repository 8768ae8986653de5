import { type PciDevice, VfioError } from "@vfio-selftests/core";
import { storesWhole64Bytes } from "@vfio-selftests/core/driver";

/**
 * The subsystem that emulations of existing hardware carry (QEMU, docs/specs/pci-ids.rst), as does the model of
 * `@vfio-selftests/device-models`. An emulated portal puts a descriptor together from eight stores.
 */
const EMULATION = { vendor: 0x1af4, device: 0x1100 } as const;

/** What the driver must know of the processor. A test passes its own. */
export interface Processor {
  /** Whether the processor has MOVDIR64B. */
  readonly storesWhole64Bytes: () => boolean;
}

export const thisProcessor: Processor = { storesWhole64Bytes };

/**
 * Why this processor cannot submit descriptors to the device, or undefined. A portal of real hardware takes 64 bytes in
 * one write and drops any other (specification, section 9.3), so every copy would end in a time-out.
 */
export function portalRefusal(device: PciDevice, processor: Processor): string | undefined {
  if (processor.storesWhole64Bytes()) return undefined;
  const { subsystemVendorId, subsystemId } = device.config;
  if (subsystemVendorId === EMULATION.vendor && subsystemId === EMULATION.device) return undefined;
  return "the processor has no MOVDIR64B, and the device's portals take a descriptor in one 64-byte write only";
}

export function checkPortal(device: PciDevice, processor: Processor): void {
  const refusal = portalRefusal(device, processor);
  if (refusal === undefined) return;
  throw new VfioError(`dsa cannot drive ${device.address}: ${refusal}`, {
    code: "ERR_NOT_SUPPORTED",
    operation: "dsa create",
    subject: device.address,
    remedy: "use a processor that has it (Sapphire Rapids or later), or the model (model:dsa)",
  });
}
