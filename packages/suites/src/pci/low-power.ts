import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { PciCapabilityId } from "@vfio-selftests/core/pci";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_SET,
  vfio_device_low_power_entry_with_wakeup,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt, defaultMode, errorWithCode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { BoundWithParameter } from "../rigs/device/bound-with-parameter";
import { openForBlock } from "../rigs/device/open-device";
import { requireMaySleep, runtimeStatus, waitForSuspend } from "../rigs/device/runtime-power";
import { requireIntxSource } from "../rigs/interrupts/intx-line";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const ENTRY = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | VFIO_DEVICE_FEATURE_SET;
const WAKEUP = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | VFIO_DEVICE_FEATURE_SET;
const EXIT = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | VFIO_DEVICE_FEATURE_SET;

const QUIET_MS = 50;
/** Longer than an idle device stays awake. */
const IDLE_MS = 500;
/** No process has this many descriptors open. */
const NO_DESCRIPTOR = 0x7fff_fff0;

/** Low power by VFIO's features: the device sleeps, an access by file wakes it, mapped registers are out of reach. */
export function lowPowerSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_low_power", target, (address) => {
    const device = openForBlock(mode, address);

    const withDevice = (
      use: (opened: PciDevice, feature: (flags: number, payload?: Uint8Array) => unknown) => void,
    ): void => {
      const opened = device();
      requireMaySleep(address);
      const raw = new RawDevice(opened);
      try {
        use(opened, (flags, payload) => raw.feature(flags, payload));
      } finally {
        raw.feature(EXIT);
      }
    };

    const wakeupBy = (fd: number): Uint8Array => {
      const view = vfio_device_low_power_entry_with_wakeup.allocate();
      vfio_device_low_power_entry_with_wakeup.fields.wakeup_eventfd.set(view, fd);
      return view.bytes;
    };

    it("entry_puts_the_device_to_sleep_and_exit_wakes_it", () => {
      withDevice(({ config }, feature) => {
        expect(runtimeStatus(address)).toBe("active");
        // Without the capability the device has no other state (pci_set_low_power_state).
        const asleep = config.findCapability(PciCapabilityId.powerManagement) === undefined ? "D0" : "D3hot";
        expect(feature(ENTRY)).toBe(0);
        waitForSuspend(address);
        expect(readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim()).toBe(asleep);
        expect(feature(EXIT)).toBe(0);
        expect(runtimeStatus(address)).toBe("active");
        expect(readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim()).toBe("D0");
      });
    });

    it("second_entry_is_refused", () => {
      withDevice((_, feature) => {
        using eventfd = new Eventfd("wake-up");
        expect(feature(ENTRY)).toBe(0);
        expect(feature(ENTRY)).toBe("EINVAL");
        expect(feature(WAKEUP, wakeupBy(eventfd.fd))).toBe("EINVAL");
        expect(feature(EXIT)).toBe(0);
        expect(feature(ENTRY)).toBe(0);
      });
    });

    it("exit_without_entry_does_nothing", () => {
      withDevice((opened, feature) => {
        expect(feature(EXIT)).toBe(0);
        expect(feature(EXIT)).toBe(0);
        expect([runtimeStatus(address), opened.config.vendorId]).toEqual(["active", expect.any(Number)]);
        // The kernel's usage count still balances: the device can sleep.
        expect(feature(ENTRY)).toBe(0);
        waitForSuspend(address);
      });
    });

    it("access_by_file_wakes_and_lets_it_sleep_again", () => {
      withDevice((opened, feature) => {
        const { vendorId } = opened.config;
        expect(feature(ENTRY)).toBe(0);
        waitForSuspend(address);
        expect(opened.config.vendorId).toBe(vendorId);
        waitForSuspend(address);
        const registers = new Uint8Array(4);
        opened.vfio.readRegion(0, 0, registers);
        expect(registers).not.toEqual(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
        waitForSuspend(address);
      });
    });

    it("mapping_is_of_no_use_until_exit", () => {
      withDevice((opened, feature) => {
        const bar = opened.bars.find(({ mappable }) => mappable);
        if (bar === undefined) skip({ reason: "no BAR can be mapped", remedy: "use a device with one" });
        const before = bar.read32(0);
        expect(feature(ENTRY)).toBe(0);
        // This holds for a page that was touched before, too, and while the device is awake for a moment.
        expect(() => bar.read32(0)).toThrow(errorWithCode("EFAULT"));
        waitForSuspend(address);
        expect(() => bar.read32(0)).toThrow(errorWithCode("EFAULT"));
        expect(feature(EXIT)).toBe(0);
        expect(bar.read32(0)).toBe(before);
      });
    });

    it("configuration_outlives_the_sleep", () => {
      withDevice((opened, feature) => {
        opened.config.busMaster = true;
        const before = opened.config.bytes(0, 64);
        expect(feature(ENTRY)).toBe(0);
        waitForSuspend(address);
        expect(feature(EXIT)).toBe(0);
        expect(opened.config.bytes(0, 64)).toEqual(before);
        opened.config.busMaster = false;
      });
    });

    describe("with_wakeup", () => {
      it("access_signals_and_ends_low_power", () => {
        withDevice((opened, feature) => {
          using eventfd = new Eventfd("wake-up");
          for (let round = 0; round < 2; round++) {
            expect(feature(WAKEUP, wakeupBy(eventfd.fd))).toBe(0);
            waitForSuspend(address);
            assertNoInterrupt(eventfd);
            expect(opened.config.vendorId).not.toBe(0xffff);
            expect(eventfd.tryRead()).toBe(1n);
            // Low power is over: the device stays awake, and its registers can be reached by their mapping.
            expect(opened.bars.find(({ mappable }) => mappable)?.read32(0)).toEqual(expect.any(Number));
            expect(runtimeStatus(address)).toBe("active");
          }
        });
      });

      it("exit_is_such_an_access", () => {
        withDevice((_, feature) => {
          using eventfd = new Eventfd("wake-up");
          expect(feature(WAKEUP, wakeupBy(eventfd.fd))).toBe(0);
          waitForSuspend(address);
          expect(feature(EXIT)).toBe(0);
          expect(eventfd.tryRead()).toBe(1n);
          expect(runtimeStatus(address)).toBe("active");
          expect(feature(ENTRY)).toBe(0);
          waitForSuspend(address);
        });
      });

      it("bad_eventfds_are_refused", () => {
        withDevice((_, feature) => {
          expect(feature(WAKEUP, wakeupBy(-1))).toBe("EINVAL");
          expect(feature(WAKEUP, wakeupBy(0))).toBe("EINVAL");
          expect(feature(WAKEUP, wakeupBy(NO_DESCRIPTOR))).toBe("EBADF");
          expect(runtimeStatus(address)).toBe("active");
          // None of them began anything.
          expect(feature(ENTRY)).toBe(0);
        });
      });
    });

    describe("intx", () => {
      it("unmasked_before_is_unmasked_after", () => {
        withDevice((opened, feature) => {
          const source = requireIntxSource(opened);
          const { intx } = opened.interrupts;
          intx.enable();
          try {
            for (const masked of [false, true]) {
              if (masked) intx.mask();
              expect(feature(ENTRY)).toBe(0);
              waitForSuspend(address);
              expect(feature(EXIT)).toBe(0);
              source.prepare();
              source.raise();
              if (masked) {
                assertNoInterrupt(intx.vector(0), { withinMs: QUIET_MS });
                intx.unmask();
              }
              expect(intx.vector(0).waitSync()).toBe(1n);
              source.acknowledge();
              intx.unmask();
            }
          } finally {
            source.acknowledge();
            intx.disable();
          }
        });
      });
    });
  });

  fixture("vfio_pci_idle", target, (address) => {
    requireMode(mode);

    it("keeps_a_device_awake_that_was_bound_so", () => {
      using _bound = new BoundWithParameter(target, address, "disable_idle_d3");
      const states = () => [
        readAttribute(systemPaths.pciDevice(address, "power", "runtime_status"))?.trim(),
        readAttribute(systemPaths.pciDevice(address, "power_state"))?.trim(),
      ];
      for (let round = 0; round < 2; round++) {
        {
          using iommu = new Iommu(mode.open());
          using device = PciDevice.open(iommu, address);
          const raw = new RawDevice(device);
          expect(states()).toEqual(["active", "D0"]);
          // It sleeps when its user says so (vfio_pci_core_pm_entry).
          expect(raw.feature(ENTRY)).toBe(0);
          waitForSuspend(address);
          expect(raw.feature(EXIT)).toBe(0);
        }
        const end = performance.now() + IDLE_MS;
        do expect(states()).toEqual(["active", "D0"]);
        while (performance.now() < end);
      }
    });
  });
}
