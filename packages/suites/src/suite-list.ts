import { containerUapiSuite } from "./containers/container-uapi";
import { groupUapiSuite } from "./containers/group-uapi";
import { modeInitSuite } from "./containers/mode-init";
import { type1MigrationSuite } from "./containers/type1-migration";
import { accountingRaceSuite } from "./dma/accounting-race";
import { addressSpaceSuite } from "./dma/address-space";
import { barFaultRaceSuite } from "./dma/bar-fault-race";
import { barMappingSuite } from "./dma/bar-mapping";
import { deviceReachSuite } from "./dma/device-reach";
import { dmaLoadSuite } from "./dma/dma-load";
import { dmaMappingSuite } from "./dma/dma-mapping";
import { dmaMappingMmioSuite } from "./dma/dma-mapping-mmio";
import { dmaPatternsSuite } from "./dma/dma-patterns";
import { hugeGuestSuite } from "./dma/huge-guest";
import { hugePageRaceSuite } from "./dma/huge-page-race";
import { iommuResourcesSuite } from "./dma/iommu-resources";
import { iommuStressSuite } from "./dma/iommu-stress";
import { iovaEdgesSuite } from "./dma/iova-edges";
import { lockedMemorySuite } from "./dma/locked-memory";
import { manyMapsSuite } from "./dma/many-maps";
import { mapRequestsSuite } from "./dma/map-requests";
import { driverContractSuite } from "./driver/driver-contract";
import { failingExampleSuite } from "./driver/failing-example";
import { pciDriverSuite } from "./driver/pci-driver";
import { failNthSuite } from "./faults/fail-nth";
import { deviceEventsSuite } from "./interrupts/device-events";
import { errorRecoverySuite } from "./interrupts/error-recovery";
import { eventfdHoldsSuite } from "./interrupts/eventfd-holds";
import { interruptRemappingSuite } from "./interrupts/interrupt-remapping";
import { intxLineSuite } from "./interrupts/intx-line";
import { intxRaceSuite } from "./interrupts/intx-race";
import { intxWithoutMaskBitSuite } from "./interrupts/intx-without-mask-bit";
import { kvmIoeventfdSuite } from "./interrupts/kvm-ioeventfd";
import { kvmIrqSuite } from "./interrupts/kvm-irq";
import { kvmIrqfdSuite } from "./interrupts/kvm-irqfd";
import { kvmRoutesSuite } from "./interrupts/kvm-routes";
import { kvmVfioSuite } from "./interrupts/kvm-vfio";
import { messageVectorsSuite } from "./interrupts/message-vectors";
import { pciInterruptsSuite } from "./interrupts/pci-interrupts";
import { setIrqsRefusedSuite } from "./interrupts/set-irqs-refused";
import { cdevUapiSuite } from "./iommufd/cdev-uapi";
import { compatCutsSuite } from "./iommufd/compat-cuts";
import { deviceAttachSuite } from "./iommufd/device-attach";
import { dirtyBitmapSuite } from "./iommufd/dirty-bitmap";
import { faultQueueFileSuite } from "./iommufd/fault-queue-file";
import { ioasUapiSuite } from "./iommufd/ioas-uapi";
import { iommuBackendsSuite } from "./iommufd/iommu-backends";
import { iommufdFaultQueueSuite } from "./iommufd/iommufd-fault-queue";
import { iommufdReachSuite } from "./iommufd/iommufd-reach";
import { iommufdSetupSuite } from "./iommufd/iommufd-setup";
import { iommufdUapiSuite } from "./iommufd/iommufd-uapi";
import { kernelAccessSuite } from "./iommufd/kernel-access";
import { pageMotionSuite } from "./iommufd/page-motion";
import { pageTablesSuite } from "./iommufd/page-tables";
import { refusedRequestsSuite } from "./iommufd/refused-requests";
import { replaceUnderDmaSuite } from "./iommufd/replace-under-dma";
import { twoIommusSuite } from "./iommufd/two-iommus";
import { unwritableAnswersSuite } from "./iommufd/unwritable-answers";
import { userAccountingSuite } from "./iommufd/user-accounting";
import { virtualIommuSuite } from "./iommufd/virtual-iommu";
import { kernelMemorySuite } from "./leaks/kernel-memory";
import { liveUpdateMemfdSuite } from "./liveupdate/liveupdate-memfd";
import { liveUpdateUapiSuite } from "./liveupdate/liveupdate-uapi";
import { vfioLiveUpdateSuite } from "./liveupdate/vfio-liveupdate";
import { mdevPinningSuite } from "./mediated/mdev-pinning";
import { mdevPinningProcessesSuite } from "./mediated/mdev-pinning-processes";
import { mdevPinningSpacesSuite } from "./mediated/mdev-pinning-spaces";
import { mediatedDeviceSuite } from "./mediated/mediated-device";
import { dmaLoggingSuite } from "./migration/card-logging";
import { deviceMigrationSuite } from "./migration/card-migration";
import { modelLoggingSuite } from "./migration/model-logging";
import { modelMigrationSuite } from "./migration/model-migration";
import { badAddressesSuite } from "./pci/bad-addresses";
import { configCapabilitiesSuite } from "./pci/config-capabilities";
import { configHeaderSuite } from "./pci/config-header";
import { deviceFeaturesSuite } from "./pci/device-features";
import { deviceFileSuite } from "./pci/device-file";
import { deviceGroupsSuite } from "./pci/device-groups";
import { deviceInfoSuite } from "./pci/device-info";
import { deviceLifecycleSuite } from "./pci/device-lifecycle";
import { dmaAliasSuite } from "./pci/dma-alias";
import { dmaBufSuite } from "./pci/dma-buf";
import { enduranceSuite } from "./pci/endurance";
import { hotResetSuite } from "./pci/hot-reset";
import { hotUnplugSuite } from "./pci/hot-unplug";
import { ioeventfdSuite } from "./pci/ioeventfd";
import { ioeventfdUnderResetSuite } from "./pci/ioeventfd-under-reset";
import { lowPowerSuite } from "./pci/low-power";
import { nextUserSuite } from "./pci/next-user";
import { noiommuSuite } from "./pci/noiommu";
import { pciConfigSuite } from "./pci/pci-config";
import { pciDeviceSuite } from "./pci/pci-device";
import { pciDeviceInitPerfSuite } from "./pci/pci-device-init-perf";
import { pciSriovUapiSuite } from "./pci/pci-sriov-uapi";
import { regionAccessSuite } from "./pci/region-access";
import { slotHotplugSuite } from "./pci/slot-hotplug";
import { sriovLifecycleSuite } from "./pci/sriov-lifecycle";
import { sysfsResetSuite } from "./pci/sysfs-reset";
import { virtualFunctionSuite } from "./pci/virtual-function";
import type { Suite, SuiteTarget } from "./suite-target";

/** A suite, and where it applies. */
export interface SuiteEntry {
  /** Defines the suite's tests for a target. */
  readonly suite: Suite;
  /** Whether the suite tests an interface that only a kernel has, and so does not apply to models. */
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
  { suite: deviceInfoSuite, kernelOnly: true },
  { suite: deviceFileSuite, kernelOnly: true },
  { suite: regionAccessSuite, kernelOnly: true },
  { suite: configHeaderSuite, kernelOnly: true },
  { suite: configCapabilitiesSuite, kernelOnly: true },
  { suite: ioeventfdSuite, kernelOnly: true },
  { suite: ioeventfdUnderResetSuite, kernelOnly: true },
  { suite: deviceFeaturesSuite, kernelOnly: true },
  { suite: badAddressesSuite, kernelOnly: true },
  { suite: lowPowerSuite, kernelOnly: true },
  { suite: deviceLifecycleSuite, kernelOnly: true },
  { suite: nextUserSuite, kernelOnly: true },
  { suite: virtualFunctionSuite, kernelOnly: true },
  { suite: sriovLifecycleSuite, kernelOnly: true },
  { suite: dmaBufSuite, kernelOnly: true },
  { suite: setIrqsRefusedSuite, kernelOnly: true },
  { suite: messageVectorsSuite, kernelOnly: true },
  { suite: interruptRemappingSuite, kernelOnly: true },
  { suite: intxLineSuite, kernelOnly: true },
  { suite: intxWithoutMaskBitSuite, kernelOnly: true },
  { suite: deviceEventsSuite, kernelOnly: true },
  { suite: eventfdHoldsSuite, kernelOnly: true },
  { suite: addressSpaceSuite, kernelOnly: true },
  { suite: dmaPatternsSuite, kernelOnly: true },
  { suite: mapRequestsSuite, kernelOnly: true },
  { suite: iovaEdgesSuite, kernelOnly: true },
  { suite: deviceReachSuite, kernelOnly: true },
  { suite: iommufdReachSuite, kernelOnly: true },
  { suite: replaceUnderDmaSuite, kernelOnly: true },
  { suite: cdevUapiSuite, kernelOnly: true },
  { suite: ioasUapiSuite, kernelOnly: true },
  { suite: iommufdUapiSuite, kernelOnly: true },
  { suite: refusedRequestsSuite, kernelOnly: true },
  { suite: userAccountingSuite, kernelOnly: true },
  { suite: compatCutsSuite, kernelOnly: true },
  { suite: containerUapiSuite, kernelOnly: true },
  { suite: groupUapiSuite, kernelOnly: true },
  { suite: modeInitSuite, kernelOnly: true },
  { suite: type1MigrationSuite, kernelOnly: true },
  { suite: lockedMemorySuite, kernelOnly: true },
  { suite: manyMapsSuite, kernelOnly: true },
  { suite: accountingRaceSuite, kernelOnly: true },
  { suite: iommuResourcesSuite, kernelOnly: true },
  { suite: iommuStressSuite, kernelOnly: true },
  { suite: hugeGuestSuite, kernelOnly: true },
  { suite: barMappingSuite, kernelOnly: true },
  { suite: barFaultRaceSuite, kernelOnly: true },
  { suite: hugePageRaceSuite, kernelOnly: true },
  { suite: intxRaceSuite, kernelOnly: true },
  { suite: noiommuSuite, kernelOnly: true },
  { suite: hotResetSuite, kernelOnly: true },
  { suite: hotUnplugSuite, kernelOnly: true },
  { suite: slotHotplugSuite, kernelOnly: true },
  { suite: sysfsResetSuite, kernelOnly: true },
  { suite: errorRecoverySuite, kernelOnly: true },
  { suite: dmaAliasSuite, kernelOnly: true },
  { suite: iommuBackendsSuite, kernelOnly: true },
  { suite: deviceGroupsSuite, kernelOnly: true },
  { suite: dmaLoadSuite, kernelOnly: true },
  { suite: iommufdFaultQueueSuite, kernelOnly: true },
  { suite: faultQueueFileSuite, kernelOnly: true },
  { suite: pageTablesSuite, kernelOnly: true },
  { suite: dirtyBitmapSuite, kernelOnly: true },
  { suite: pageMotionSuite, kernelOnly: true },
  { suite: virtualIommuSuite, kernelOnly: true },
  { suite: unwritableAnswersSuite, kernelOnly: true },
  { suite: deviceAttachSuite, kernelOnly: true },
  { suite: twoIommusSuite, kernelOnly: true },
  { suite: mediatedDeviceSuite, kernelOnly: true },
  { suite: mdevPinningSuite, kernelOnly: true },
  { suite: mdevPinningSpacesSuite, kernelOnly: true },
  { suite: mdevPinningProcessesSuite, kernelOnly: true },
  { suite: deviceMigrationSuite, kernelOnly: true },
  { suite: dmaLoggingSuite, kernelOnly: true },
  { suite: modelMigrationSuite, kernelOnly: false },
  { suite: modelLoggingSuite, kernelOnly: false },
  { suite: kernelAccessSuite, kernelOnly: true },
  { suite: liveUpdateUapiSuite, kernelOnly: true },
  { suite: liveUpdateMemfdSuite, kernelOnly: true },
  { suite: vfioLiveUpdateSuite, kernelOnly: true },
  { suite: kvmIrqSuite, kernelOnly: true },
  { suite: kvmRoutesSuite, kernelOnly: true },
  { suite: kvmIrqfdSuite, kernelOnly: true },
  { suite: kvmIoeventfdSuite, kernelOnly: true },
  { suite: kvmVfioSuite, kernelOnly: true },
  { suite: enduranceSuite, kernelOnly: true },
  { suite: failNthSuite, kernelOnly: true },
  { suite: kernelMemorySuite, kernelOnly: true },
  { suite: failingExampleSuite, kernelOnly: false },
];

/**
 * Frames that jest keeps of the place where a test is defined, which it shows when the test takes too long. The environment's hundred
 * would take an eighth of the time in which jest starts and loads the suites.
 */
const DEFINITION_FRAMES = 4;

/** Defines every suite that applies to the target. */
export function defineSuites(target: SuiteTarget): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEFINITION_FRAMES;
  try {
    for (const { suite, kernelOnly } of SUITES) {
      if (!kernelOnly || target.kind !== "models") suite(target);
    }
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
