import { pollUntil } from "@vfio-selftests/core/driver";
import { existsPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { defaultMode, eachMode, fixture, GuardedDevice, requireMode } from "@vfio-selftests/harness";
import { MachineMonitor } from "../rigs/bus/machine-monitor";
import { PendingWrite } from "../rigs/bus/pending-write";
import { slotPowerOf } from "../rigs/bus/slot";
import { CopyRig } from "../rigs/dma/copy-rig";
import type { SuiteTarget } from "../suite-target";

/** After the button the kernel waits five seconds for a second press (pciehp_queue_pushbutton_work). */
const BUTTON_MS = 30_000;
const TIMEOUT_MS = 120_000;

/** A device in a hot-plug slot that somebody unplugs while a user has it open, and plugs again. */
export function slotHotplugSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_slot_hotplug", target, (address) => {
    const present = (): boolean => existsPath(systemPaths.pciDevice(address, "vendor"));
    const waitFor = (what: string, condition: () => boolean): void =>
      pollUntil(condition, { timeoutMs: BUTTON_MS, what, subject: address });

    /** At its end the device is in its slot and has its driver again. Its users must have closed it. */
    const plugged = (monitor: MachineMonitor): Disposable => {
      const guarded = new GuardedDevice(address);
      return {
        [Symbol.dispose]: () => {
          if (!present()) monitor.plug();
          waitFor("the device to come", present);
          guarded[Symbol.dispose]();
        },
      };
    };

    eachMode(target, (each) => {
      it(
        "unplug_by_the_button_waits_for_the_user",
        async () => {
          using monitor = new MachineMonitor(address);
          const power = slotPowerOf(address);
          {
            using _slot = plugged(monitor);
            using rig = new CopyRig(target, each, [address]);
            const { req } = rig.copier.device.interrupts;
            req.enable();
            const asked = req.vector(0).wait({ timeoutMs: BUTTON_MS });
            monitor.unplug();
            await expect(asked).resolves.toBe(1n);
            rig.copier.copy();
            expect([present(), readAttribute(power)]).toEqual([true, "1"]);
            rig.copier.close();
            waitFor("the device to go", () => !present());
            waitFor("the slot to be switched off", () => readAttribute(power) === "0");
          }
          expect([present(), readAttribute(power)]).toEqual([true, "1"]);
          using again = new CopyRig(target, each, [address]);
          again.copier.copy();
        },
        TIMEOUT_MS,
      );
    });

    describe("slot", () => {
      requireMode(mode);

      it(
        "is_switched_off_when_the_user_has_closed_the_device",
        async () => {
          using monitor = new MachineMonitor(address);
          const power = slotPowerOf(address);
          using _slot = plugged(monitor);
          {
            using rig = new CopyRig(target, mode, [address]);
            const { req } = rig.copier.device.interrupts;
            req.enable();
            const asked = req.vector(0).wait({ timeoutMs: BUTTON_MS });
            const off = new PendingWrite(power, "0");
            try {
              await expect(asked).resolves.toBe(1n);
              rig.copier.copy();
              expect([await off.waits(), present(), readAttribute(power)]).toEqual([true, true, "1"]);
            } finally {
              rig.copier.close();
              expect(await off.end()).toBe("ok");
            }
          }
          expect([present(), readAttribute(power)]).toEqual([false, "0"]);
        },
        TIMEOUT_MS,
      );
    });
  });
}
