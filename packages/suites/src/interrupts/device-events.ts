import { spawn } from "node:child_process";
import { once } from "node:events";
import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { existsPath, linkName, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, GuardedDriver, requireMode, skip } from "@vfio-selftests/harness";
import { openForBlock } from "../rigs/device/open-device";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const NONE = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
const BOOL = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

/** The kernel asks at once and then every 10 s (vfio_unregister_group_dev). */
const REQUEST_MS = 20_000;

/** ERR and REQ: their eventfds, and the request itself. */
export function deviceEventsSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_device_events", target, (address) => {
    for (const kind of ["err", "req"] as const) {
      describe(kind, () => {
        const device = openForBlock(mode, address);

        const withEvent = (
          use: (eventfd: Eventfd, set: (flags: number, options?: object) => unknown) => void,
        ): void => {
          const { index, count, name } = device().interrupts[kind];
          if (count === 0) skip({ reason: `the device has no ${name}`, remedy: `use a device that offers ${name}` });
          const raw = new RawDevice(device());
          const set = (flags: number, options: object = {}) => raw.setIrqs({ flags, index, ...options });
          using eventfd = new Eventfd(name);
          expect(set(EVENTFD, { data: Int32Array.of(eventfd.fd) })).toBe(0);
          try {
            use(eventfd, set);
          } finally {
            // EINVAL where the test took the eventfd away already.
            set(NONE, { count: 0 });
          }
        };

        it("trigger_by_none_and_bool", () => {
          withEvent((eventfd, set) => {
            expect(set(NONE)).toBe(0);
            expect(eventfd.tryRead()).toBe(1n);
            expect(set(BOOL, { data: Uint8Array.of(1) })).toBe(0);
            expect(eventfd.tryRead()).toBe(1n);
            expect(set(BOOL, { data: Uint8Array.of(0) })).toBe(0);
            expect(eventfd.tryRead()).toBeUndefined();
          });
        });

        it("other_events_eventfd_hears_nothing", () => {
          withEvent((eventfd, set) => {
            const other = device().interrupts[kind === "err" ? "req" : "err"];
            if (other.count === 0) skip({ reason: `the device has no ${other.name}`, remedy: "use QEMU's igb" });
            other.enable();
            try {
              expect(set(NONE)).toBe(0);
              expect([eventfd.tryRead(), other.vector(0).tryRead()]).toEqual([1n, undefined]);
              other.trigger(0);
              expect([eventfd.tryRead(), other.vector(0).tryRead()]).toEqual([undefined, 1n]);
              // One goes, the other stays (vfio_pci_set_ctx_trigger_single).
              expect(set(NONE, { count: 0 })).toBe(0);
              other.trigger(0);
              expect([eventfd.tryRead(), other.vector(0).tryRead()]).toEqual([undefined, 1n]);
            } finally {
              other.disable();
            }
          });
        });

        it("replaced_eventfd_hears_nothing_more", () => {
          withEvent((eventfd, set) => {
            using other = new Eventfd("the other");
            expect(set(EVENTFD, { data: Int32Array.of(other.fd) })).toBe(0);
            expect(set(NONE)).toBe(0);
            expect([eventfd.tryRead(), other.tryRead()]).toEqual([undefined, 1n]);
          });
        });

        for (const [name, take] of [
          ["descriptor_minus_1", { flags: EVENTFD, data: Int32Array.of(-1) }],
          ["count_0", { flags: NONE, count: 0 }],
        ] as const) {
          it(`taken_by_${name}_hears_nothing_more`, () => {
            withEvent((eventfd, set) => {
              expect(set(take.flags, take)).toBe(0);
              expect(set(NONE)).toBe("EINVAL");
              expect(set(BOOL, { data: Uint8Array.of(1) })).toBe(0);
              expect(eventfd.tryRead()).toBeUndefined();
            });
          });
        }
      });

      describe(`${kind}_and_close`, () => {
        requireMode(mode);

        it("close_lets_the_eventfd_go", () => {
          using eventfd = new Eventfd(kind);
          for (let round = 0; round < 2; round++) {
            using iommu = new Iommu(mode.open());
            using device = PciDevice.open(iommu, address);
            const { index, count } = device.interrupts[kind];
            if (count === 0) skip({ reason: `the device has no ${kind}`, remedy: "use a device with PCI Express" });
            const raw = new RawDevice(device);
            // The last user's eventfd is gone: there is nothing to trigger.
            expect(raw.setIrqs({ flags: NONE, index })).toBe("EINVAL");
            expect(raw.setIrqs({ flags: EVENTFD, index, data: Int32Array.of(eventfd.fd) })).toBe(0);
          }
          expect(eventfd.tryRead()).toBeUndefined();
        });
      });
    }

    describe("unbind", () => {
      requireMode(mode);

      it("asks_for_the_device_and_waits_for_the_close", async () => {
        if (target.kind !== "lab") {
          skip({
            reason: "the test unbinds the device from its driver",
            remedy: "run it in the lab: vfio-selftests lab run",
          });
        }
        using guarded = new GuardedDriver(address);
        const driver = guarded.original ?? "vfio-pci";
        const bound = systemPaths.pciDevice(address, "driver");
        using iommu = new Iommu(mode.open());
        using device = PciDevice.open(iommu, address);
        const { err } = device.interrupts;
        if (err.count > 0) err.enable();
        device.interrupts.req.enable();
        const asked = device.interrupts.req.vector(0).wait({ timeoutMs: REQUEST_MS });
        // A process of its own writes, because the write returns only when the device is closed.
        const command = `echo ${address} > /sys/bus/pci/drivers/${driver}/unbind`;
        const unbind = spawn("sh", ["-c", command], { stdio: "ignore" });
        const ended = once(unbind, "exit");
        try {
          await expect(asked).resolves.toBe(1n);
          expect(unbind.exitCode).toBeNull();
          // A user who does not listen is asked again.
          await expect(device.interrupts.req.vector(0).wait({ timeoutMs: REQUEST_MS })).resolves.toBe(1n);
          expect(unbind.exitCode).toBeNull();
          // A request is no error (vfio_pci_core_request).
          expect(err.enabledVectors.map((vector) => vector.tryRead())).toEqual(err.enabledVectors.map(() => undefined));
          device.close();
          expect((await ended)[0]).toBe(0);
          expect(existsPath(bound)).toBe(false);
        } finally {
          device.close();
          await ended;
        }
        guarded[Symbol.dispose]();
        expect(linkName(bound)).toBe(driver);
      }, 60_000);
    });
  });
}
