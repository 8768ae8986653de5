import { type DeviceFeatures, VfioError } from "@vfio-selftests/core";
import {
  VFIO_DEVICE_FEATURE_BUS_MASTER,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
} from "@vfio-selftests/core/uapi";

/** The features of `include/uapi/linux/vfio.h`, by the part of the name after VFIO_DEVICE_FEATURE_. */
const FEATURES: Readonly<Record<string, number>> = {
  PCI_VF_TOKEN: VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  MIGRATION: VFIO_DEVICE_FEATURE_MIGRATION,
  MIG_DEVICE_STATE: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  LOW_POWER_ENTRY: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  LOW_POWER_ENTRY_WITH_WAKEUP: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  LOW_POWER_EXIT: VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  DMA_LOGGING_START: VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  DMA_LOGGING_STOP: VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  DMA_LOGGING_REPORT: VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  MIG_DATA_SIZE: VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  BUS_MASTER: VFIO_DEVICE_FEATURE_BUS_MASTER,
  DMA_BUF: VFIO_DEVICE_FEATURE_DMA_BUF,
  MIG_PRECOPY_INFOv2: VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
};

export interface DescribedFeature {
  readonly name: string;
  /** What VFIO_DEVICE_FEATURE_PROBE grants. Empty: kernel and device lack the feature. */
  readonly access: readonly ("get" | "set")[];
  /** The errno of a probe that ended otherwise than granted or lacking. */
  readonly error?: string;
}

/** Asks for each feature by PROBE, which has no effect on the device. */
export function probeFeatures(features: DeviceFeatures): DescribedFeature[] {
  return Object.entries(FEATURES).map(([name, index]) => {
    try {
      return { name, access: (["get", "set"] as const).filter((access) => features.supports(index, access)) };
    } catch (error) {
      if (error instanceof VfioError) return { name, access: [], error: error.code };
      throw error;
    }
  });
}
