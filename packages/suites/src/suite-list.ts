import type { Suite, SuiteTarget } from "./suite-target";
import { addressSpaceSuite } from "./suites/address-space";
import { barMappingSuite } from "./suites/bar-mapping";
import { deviceGroupsSuite } from "./suites/device-groups";
import { dmaLoadSuite } from "./suites/dma-load";
import { dmaMappingSuite } from "./suites/dma-mapping";
import { dmaMappingMmioSuite } from "./suites/dma-mapping-mmio";
import { dmaPatternsSuite } from "./suites/dma-patterns";
import { driverContractSuite } from "./suites/driver-contract";
import { enduranceSuite } from "./suites/endurance";
import { failingExampleSuite } from "./suites/failing-example";
import { hotResetSuite } from "./suites/hot-reset";
import { hugePageRaceSuite } from "./suites/huge-page-race";
import { intxRaceSuite } from "./suites/intx-race";
import { iommufdFaultQueueSuite } from "./suites/iommufd-fault-queue";
import { iommufdSetupSuite } from "./suites/iommufd-setup";
import { kvmIrqSuite } from "./suites/kvm-irq";
import { noiommuSuite } from "./suites/noiommu";
import { pciConfigSuite } from "./suites/pci-config";
import { pciDeviceSuite } from "./suites/pci-device";
import { pciDeviceInitPerfSuite } from "./suites/pci-device-init-perf";
import { pciDriverSuite } from "./suites/pci-driver";
import { pciInterruptsSuite } from "./suites/pci-interrupts";
import { pciSriovUapiSuite } from "./suites/pci-sriov-uapi";
import { twoWorldsSuite } from "./suites/two-worlds";

export interface SuiteEntry {
  readonly suite: Suite;
  /** It tests an interface that only a kernel has: it does not apply to models. */
  readonly kernelOnly: boolean;
}

/** Upstream's suites in upstream's order, then ours. */
export const SUITES: readonly SuiteEntry[] = [
  { suite: dmaMappingSuite, kernelOnly: false },
  { suite: dmaMappingMmioSuite, kernelOnly: true },
  { suite: iommufdSetupSuite, kernelOnly: true },
  { suite: pciDeviceSuite, kernelOnly: false },
  { suite: pciDeviceInitPerfSuite, kernelOnly: true },
  { suite: pciDriverSuite, kernelOnly: false },
  { suite: pciSriovUapiSuite, kernelOnly: true },
  { suite: driverContractSuite, kernelOnly: false },
  { suite: pciInterruptsSuite, kernelOnly: false },
  { suite: pciConfigSuite, kernelOnly: false },
  { suite: addressSpaceSuite, kernelOnly: true },
  { suite: dmaPatternsSuite, kernelOnly: true },
  { suite: barMappingSuite, kernelOnly: true },
  { suite: hugePageRaceSuite, kernelOnly: true },
  { suite: intxRaceSuite, kernelOnly: true },
  { suite: noiommuSuite, kernelOnly: true },
  { suite: hotResetSuite, kernelOnly: true },
  { suite: twoWorldsSuite, kernelOnly: true },
  { suite: deviceGroupsSuite, kernelOnly: true },
  { suite: dmaLoadSuite, kernelOnly: true },
  { suite: iommufdFaultQueueSuite, kernelOnly: true },
  { suite: kvmIrqSuite, kernelOnly: true },
  { suite: enduranceSuite, kernelOnly: true },
  { suite: failingExampleSuite, kernelOnly: false },
];

/** Defines every suite that applies to the target. */
export function defineSuites(target: SuiteTarget): void {
  for (const { suite, kernelOnly } of SUITES) {
    if (!kernelOnly || target.kind !== "models") suite(target);
  }
}
