import { pollUntil } from "@vfio-selftests/core/driver";
import { existsPath, readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { eachMode, fixture, GuardedDevice } from "@vfio-selftests/harness";
import { CopyRig } from "../rigs/copy-rig";
import { MachineMonitor } from "../rigs/machine-monitor";
import { slotPowerOf } from "../rigs/slot";
import type { SuiteTarget } from "../suite-target";

/** After the button the kernel waits five seconds for a second press (pciehp_queue_pushbutton_work). */
const BUTTON_MS = 30_000;
const TIMEOUT_MS = 120_000;

/** A device in a hot-plug slot that somebody unplugs while a user has it open, and plugs again. */
export function slotHotplugSuite(target: SuiteTarget): void {
  fixture("vfio_slot_hotplug", target, (address) => {
    const present = (): boolean => existsPath(systemPaths.pciDevice(address, "vendor"));
    const waitFor = (what: string, condition: () => boolean): void =>
      pollUntil(condition, { timeoutMs: BUTTON_MS, what, subject: address });

    eachMode(target, (mode) => {
      it(
        "unplug_by_the_button_waits_for_the_user",
        async () => {
          using monitor = new MachineMonitor(address);
          const power = slotPowerOf(address);
          using guarded = new GuardedDevice(address);
          {
            using rig = new CopyRig(target, mode, [address]);
            const { req } = rig.copier.device.interrupts;
            req.enable();
            const asked = req.vector(0).wait({ timeoutMs: BUTTON_MS });
            monitor.unplug();
            await expect(asked).resolves.toBe(1n);
            rig.copier.copy();
            expect([present(), readAttribute(power)]).toEqual([true, "1"]);
          }
          waitFor("the device to go", () => !present());
          waitFor("the slot to be switched off", () => readAttribute(power) === "0");
          monitor.plug();
          waitFor("the device to come", present);
          guarded[Symbol.dispose]();
          using again = new CopyRig(target, mode, [address]);
          again.copier.copy();
        },
        TIMEOUT_MS,
      );
    });
  });
}
