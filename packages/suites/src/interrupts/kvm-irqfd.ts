import { Eventfd } from "@vfio-selftests/core";
import { assertNoInterrupt } from "@vfio-selftests/harness";
import { FirstPic } from "../rigs/kvm-irq/first-pic";
import type { BareVm } from "../rigs/kvm-irq/kvm";
import { withBareVm } from "../rigs/kvm-irq/with-bare-vm";
import { outcome } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

/** linux/kvm.h, on a VM. */
const KVM_IRQFD = 0x4020_ae76;
const IRQFD = { deassign: 1, resample: 2, unknown: 4 } as const;

/** A line of the first PIC, which the kernel routes by itself. */
const LINE = 5;
const NO_DESCRIPTOR = 0x7fff_fff0;
const QUIET_MS = 30;

/** KVM's interrupts by eventfd (virt/kvm/eventfd.c), beyond kvm_irq_test's plain deliveries. */
export function kvmIrqfdSuite(target: SuiteTarget): void {
  const withVm = (use: (vm: BareVm) => void): void => withBareVm(target, use);

  describe("kvm_irqfd", () => {
    const irqfd = (vm: BareVm, fd: number, { flags = 0, gsi = LINE, resample = -1 } = {}) => {
      const argument = Int32Array.of(fd, gsi, flags, resample, 0, 0, 0, 0);
      return outcome(vm.request(KVM_IRQFD, new Uint8Array(argument.buffer)));
    };

    it("signal_raises_the_line", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        const pic = new FirstPic(vm);
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        expect(pic.requested).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        // KVM took the count, and nobody else gets it.
        expect(eventfd.tryRead()).toBeUndefined();
      });
    });

    it("signalled_before_counts", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        eventfd.signal();
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        new FirstPic(vm).waitForRequest(LINE);
      });
    });

    it("deassigned_raises_no_more", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        const pic = new FirstPic(vm);
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        // A deassignment of another line leaves this one.
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign, gsi: LINE + 1 })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        pic.clear();
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        eventfd.signal();
        assertQuiet(pic);
        expect(eventfd.tryRead()).toBe(1n);
        // The eventfd is free for another line.
        expect(irqfd(vm, eventfd.fd, { gsi: LINE + 1 })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE + 1);
      });
    });

    it("one_line_for_one_eventfd", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        expect(irqfd(vm, eventfd.fd)).toBe(0);
        expect(irqfd(vm, eventfd.fd)).toBe("EBUSY");
        expect(irqfd(vm, eventfd.fd, { gsi: LINE + 1 })).toBe("EBUSY");
        const pic = new FirstPic(vm);
        eventfd.signal();
        pic.waitForRequest(LINE);
        expect(pic.requested).toBe(1 << LINE);
      });
    });

    it("closed_eventfd_makes_room", () => {
      withVm((vm) => {
        const first = new Eventfd("first");
        expect(irqfd(vm, first.fd)).toBe(0);
        first.close();
        using second = new Eventfd("second");
        expect(irqfd(vm, second.fd)).toBe(0);
        second.signal();
        new FirstPic(vm).waitForRequest(LINE);
      });
    });

    it("ends_with_the_vm", () => {
      using eventfd = new Eventfd("irqfd");
      withVm((vm) => {
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
      eventfd.signal();
      expect(eventfd.tryRead()).toBe(1n);
      withVm((vm) => {
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
    });

    it("malformed_is_refused", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.unknown })).toBe("EINVAL");
        expect(irqfd(vm, NO_DESCRIPTOR)).toBe("EBADF");
        expect(irqfd(vm, 0)).toBe("EINVAL");
        expect(irqfd(vm, NO_DESCRIPTOR, { flags: IRQFD.deassign })).toBe("EBADF");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: NO_DESCRIPTOR })).toBe("EBADF");
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: 0 })).toBe("EINVAL");
        // None of them left the eventfd taken.
        expect(irqfd(vm, eventfd.fd)).toBe(0);
      });
    });

    it("resampled_line_stays_until_the_guest_ends_it", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        using resampled = new Eventfd("resampled");
        using other = new Eventfd("another irqfd");
        using otherResampled = new Eventfd("resampled, too");
        const pic = new FirstPic(vm);
        pic.makeLevel(LINE);
        const flags = IRQFD.resample;
        expect(irqfd(vm, eventfd.fd, { flags, resample: resampled.fd })).toBe(0);
        expect(irqfd(vm, other.fd, { flags, resample: otherResampled.fd })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        assertNoInterrupt(resampled, { withinMs: QUIET_MS });
        expect(pic.requested).toBe(1 << LINE);
        // As if the CPU had taken it; the guest then ends it: mov al, 0x20; out 0x20, al.
        pic.serve(LINE);
        vm.execute([0xb0, 0x20, 0xe6, 0x20]);
        // irqfd_resampler_ack lowers the line and tells everybody on it.
        expect([resampled.tryRead(), otherResampled.tryRead()]).toEqual([1n, 1n]);
        expect(pic.requested).toBe(0);
        // After one is taken away, KVM tells the other alone.
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        other.signal();
        pic.waitForRequest(LINE);
        pic.serve(LINE);
        vm.execute([0xb0, 0x20, 0xe6, 0x20]);
        expect([resampled.tryRead(), otherResampled.tryRead()]).toEqual([undefined, 1n]);
      });
    });

    it("resampled_lines_are_told_apart", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        using resampled = new Eventfd("resampled");
        using other = new Eventfd("of another line");
        using otherResampled = new Eventfd("another line's");
        const pic = new FirstPic(vm);
        pic.makeLevel(LINE);
        const flags = IRQFD.resample;
        expect(irqfd(vm, eventfd.fd, { flags, resample: resampled.fd })).toBe(0);
        expect(irqfd(vm, other.fd, { flags, gsi: LINE + 1, resample: otherResampled.fd })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        expect(pic.requested).toBe(1 << LINE);
        pic.serve(LINE);
        vm.execute([0xb0, 0x20, 0xe6, 0x20]);
        expect([resampled.tryRead(), otherResampled.tryRead()]).toEqual([1n, undefined]);
        // The other one still has its line, whichever is taken away (kvm_irqfd_assign finds a line's own resampler).
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        other.signal();
        pic.waitForRequest(LINE + 1);
        expect(pic.requested).toBe(1 << (LINE + 1));
      });
    });

    it("resampled_line_falls_when_its_last_is_taken_away", () => {
      withVm((vm) => {
        using eventfd = new Eventfd("irqfd");
        using resampled = new Eventfd("resampled");
        const pic = new FirstPic(vm);
        pic.makeLevel(LINE);
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.resample, resample: resampled.fd })).toBe(0);
        eventfd.signal();
        pic.waitForRequest(LINE);
        expect(irqfd(vm, eventfd.fd, { flags: IRQFD.deassign })).toBe(0);
        expect(pic.requested).toBe(0);
      });
    });
  });
}

function assertQuiet(pic: FirstPic): void {
  const end = performance.now() + QUIET_MS;
  do expect(pic.requested).toBe(0);
  while (performance.now() < end);
}
