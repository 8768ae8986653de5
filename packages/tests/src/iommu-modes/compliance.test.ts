import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { iommuBackendCompliance, vfioDeviceCompliance } from "@vfio-selftests/core/testing";
import { eachMode, fixture, skip } from "@vfio-selftests/harness";

const target = kernelTarget();

/** Runs on the kernel the same blocks of tests that run on vfio-user and on the fakes. */
fixture("iommu_modes_compliance", target, (address) => {
  eachMode(target, (mode) => {
    iommuBackendCompliance(() => ({
      backend: mode.open(),
      address,
      traits: mode.traits,
      [Symbol.dispose]: () => undefined,
    }));

    vfioDeviceCompliance(() => {
      const backend = mode.open();
      return {
        device: backend.openDevice(address, {}),
        lacks: (what) => skip({ reason: `${address} lacks ${what}`, remedy: "pnpm vfio lab run --device igb" }),
        [Symbol.dispose]: () => backend.close(),
      };
    });
  });
});
