import { Eventfd } from "@vfio-selftests/core";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { assertNoInterrupt, defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { openForBlock } from "../rigs/device/open-device";
import { IntxLine } from "../rigs/interrupts/intx-line";
import { vfioInterrupts } from "../rigs/interrupts/kernel-interrupts";
import type { SuiteTarget } from "../suite-target";

const NONE = VFIO_IRQ_SET_DATA_NONE;
const BOOL = VFIO_IRQ_SET_DATA_BOOL;
const EVENTFD = VFIO_IRQ_SET_DATA_EVENTFD;
const MASK = VFIO_IRQ_SET_ACTION_MASK;
const UNMASK = VFIO_IRQ_SET_ACTION_UNMASK;
const TRIGGER = VFIO_IRQ_SET_ACTION_TRIGGER;

/** Long enough to see an interrupt that must not come. */
const QUIET_MS = 50;
const COMMAND = 4;
const INTX_DISABLE = 1 << 10;

/** INTx that the device asserts and releases: each way to mask and unmask the line, and software triggers. */
export function intxLineSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_intx_line", target, (address) => {
    const device = openForBlock(mode, address);

    /** Runs `use` with INTx enabled on one eventfd and the device ready to raise it. Puts both back afterwards. */
    const withLine = (use: (line: IntxLine) => void): void => {
      using line = new IntxLine(device());
      use(line);
    };

    it("handler_is_there_while_enabled", () => {
      expect(vfioInterrupts(address)).toEqual([]);
      withLine((line) => {
        expect(vfioInterrupts(address).map(({ name }) => name)).toEqual(["vfio-intx"]);
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        expect(vfioInterrupts(address)).toEqual([]);
      });
    });

    it("arrival_masks_the_line_in_the_device", () => {
      withLine((line) => {
        expect(line.maskedInDevice).toBe(false);
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
        expect(line.maskedInDevice).toBe(true);
        line.source.acknowledge();
        expect(line.set(NONE | UNMASK)).toBe(0);
        expect(line.maskedInDevice).toBe(false);
      });
    });

    for (const [name, flags, data] of [
      ["none", NONE, undefined],
      ["bool", BOOL, Uint8Array.of(1)],
    ] as const) {
      it(`mask_by_${name}_holds_the_interrupt_back`, () => {
        withLine((line) => {
          expect(line.set(flags | MASK, { data })).toBe(0);
          expect(line.maskedInDevice).toBe(true);
          line.source.raise();
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
          expect(line.set(flags | UNMASK, { data })).toBe(0);
          expect(line.eventfd.waitSync()).toBe(1n);
        });
      });

      it(`trigger_by_${name}_reaches_the_eventfd`, () => {
        withLine((line) => {
          expect(line.set(flags | TRIGGER, { data })).toBe(0);
          expect(line.eventfd.tryRead()).toBe(1n);
        });
      });

      it(`unmask_by_${name}_brings_an_asserted_line_again`, () => {
        withLine((line) => {
          line.source.raise();
          expect(line.eventfd.waitSync()).toBe(1n);
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
          for (let round = 0; round < 3; round++) {
            expect(line.set(flags | UNMASK, { data })).toBe(0);
            expect(line.eventfd.tryRead()).toBe(1n);
            // The kernel sent it again at once, and the line stays masked.
            expect(line.maskedInDevice).toBe(true);
          }
          line.source.acknowledge();
          expect(line.set(flags | UNMASK, { data })).toBe(0);
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        });
      });
    }

    it("bool_false_does_nothing", () => {
      withLine((line) => {
        const data = Uint8Array.of(0);
        expect(line.set(BOOL | MASK, { data })).toBe(0);
        expect(line.maskedInDevice).toBe(false);
        expect(line.set(BOOL | TRIGGER, { data })).toBe(0);
        expect(line.eventfd.tryRead()).toBeUndefined();
        expect(line.set(NONE | MASK)).toBe(0);
        expect(line.set(BOOL | UNMASK, { data })).toBe(0);
        expect(line.maskedInDevice).toBe(true);
      });
    });

    it("replaced_eventfd_hears_nothing_more", () => {
      withLine((line) => {
        using other = new Eventfd("the other");
        expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(other.fd) })).toBe(0);
        line.source.raise();
        expect(other.waitSync()).toBe(1n);
        assertNoInterrupt(line.eventfd);
      });
    });

    it("enabled_without_an_eventfd", () => {
      withLine((line) => {
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(-1) })).toBe(0);
        expect(vfioInterrupts(address).map(({ name }) => name)).toEqual(["vfio-intx"]);
        // The kernel takes the interrupt and signals nobody.
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.maskedInDevice).toBe(true);
        expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(line.eventfd.fd) })).toBe(0);
        expect(line.set(NONE | UNMASK)).toBe(0);
        expect(line.eventfd.tryRead()).toBe(1n);
      });
    });

    it("taken_eventfd_hears_nothing_more", () => {
      withLine((line) => {
        expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(-1) })).toBe(0);
        expect(line.set(NONE | TRIGGER)).toBe(0);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
      });
    });

    it("raise_after_disable_reaches_nobody", () => {
      withLine((line) => {
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        line.source.raise();
        assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
        expect(line.set(NONE | TRIGGER)).toBe("EINVAL");
      });
    });

    it("follows_a_message_signalled_kind", () => {
      withLine((line) => {
        const before = [device().interrupts.msix, device().interrupts.msi].find(({ count }) => count > 0);
        if (before === undefined)
          skip({ reason: "the device has neither MSI nor MSI-X", remedy: "use another device" });
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        before.enable(0, 1);
        before.disable();
        expect(line.enable()).toBe(0);
        expect(line.maskedInDevice).toBe(false);
        line.source.prepare();
        line.source.raise();
        expect(line.eventfd.waitSync()).toBe(1n);
      });
    });

    it("message_signalled_kind_can_follow", () => {
      withLine((line) => {
        expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
        const next = [device().interrupts.msix, device().interrupts.msi].find(({ count }) => count > 0);
        if (next === undefined) skip({ reason: "the device has neither MSI nor MSI-X", remedy: "use another device" });
        next.enable(0, 1);
        next.trigger(0);
        expect(next.vector(0).tryRead()).toBe(1n);
        next.disable();
      });
    });

    describe("disable_bit", () => {
      it("masks_and_unmasks_like_the_request", () => {
        withLine((line) => {
          const { config } = device();
          config.interruptDisable = true;
          expect([config.interruptDisable, line.maskedInDevice]).toEqual([true, true]);
          // Where the line is asserted already, pci_check_and_unmask_intx would leave it masked in any case.
          expect(line.set(NONE | UNMASK)).toBe(0);
          expect(line.maskedInDevice).toBe(true);
          line.source.raise();
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
          // vfio_send_intx_eventfd and vfio_pci_intx_unmask_handler look at the user's bit.
          expect(line.set(NONE | TRIGGER)).toBe(0);
          expect(line.set(NONE | UNMASK)).toBe(0);
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
          config.interruptDisable = false;
          expect(line.eventfd.waitSync()).toBe(1n);
          expect(config.interruptDisable).toBe(false);
        });
      });

      it("is_the_users_own", () => {
        withLine((line) => {
          // The kernel's masking does not show in the bit that the user sees.
          expect(line.set(NONE | MASK)).toBe(0);
          expect([device().config.interruptDisable, line.maskedInDevice]).toEqual([false, true]);
          expect(line.set(NONE | UNMASK)).toBe(0);
        });
      });

      it("set_before_enabling_holds_the_interrupt_back", () => {
        withLine((line) => {
          const { config } = device();
          expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
          config.interruptDisable = true;
          expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(line.eventfd.fd) })).toBe(0);
          // Masked from the start, not only by the first interrupt (vfio_intx_enable).
          expect(line.maskedInDevice).toBe(true);
          const before = line.takenByKernel;
          line.source.raise();
          assertNoInterrupt(line.eventfd, { withinMs: QUIET_MS });
          expect([line.maskedInDevice, line.takenByKernel]).toEqual([true, before]);
          config.interruptDisable = false;
          expect(line.eventfd.waitSync()).toBe(1n);
        });
      });

      it("written_as_a_byte", () => {
        withLine((line) => {
          const { config } = device();
          config.write8(COMMAND + 1, INTX_DISABLE >> 8);
          expect([config.interruptDisable, line.maskedInDevice]).toEqual([true, true]);
          config.write8(COMMAND + 1, 0);
          expect([config.interruptDisable, line.maskedInDevice]).toEqual([false, false]);
        });
      });
    });

    describe("unmask_eventfd", () => {
      const unmaskBy = (line: IntxLine, fd: number) => line.set(EVENTFD | UNMASK, { data: Int32Array.of(fd) });

      it("unmasks_when_signalled", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          for (let round = 0; round < 3; round++) {
            line.source.raise();
            expect(line.eventfd.waitSync()).toBe(1n);
            assertNoInterrupt(line.eventfd, { withinMs: 5 });
            // The device still asserts the line: the signal brings the interrupt again, through a work queue.
            unmask.signal();
            expect(line.eventfd.waitSync()).toBe(1n);
            line.source.acknowledge();
            unmask.signal();
            expect(line.maskedInDevice).toBe(false);
          }
          // virqfd_wakeup took each count.
          expect(unmask.tryRead()).toBeUndefined();
        });
      });

      it("one_at_a_time", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          using second = new Eventfd("second");
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          expect(unmaskBy(line, second.fd)).toBe("EBUSY");
          expect(line.set(NONE | MASK)).toBe(0);
          second.signal();
          expect(line.maskedInDevice).toBe(true);
          unmask.signal();
          expect(line.maskedInDevice).toBe(false);
        });
      });

      it("taken_away_unmasks_no_more", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          expect(unmaskBy(line, -1)).toBe(0);
          expect(line.set(NONE | MASK)).toBe(0);
          unmask.signal();
          expect(line.maskedInDevice).toBe(true);
          // Nobody took the count, and another eventfd can follow.
          expect(unmask.tryRead()).toBe(1n);
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          unmask.signal();
          expect(line.maskedInDevice).toBe(false);
        });
      });

      it("signalled_before_counts", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          expect(line.set(NONE | MASK)).toBe(0);
          unmask.signal();
          // vfio_virqfd_enable looks at what is pending.
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          expect(line.maskedInDevice).toBe(false);
        });
      });

      it("signalled_before_brings_an_asserted_line_again", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          line.source.raise();
          expect(line.eventfd.waitSync()).toBe(1n);
          unmask.signal();
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          // The device still asserts the line: the kernel sends the interrupt again, by a worker.
          expect(line.eventfd.waitSync()).toBe(1n);
          expect(line.maskedInDevice).toBe(true);
        });
      });

      it("closed_makes_room_for_another", () => {
        withLine((line) => {
          const first = new Eventfd("first");
          expect(unmaskBy(line, first.fd)).toBe(0);
          first.close();
          using second = new Eventfd("second");
          expect(unmaskBy(line, second.fd)).toBe(0);
          expect(line.set(NONE | MASK)).toBe(0);
          second.signal();
          expect(line.maskedInDevice).toBe(false);
        });
      });

      it("ends_with_disable", () => {
        withLine((line) => {
          using unmask = new Eventfd("unmask");
          expect(unmaskBy(line, unmask.fd)).toBe(0);
          expect(line.set(NONE | TRIGGER, { count: 0 })).toBe(0);
          unmask.signal();
          expect(unmask.tryRead()).toBe(1n);
          expect(line.set(EVENTFD | TRIGGER, { data: Int32Array.of(line.eventfd.fd) })).toBe(0);
          expect(unmaskBy(line, unmask.fd)).toBe(0);
        });
      });
    });
  });
}
