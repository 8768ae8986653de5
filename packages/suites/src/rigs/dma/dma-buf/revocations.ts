import type { PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import {
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_SET,
} from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { busResetInfo, resetBus } from "../../bus/bus-reset";
import { RawDevice } from "../../raw/raw-device";

const SET = VFIO_DEVICE_FEATURE_SET;
/** PCI Express (section 7.5.3) and power management (PCI-PM 1.2, section 3.2.4). */
const EXPRESS = { deviceCapabilities: 4, canReset: 1 << 28, deviceControl: 8, functionReset: 1 << 15 } as const;
const PMCSR = 4;
export const D3_HOT = 3;

/** What takes a BAR away from those who map its dma-buf, and what gives it back where that is another request. */
export interface Revocation {
  readonly name: string;
  readonly revoke: (device: PciDevice) => void;
  readonly restore?: (device: PciDevice) => void;
}

export const REVOCATIONS: readonly Revocation[] = [
  {
    name: "memory_space_goes_off",
    revoke: ({ config }) => (config.memoryEnable = false),
    restore: ({ config }) => (config.memoryEnable = true),
  },
  {
    name: "the_device_is_reset",
    revoke: (device) => {
      if (!device.info.resettable) skip({ reason: "the device has no reset", remedy: "use a device with FLR" });
      device.reset();
    },
  },
  {
    name: "its_register_resets_the_device",
    revoke: ({ config }) => {
      const express = config.findCapability(PciCapabilityId.pciExpress)?.offset ?? 0;
      if (express === 0 || (config.read32(express + EXPRESS.deviceCapabilities) & EXPRESS.canReset) === 0) {
        skip({ reason: "the device has no function-level reset", remedy: "use QEMU's igb: vfio-selftests lab run" });
      }
      const control = config.read16(express + EXPRESS.deviceControl);
      config.write16(express + EXPRESS.deviceControl, control | EXPRESS.functionReset);
    },
  },
  {
    name: "its_bus_is_reset",
    revoke: (device) => {
      const { devices, owned } = busResetInfo(device);
      if (owned !== true || devices.length > 1) {
        skip({ reason: "a reset of the bus affects other devices", remedy: "use QEMU's igb: vfio-selftests lab run" });
      }
      resetBus(device, [device]);
    },
  },
  {
    name: "the_device_is_put_to_d3hot",
    revoke: ({ config }) => config.write16(powerStateOf(config), D3_HOT),
    restore: ({ config }) => config.write16(powerStateOf(config), 0),
  },
  {
    name: "low_power_begins",
    revoke: (device) => expect(new RawDevice(device).feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | SET)).toBe(0),
    restore: (device) => expect(new RawDevice(device).feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | SET)).toBe(0),
  },
];

/** Offset of the power state's register. Skips the test where the device has none. */
export function powerStateOf(config: PciDevice["config"]): number {
  const pm = config.findCapability(PciCapabilityId.powerManagement);
  if (pm === undefined) skip({ reason: "the device has no power management", remedy: "use QEMU's igb" });
  return pm.offset + PMCSR;
}
