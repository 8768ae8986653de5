import { Eventfd, Iommu, PciDevice } from "@vfio-selftests/core";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt, defaultMode, fixture, requireMode, skip } from "@vfio-selftests/harness";
import { BoundWithParameter } from "../rigs/bound-with-parameter";
import { IntxLine } from "../rigs/intx-line";
import type { SuiteTarget } from "../suite-target";

const NONE = VFIO_IRQ_SET_DATA_NONE;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD;
const MASK = VFIO_IRQ_SET_ACTION_MASK;
const UNMASK = VFIO_IRQ_SET_ACTION_UNMASK;
const TRIGGER = VFIO_IRQ_SET_ACTION_TRIGGER;

/** Long enough to see an interrupt that must not come. */
const QUIET_MS = 50;

/**
 * INTx of devices before PCI 2.3, which have no bit to mask it: vfio-pci masks the line at the interrupt controller. Its
 * parameter `nointxmask` makes it treat every device so that it binds from then on.
 */
export function intxWithoutMaskBitSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_intx_without_mask_bit", target, (address) => {
    requireMode(mode);

    const withLine = (use: (line: IntxLine) => void): void => {
      using _bound = new BoundWithParameter(target, address, "nointxmask");
      using iommu = new Iommu(mode.open());
      using device = PciDevice.open(iommu, address);
      using line = new IntxLine(device);
      use(line);
    };

    it("debugfs_tells_the_parameter_of_the_time_of_binding", () => {
      withLine(() => {
        const shown = readAttribute(systemPaths.sys("kernel", "debug", "vfio", address, "pci", "nointxmask"))?.trim();
        if (shown === undefined) {
          skip({ reason: "debugfs shows no VFIO device", remedy: "mount debugfs; CONFIG_VFIO_DEBUGFS" });
        }
        // The parameter itself is off again (BoundWithParameter).
        expect(shown).toBe("Y");
      });
    });

    it("arrival_masks_the_line_until_it_is_unmasked", () => {
      withLine((line) => {
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
        // The device still asserts the line, and its own bit stays as it was.
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.maskedInDevice).toBe(false);
        for (let round = 0; round < 2; round++) {
          expect(line.set(NONE | UNMASK)).toBe(0);
          expect(line.eventfd.waitSync()).toBe(1n);
        }
        line.source.acknowledge();
        expect(line.set(NONE | UNMASK)).toBe(0);
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("mask_holds_the_interrupt_back", () => {
      withLine((line) => {
        expect([line.set(NONE | MASK), line.set(NONE | MASK)]).toEqual([0, 0]);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.set(NONE | TRIGGER)).toBe(0);
        expect(line.eventfd.tryRead()).toBe(1n);
        // Masked twice, unmasked once.
        expect(line.set(NONE | UNMASK)).toBe(0);
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("disable_bit_holds_the_interrupt_back", () => {
      withLine((line) => {
        line.device.config.interruptDisable = true;
        expect([line.device.config.interruptDisable, line.maskedInDevice]).toEqual([true, false]);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.set(NONE | UNMASK)).toBe(0);
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.device.config.interruptDisable = false;
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("disable_bit_set_before_enabling_holds_the_interrupt_back", () => {
      withLine((line) => {
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        line.device.config.interruptDisable = true;
        expect(line.enable()).toBe(0);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        line.device.config.interruptDisable = false;
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("unmask_eventfd_unmasks", () => {
      withLine((line) => {
        using unmask = new Eventfd("unmask");
        expect(line.set(EVENTFD | UNMASK, { data: Int32Array.of(unmask.fd) })).toBe(0);
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
        unmask.signal();
        expect(line.eventfd.waitSync()).toBe(1n);
        line.source.acknowledge();
        unmask.signal();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
      });
    });

    it("enabled_anew_it_is_unmasked", () => {
      withLine((line) => {
        for (let round = 0; round < 2; round++) {
          line.source.raise();
          expect(line.eventfd.waitSync()).toBe(1n);
          line.source.acknowledge();
          expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
          expect(line.enable()).toBe(0);
        }
      });
    });
  });
}
