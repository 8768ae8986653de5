import { Eventfd } from "@vfio-selftests/core";
import { sleepSync } from "@vfio-selftests/core/driver";
import type { Guest } from "../rigs/interrupts/kvm-irq/kvm";
import { requireKvm } from "../rigs/interrupts/kvm-irq/require-kvm";
import { TakenInterrupts } from "../rigs/interrupts/kvm-irq/taken-interrupts";
import type { SuiteTarget } from "../suite-target";

/** Lines that no chip of the VM has (KVM_IRQCHIP_NUM_PINS). */
const [LINE, OTHER] = [24, 25];
const QUIET_MS = 20;
/** Two vCPUs start slowly under emulation. */
const TIMEOUT_MS = 60_000;

/**
 * Where an irqfd's interrupt goes after the routes change (kvm_irq_routing_update). An irqfd that had a route when it was assigned
 * keeps a copy of it; one that had none asks for the route each time, as the irqfds of kvm_irq_test do.
 */
export function kvmRoutesSuite(target: SuiteTarget): void {
  describe("kvm_routes", () => {
    const withGuest = async (use: (guest: Guest, taken: TakenInterrupts) => void): Promise<void> => {
      const kvm = requireKvm(target);
      await using guest = await kvm.startGuest({ vcpus: 2, vector: kvm.firstVector, apic: "x2apic", idle: "halt" });
      use(guest, new TakenInterrupts(guest));
      await guest.stop();
    };
    const routes = (guest: Guest, lines: Readonly<Record<number, number>>): void => {
      guest.vm.setMsiRoutes(
        Object.entries(lines).map(([gsi, vcpu]) => ({ gsi: Number(gsi), message: guest.message(vcpu, "vector") })),
      );
    };
    const expectNothingElse = (taken: TakenInterrupts): void => {
      sleepSync(QUIET_MS);
      expect(() => {
        taken.check();
      }).not.toThrow();
    };

    it(
      "irqfd_follows_each_change",
      () =>
        withGuest((guest, taken) => {
          using eventfd = new Eventfd("irqfd");
          routes(guest, { [LINE]: 0 });
          guest.vm.attachIrqfd(eventfd.fd, LINE);
          for (const [vcpu, delivery] of [
            [0, "vector"],
            [1, "vector"],
            [1, "nmi"],
            [0, "nmi"],
            [0, "vector"],
          ] as const) {
            guest.vm.setMsiRoutes([{ gsi: LINE, message: guest.message(vcpu, delivery) }]);
            eventfd.signal();
            taken.waitForOne(vcpu, delivery, 0);
            expectNothingElse(taken);
          }
        }),
      TIMEOUT_MS,
    );

    it(
      "irqfds_are_told_apart",
      () =>
        withGuest((guest, taken) => {
          using eventfd = new Eventfd("irqfd");
          using other = new Eventfd("other irqfd");
          routes(guest, { [LINE]: 0, [OTHER]: 1 });
          guest.vm.attachIrqfd(eventfd.fd, LINE);
          guest.vm.attachIrqfd(other.fd, OTHER);
          for (const vcpu of [0, 1, 0]) {
            routes(guest, { [LINE]: vcpu, [OTHER]: 1 - vcpu });
            eventfd.signal();
            taken.waitForOne(vcpu, "vector", 0);
            expectNothingElse(taken);
            other.signal();
            taken.waitForOne(1 - vcpu, "vector", 1);
            expectNothingElse(taken);
          }
          guest.vm.detachIrqfd(eventfd.fd, LINE);
          eventfd.signal();
          other.signal();
          taken.waitForOne(1, "vector", 2);
          expectNothingElse(taken);
          expect(eventfd.tryRead()).toBe(1n);
        }),
      TIMEOUT_MS,
    );
  });
}
