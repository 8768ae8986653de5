import { addressSpaceSuite } from "./dma/address-space";
import { barMappingSuite } from "./dma/bar-mapping";
import { dmaLoadSuite } from "./dma/dma-load";
import { dmaMappingSuite } from "./dma/dma-mapping";
import { dmaMappingMmioSuite } from "./dma/dma-mapping-mmio";
import { dmaPatternsSuite } from "./dma/dma-patterns";
import { hugePageRaceSuite } from "./dma/huge-page-race";
import { driverContractSuite } from "./driver/driver-contract";
import { failingExampleSuite } from "./driver/failing-example";
import { pciDriverSuite } from "./driver/pci-driver";
import { failNthSuite } from "./faults/fail-nth";
import { intxRaceSuite } from "./interrupts/intx-race";
import { kvmIrqSuite } from "./interrupts/kvm-irq";
import { pciInterruptsSuite } from "./interrupts/pci-interrupts";
import { iommuBackendsSuite } from "./iommufd/iommu-backends";
import { iommufdFaultQueueSuite } from "./iommufd/iommufd-fault-queue";
import { iommufdSetupSuite } from "./iommufd/iommufd-setup";
import { deviceGroupsSuite } from "./pci/device-groups";
import { enduranceSuite } from "./pci/endurance";
import { hotResetSuite } from "./pci/hot-reset";
import { noiommuSuite } from "./pci/noiommu";
import { pciConfigSuite } from "./pci/pci-config";
import { pciDeviceSuite } from "./pci/pci-device";
import { pciDeviceInitPerfSuite } from "./pci/pci-device-init-perf";
import { pciSriovUapiSuite } from "./pci/pci-sriov-uapi";
import type { Suite, SuiteTarget } from "./suite-target";

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
  { suite: iommuBackendsSuite, kernelOnly: true },
  { suite: deviceGroupsSuite, kernelOnly: true },
  { suite: dmaLoadSuite, kernelOnly: true },
  { suite: iommufdFaultQueueSuite, kernelOnly: true },
  { suite: kvmIrqSuite, kernelOnly: true },
  { suite: enduranceSuite, kernelOnly: true },
  { suite: failNthSuite, kernelOnly: true },
  { suite: failingExampleSuite, kernelOnly: false },
];

/** Defines every suite that applies to the target. */
export function defineSuites(target: SuiteTarget): void {
  for (const { suite, kernelOnly } of SUITES) {
    if (!kernelOnly || target.kind !== "models") suite(target);
  }
}
