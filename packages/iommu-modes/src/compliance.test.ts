import { type IommuMode, KERNEL_MODE_NAMES } from "@vfio-selftests/core";
import { iommuBackendCompliance, vfioDeviceCompliance } from "@vfio-selftests/core/testing";
import { createModes } from "./modes/modes";
import { FakeKernel } from "./testing/fake-kernel";

const ADDRESS = "0000:02:01.0";

describe.each(KERNEL_MODE_NAMES)("mode %s on the fake kernel", (name) => {
  /** A kernel with one device, and the mode on it. */
  function setUp(): { kernel: FakeKernel; mode: IommuMode } {
    const kernel = new FakeKernel();
    kernel.addDevice(ADDRESS, 5);
    const mode = createModes(kernel.environment).find((candidate) => candidate.name === name) as IommuMode;
    return { kernel, mode };
  }

  iommuBackendCompliance(() => {
    const { kernel, mode } = setUp();
    const { traits } = mode;
    return { backend: mode.open(), address: ADDRESS, traits, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  });

  vfioDeviceCompliance(() => {
    const { kernel, mode } = setUp();
    const backend = mode.open();
    return {
      device: backend.openDevice(ADDRESS, {}),
      [Symbol.dispose]: () => {
        backend.close();
        expect(kernel.kinds()).toEqual([]);
        kernel[Symbol.dispose]();
      },
    };
  });
});
