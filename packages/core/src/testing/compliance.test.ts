import { argumentError } from "../errors/vfio-error";
import { iommuBackendCompliance } from "./compliance/iommu-backend";
import { vfioDeviceCompliance } from "./compliance/vfio-device";
import { FakeIommuBackend } from "./fake-iommu-backend";
import { FakeVfioDevice } from "./fake-vfio-device";

const ADDRESS = "0000:01:00.0";
const nothing = { [Symbol.dispose]: () => undefined };

function fakeDevice(): FakeVfioDevice {
  const config = new Uint8Array(4096);
  config.set([0x86, 0x80, 0xc9, 0x10]);
  return new FakeVfioDevice({ address: ADDRESS, regions: { 0: { size: 65536 } }, config, irqs: { 2: { count: 4 } } });
}

describe("FakeIommuBackend", () => {
  iommuBackendCompliance(() => ({
    backend: new FakeIommuBackend((address) => {
      if (address === ADDRESS) return fakeDevice();
      throw argumentError("openDevice", "address", address, ADDRESS);
    }),
    address: ADDRESS,
    traits: { api: "user", splitsMappings: false, choosesIova: false },
    ...nothing,
  }));
});

describe("FakeVfioDevice", () => {
  vfioDeviceCompliance(() => ({ device: fakeDevice(), ...nothing }));
});
