import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { requireMode, skip } from "@vfio-selftests/harness";

/**
 * One device for all tests of the enclosing block, opened before the first and closed after the last: opening costs a
 * reset of the device. A test leaves the device as it found it.
 */
export function openForBlock(mode: IommuMode, address: string): () => PciDevice {
  requireMode(mode);
  let device: PciDevice | undefined;
  let iommu: Iommu | undefined;
  beforeAll(() => {
    if (address === "") return;
    const availability = mode.availability();
    if (!availability.available) skip(availability);
    iommu = new Iommu(mode.open());
    device = PciDevice.open(iommu, address);
  });
  afterAll(() => iommu?.close());
  return () => {
    if (device === undefined) throw new Error(`${address} is not open`);
    return device;
  };
}
