export { allocatedBytes } from "./allocated-bytes";
export { iommuBackendCompliance, type BackendUnderTest } from "./compliance/iommu-backend";
export { vfioDeviceCompliance, type DeviceUnderTest } from "./compliance/vfio-device";
export { FakeInterrupts } from "./fake-interrupts";
export { FakeIommuBackend, type FakeMapping } from "./fake-iommu-backend";
export { FakeVfioDevice, type FakeRegion, type FakeVfioDeviceOptions } from "./fake-vfio-device";
export { FakeSystem, type FakePciDevice } from "./fake-system";
export { thrownBy } from "./thrown-by";
export { descriptorsAre, openDescriptors } from "./open-descriptors";
