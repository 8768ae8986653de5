import { Eventfd } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { FirstPic } from "../rigs/interrupts/kvm-irq/first-pic";
import type { BareVm } from "../rigs/interrupts/kvm-irq/kvm";
import type { Prepare } from "./operation";

/** linux/kvm.h, on a VM. */
const KVM_IRQFD = 0x4020_ae76;
const IRQFD = { deassign: 1, resample: 2 } as const;
/** A line of the first PIC, which the kernel routes by itself. */
const LINE = 5;

/** KVM takes an eventfd as an interrupt (virt/kvm/eventfd.c, kvm_irqfd_assign), without and with another for its end. */
export const KVM_OPERATIONS = [
  { name: "assigning_an_irqfd", prepareOn: (vm: BareVm) => assigning(vm, 0) },
  { name: "assigning_a_resampling_irqfd", prepareOn: (vm: BareVm) => assigning(vm, IRQFD.resample) },
] as const;

function assigning(vm: BareVm, flags: number): Prepare {
  return (_mode, _address, calls) => {
    const eventfd = new Eventfd("irqfd");
    const resampled = new Eventfd("resampled");
    const pic = new FirstPic(vm);
    const ask = (flag: number): number =>
      vm.request(KVM_IRQFD, new Uint8Array(Int32Array.of(eventfd.fd, LINE, flag, resampled.fd, 0, 0, 0, 0).buffer));
    return {
      act: () => {
        const result = calls.around("KVM_IRQFD", () => ask(flags));
        if (result < 0) throw systemError(result, "KVM_IRQFD");
        return { [Symbol.dispose]: () => expect(ask(IRQFD.deassign)).toBe(0) };
      },
      verify: () => {
        eventfd.signal();
        pic.waitForRequest(LINE);
        pic.clear();
      },
      [Symbol.dispose]: () => {
        eventfd.close();
        resampled.close();
      },
    };
  };
}
