export { FakeInterrupts } from "./fake-interrupts";
export { FakeVfioDevice, type FakeRegion, type FakeVfioDeviceOptions } from "./fake-vfio-device";
