import { setTimeout as delay } from "node:timers/promises";
import type { PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { PciCommand, PciConfig } from "@vfio-selftests/core/pci";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { assertNoInterrupt, defaultMode, eachMode, expectKernelLog, fixture, requireMode } from "@vfio-selftests/harness";
import { CopyRig } from "../rigs/copy-rig";
import { MachineMonitor } from "../rigs/machine-monitor";
import { PhysicalConfig } from "../rigs/physical-config";
import type { SuiteTarget } from "../suite-target";

/** Errors by QEMU's names, with the severity that each has by default (PCI Express Base, 7.8.4). */
const CORRECTABLE = ["RCVR", "BAD_TLP"] as const;
const NONFATAL = "POISON_TLP";
const FATAL = "DLP";

const EVENT_MS = 10_000;
/** Long enough to see an event that must not come. */
const QUIET_MS = 200;
const SETTLE_MS = 20_000;
const TIMEOUT_MS = 60_000;
const BARS = 24;

type Severity = "correctable" | "nonfatal" | "fatal";

/** Errors that a device reports on PCI Express, and what the kernel makes of them while a user has it. */
export function errorRecoverySuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_error_recovery", target, (address) => {
    /** How many errors of this severity the kernel has taken from the device. */
    const counted = (severity: Severity): number => {
      const lines = readAttribute(systemPaths.pciDevice(address, `aer_dev_${severity}`)) ?? "";
      return Number(/^TOTAL_ERR_\w+ (\d+)$/m.exec(lines)?.[1]);
    };

    /** Lets the device report the error, and waits until the kernel has counted it. */
    const report = (monitor: MachineMonitor, severity: Severity, error: string): void => {
      const before = counted(severity);
      monitor.reportError(error);
      const isCounted = (): boolean => counted(severity) > before;
      pollUntil(isCounted, { timeoutMs: EVENT_MS, what: `a ${severity} error to be counted`, subject: address });
      expect(counted(severity)).toBe(before + 1);
    };

    const errOf = (device: PciDevice) => {
      device.interrupts.err.enable();
      return device.interrupts.err.vector(0);
    };

    eachMode(target, (each) => {
      it(
        "nonfatal_error_is_an_event_and_the_device_works_on",
        async () => {
          using monitor = new MachineMonitor(address);
          using rig = new CopyRig(target, each, [address]);
          using physical = new PhysicalConfig(address);
          const err = errOf(rig.copier.device);
          const before = physical.bytes(0, 64);
          for (let round = 0; round < 2; round++) {
            expectKernelLog(/severity=Uncorrectable \(Non-Fatal\)/);
            const event = err.wait({ timeoutMs: EVENT_MS });
            report(monitor, "nonfatal", NONFATAL);
            await expect(event).resolves.toBe(1n);
            rig.copier.copy();
            expect(physical.bytes(0, 64)).toEqual(before);
          }
        },
        TIMEOUT_MS,
      );
    });

    describe("error", () => {
      requireMode(mode);

      it(
        "that_is_correctable_is_no_event",
        () => {
          using monitor = new MachineMonitor(address);
          using rig = new CopyRig(target, mode, [address]);
          const err = errOf(rig.copier.device);
          for (const error of CORRECTABLE) {
            report(monitor, "correctable", error);
            assertNoInterrupt(err, { withinMs: QUIET_MS });
          }
          rig.copier.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "that_is_fatal_is_an_event_and_a_reset_of_the_link",
        async () => {
          using monitor = new MachineMonitor(address);
          using rig = new CopyRig(target, mode, [address]);
          using physical = new PhysicalConfig(address);
          const { copier } = rig;
          const { config } = copier.device;
          const err = errOf(copier.device);
          copier.copy();
          const bars = physical.bytes(PciConfig.bar0, BARS);
          expectKernelLog(/Root Port link has been reset \(0\)/);
          const event = err.wait({ timeoutMs: EVENT_MS });
          report(monitor, "fatal", FATAL);
          await expect(event).resolves.toBe(1n);
          // vfio-pci asks for no slot_reset, so nobody restores what the reset took.
          const isReset = (): boolean => (physical.read16(PciConfig.command) & PciCommand.memory) === 0;
          pollUntil(isReset, { timeoutMs: SETTLE_MS, what: "the link to be reset", subject: address });
          await delay(QUIET_MS);
          expect(physical.bytes(PciConfig.bar0, BARS)).not.toEqual(bars);
          config.command = config.command | PciCommand.memory | PciCommand.busMaster;
          expect(physical.bytes(PciConfig.bar0, BARS)).toEqual(bars);
          copier.session.remove();
          copier.session.create();
          copier.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "without_a_listener_is_not_kept_for_the_next",
        () => {
          using monitor = new MachineMonitor(address);
          {
            using rig = new CopyRig(target, mode, [address]);
            report(monitor, "nonfatal", NONFATAL);
            rig.copier.copy();
          }
          report(monitor, "nonfatal", NONFATAL);
          using rig = new CopyRig(target, mode, [address]);
          assertNoInterrupt(errOf(rig.copier.device), { withinMs: QUIET_MS });
          report(monitor, "nonfatal", NONFATAL);
          expect(rig.copier.device.interrupts.err.vector(0).waitSync({ timeoutMs: EVENT_MS })).toBe(1n);
        },
        TIMEOUT_MS,
      );
    });
  });
}
