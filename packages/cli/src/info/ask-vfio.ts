import { Iommu, type IommuMode, type IrqInfo, PciDevice, type RegionInfo, VfioError } from "@vfio-selftests/core";
import { VFIO_PCI_NUM_REGIONS } from "@vfio-selftests/core/uapi";
import { type DescribedFeature, probeFeatures } from "./device-features";

/** What VFIO and the IOMMU told of an open device. */
export interface VfioFacts {
  /** The IOMMU mode in which it was opened. */
  readonly mode: string;
  /** VFIO_DEVICE_RESET works. */
  readonly resettable: boolean;
  readonly regions: readonly (RegionInfo & { readonly name: string })[];
  readonly interrupts: readonly (IrqInfo & { readonly name: string })[];
  readonly iovaRanges: readonly { readonly start: bigint; readonly last: bigint }[];
  /** Bytes, ascending. */
  readonly pageSizes: readonly bigint[];
  readonly features: readonly DescribedFeature[];
}

/** The facts, or why there are none and what would show them. */
export type VfioAnswer =
  | ({ readonly opened: true } & VfioFacts)
  | { readonly opened: false; readonly reason: string; readonly remedy?: string };

/** Regions of vfio-pci, by index. Those after them are device specific. */
const REGION_NAMES = ["BAR 0", "BAR 1", "BAR 2", "BAR 3", "BAR 4", "BAR 5", "ROM", "config", "VGA"] as const;

/** Opens the device, asks, and closes it. */
export function askVfio(address: string, mode: IommuMode): VfioAnswer {
  try {
    using iommu = new Iommu(mode.open());
    using device = PciDevice.open(iommu, address);
    return { opened: true, ...factsOf(iommu, device) };
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
    const reason = error.message.split("\n")[0] ?? error.message;
    return { opened: false, reason, ...(error.remedy === undefined ? {} : { remedy: error.remedy }) };
  }
}

function factsOf(iommu: Iommu, device: PciDevice): VfioFacts {
  const { info } = device;
  return {
    mode: iommu.mode,
    resettable: info.resettable,
    regions: Array.from({ length: info.regionCount }, (_, index) => index).flatMap((index) => {
      const region = regionOf(device, index);
      if (region === undefined || region.size === 0) return [];
      return [{ name: REGION_NAMES[index] ?? `device specific ${index - VFIO_PCI_NUM_REGIONS}`, ...region }];
    }),
    interrupts: device.interrupts.all.flatMap((kind) => (kind.count === 0 ? [] : [{ name: kind.name, ...kind.info }])),
    iovaRanges: iommu.iovaRanges(),
    pageSizes: sizesOf(iommu.pageSizes()),
    features: probeFeatures(device.features),
  };
}

/** Undefined where the device lacks the region: vfio-pci refuses VGA to a device without it (VFIO_DEVICE_GET_REGION_INFO). */
function regionOf({ vfio }: PciDevice, index: number): RegionInfo | undefined {
  try {
    return vfio.regionInfo(index);
  } catch (error) {
    if (error instanceof VfioError && error.code === "EINVAL") return undefined;
    throw error;
  }
}

function sizesOf(mask: bigint): bigint[] {
  return Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).filter((size) => (mask & size) !== 0n);
}
