import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { type Driver, DriverSession } from "@vfio-selftests/core/driver";
import { connectModel } from "@vfio-selftests/device-models";
import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { ioatDriver } from "@vfio-selftests/driver-ioat";
import { VfioUserMode } from "@vfio-selftests/vfio-user";

export const MODELS: readonly { readonly name: string; readonly driver: Driver }[] = [
  { name: "ioat", driver: ioatDriver },
  { name: "dsa", driver: dsaDriver },
];

/** A model in a thread of its own, its driver, and memory to copy in. */
export interface ModelSession {
  readonly device: PciDevice;
  readonly session: DriverSession;
  readonly region: DmaRegion;
}

export function withModel<T>(
  name: string,
  driver: Driver,
  memorySize: number,
  measure: (session: ModelSession) => T,
): T {
  using iommu = new Iommu(new VfioUserMode({ connectModel }).open());
  using memory = DmaMemory.allocate(memorySize, { backing: "memfd", populate: true });
  using region = iommu.map(memory);
  using device = PciDevice.open(iommu, `model:${name}`);
  using session = new DriverSession(driver, device, iommu);
  return measure({ device, session, region });
}
