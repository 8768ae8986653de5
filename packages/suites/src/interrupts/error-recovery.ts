import { type InterruptVector, Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { PciCommand, PciConfig } from "@vfio-selftests/core/pci";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  assertNoInterrupt,
  defaultMode,
  eachMode,
  expectKernelLog,
  fixture,
  requireMode,
} from "@vfio-selftests/harness";
import { errorReporterOf } from "../devices/error-reporter";
import { MachineMonitor } from "../rigs/machine-monitor";
import { PhysicalConfig } from "../rigs/physical-config";
import type { SuiteTarget } from "../suite-target";

/** Errors by QEMU's names, and the severity that each has by default (PCI Express Base, 7.8.4.4). */
const ERRORS = { nonfatal: "POISON_TLP", fatal: "DLP" } as const;
type Severity = keyof typeof ERRORS;

const EVENT_MS = 10_000;
/** Long enough to see an event that must not come. */
const QUIET_MS = 200;
const TIMEOUT_MS = 60_000;
const BARS = 24;
const ENABLED = PciCommand.memory | PciCommand.busMaster;

/** Errors that a device reports on PCI Express, and what the kernel makes of them while a user has it. */
export function errorRecoverySuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_error_recovery", target, (address) => {
    /** How many errors of this severity the kernel has taken from the device. */
    const counted = (severity: Severity): number => {
      const lines = readAttribute(systemPaths.pciDevice(address, `aer_dev_${severity}`)) ?? "";
      return Number(/^TOTAL_ERR_\w+ (\d+)$/m.exec(lines)?.[1]);
    };

    /** Lets the device report an error, and waits until the kernel is through with it. */
    const report = (monitor: MachineMonitor, severity: Severity): void => {
      const before = counted(severity);
      expectKernelLog(/pcieport .*: AER: device recovery successful/);
      monitor.reportError(ERRORS[severity]);
      const isCounted = (): boolean => counted(severity) > before;
      pollUntil(isCounted, { timeoutMs: EVENT_MS, what: `a ${severity} error to be counted`, subject: address });
      expect(counted(severity)).toBe(before + 1);
    };

    const withDevice = async (
      each: IommuMode,
      use: (device: PciDevice, err: InterruptVector) => void | Promise<void>,
    ): Promise<void> => {
      using iommu = new Iommu(each.open());
      using device = PciDevice.open(iommu, address);
      device.interrupts.err.enable();
      await use(device, device.interrupts.err.vector(0));
    };

    eachMode(target, (each) => {
      it(
        "nonfatal_error_is_an_event_and_the_device_works_on",
        async () => {
          using monitor = new MachineMonitor(address);
          await withDevice(each, async (device, err) => {
            const reporter = errorReporterOf(device);
            using physical = new PhysicalConfig(address);
            device.config.busMaster = true;
            const before = [physical.read16(PciConfig.command), physical.bytes(PciConfig.bar0, BARS)];
            for (let round = 0; round < 3; round++) {
              reporter.mark();
              const event = err.wait({ timeoutMs: EVENT_MS });
              report(monitor, "nonfatal");
              await expect(event).resolves.toBe(1n);
              assertNoInterrupt(err, { withinMs: QUIET_MS });
              expect(reporter.marked).toBe(true);
              expect([physical.read16(PciConfig.command), physical.bytes(PciConfig.bar0, BARS)]).toEqual(before);
            }
          });
        },
        TIMEOUT_MS,
      );
    });

    describe("error", () => {
      requireMode(mode);

      it(
        "that_is_fatal_is_an_event_and_a_reset_of_the_link",
        async () => {
          using monitor = new MachineMonitor(address);
          using physical = new PhysicalConfig(address);
          const closed = physical.bytes(PciConfig.bar0, BARS);
          await withDevice(mode, async (device, err) => {
            const reporter = errorReporterOf(device);
            device.config.busMaster = true;
            const bars = physical.bytes(PciConfig.bar0, BARS);
            reporter.mark();
            expectKernelLog(/Root Port link has been reset \(0\)/);
            expectKernelLog(/reset recovery - restoring BARs/);
            const event = err.wait({ timeoutMs: EVENT_MS });
            report(monitor, "fatal");
            await expect(event).resolves.toBe(1n);
            const isReset = (): boolean => (physical.read16(PciConfig.command) & ENABLED) === 0;
            pollUntil(isReset, { timeoutMs: EVENT_MS, what: "the link to be reset", subject: address });
            // vfio-pci has no slot_reset, so nobody restores what the reset took (pci_bus_error_reset).
            expect(physical.bytes(PciConfig.bar0, BARS)).not.toEqual(bars);
            expect(device.config.bytes(PciConfig.bar0, BARS)).toEqual(bars);
            device.config.command = device.config.command | ENABLED;
            expect(physical.read16(PciConfig.command) & ENABLED).toBe(ENABLED);
            expect(physical.bytes(PciConfig.bar0, BARS)).toEqual(bars);
            expect(reporter.marked).toBe(false);
            reporter.mark();
            expect(reporter.marked).toBe(true);
          });
          expect(physical.bytes(PciConfig.bar0, BARS)).toEqual(closed);
        },
        TIMEOUT_MS,
      );

      it(
        "that_nobody_hears_is_not_kept_for_the_next_user",
        async () => {
          using monitor = new MachineMonitor(address);
          await withDevice(mode, (device) => void errorReporterOf(device));
          report(monitor, "nonfatal");
          await withDevice(mode, (device, err) => {
            assertNoInterrupt(err, { withinMs: QUIET_MS });
            device.interrupts.err.disable();
            report(monitor, "nonfatal");
            device.interrupts.err.enable();
            const again = device.interrupts.err.vector(0);
            assertNoInterrupt(again, { withinMs: QUIET_MS });
            report(monitor, "nonfatal");
            expect(again.waitSync({ timeoutMs: EVENT_MS })).toBe(1n);
          });
        },
        TIMEOUT_MS,
      );
    });
  });
}
