import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { skip } from "@vfio-selftests/harness";
import { PhysicalConfig } from "../rigs/config-space/physical-config";

/** Offset in the PCI Express capability, and the bits that let a function send error messages (PCI Express Base, 7.5.3.4). */
const DEVICE_CONTROL = 8;
const ERROR_REPORTING = 0xf;

/** Virtio 1.2, 4.1.4.3 and 2.1: the device status, in BAR 4 of QEMU's virtio devices, and its bit ACKNOWLEDGE. */
const VIRTIO = { vendor: 0x1af4, bar: 4, status: 0x14, acknowledge: 1 } as const;

/** A device that can report errors on PCI Express, with a register that shows whether somebody has reset it. */
export interface ErrorReporter {
  /** Writes the register. */
  mark(): void;
  /** Whether the register still holds what `mark` wrote. */
  readonly marked: boolean;
}

/** Skips the test where the device cannot report errors, or no register of it is known. */
export function errorReporterOf(device: PciDevice): ErrorReporter {
  const express = device.config.findCapability(PciCapabilityId.pciExpress);
  using physical = new PhysicalConfig(device.address);
  const reports = express !== undefined && (physical.read16(express.offset + DEVICE_CONTROL) & ERROR_REPORTING) !== 0;
  const remedy = "use a device that does: vfio-selftests lab run --device virtio-rng-aer";
  if (!reports) skip({ reason: "the device does not report errors on PCI Express", remedy });
  if (device.config.vendorId !== VIRTIO.vendor) {
    skip({ reason: "no register of the device is known that a reset clears", remedy });
  }
  const bar = device.bar(VIRTIO.bar);
  return {
    mark: () => bar.write8(VIRTIO.status, VIRTIO.acknowledge),
    get marked() {
      return bar.read8(VIRTIO.status) === VIRTIO.acknowledge;
    },
  };
}
