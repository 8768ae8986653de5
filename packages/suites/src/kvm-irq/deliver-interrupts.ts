import { native } from "@vfio-selftests/native";
import { VfioError, pollUntil, sleepSync, systemError } from "@vfio-selftests/core";
import { FIRST_VECTOR, InterruptGuest, LAST_VECTOR, type IdleMode } from "@vfio-selftests/kvm";
import { availableParallelism } from "node:os";
import { setImmediate as turnOfEventLoop } from "node:timers/promises";
import { PseudoRandom } from "../pseudo-random";
import { HostIrqAffinity, onlineCpus } from "./host-irq";
import type { InterruptSource } from "./interrupt-source";
import type { IrqTestOptions } from "./irq-test-options";

/** GSIs that no chip of the VM uses, up to KVM's last (KVM_IRQCHIP_NUM_PINS, KVM_MAX_IRQ_ROUTES). */
const FIRST_GSI = 24;
const LAST_GSI = 4095;
/** Bits of the iteration's number, as upstream has them. */
const NMI_BIT = 1 << 2;
const EMPTY_ROUTING_BIT = 1 << 3;
/** Milliseconds an interrupt may take. */
const DELIVERY_TIMEOUT_MS = 2000;
/** The longest pause between two looks at the guest's counter: a busy thread could keep the vCPU off its CPU. */
const LONGEST_PAUSE_MS = 0.2;
/** Milliseconds for an interrupt too many to show up at the end. */
const QUIET_MS = 20;
/** Iterations between two turns of the event loop. */
const TURN = 128;

/** What a run did, and how long its parts took in milliseconds. */
export interface IrqTestReport {
  readonly gsi: number;
  readonly vector: number;
  readonly idle: IdleMode;
  readonly startMs: number;
  readonly deliverMs: number;
  readonly stopMs: number;
  /** CPUs that the host's interrupt was moved between; 0 when it was not. */
  readonly hostCpus: number;
}

/**
 * Lets the source interrupt a guest again and again, each time routed to the next vCPU. Throws when an interrupt is not
 * taken in two seconds by the vCPU it was routed to, as what it was sent (interrupt or NMI), exactly once, or when another
 * vCPU takes one, or when the guest does not end as it should.
 */
export async function deliverInterrupts(
  source: InterruptSource,
  options: IrqTestOptions & { readonly seed: number },
): Promise<IrqTestReport> {
  const random = new PseudoRandom(options.seed);
  const gsi = FIRST_GSI + random.below(LAST_GSI - FIRST_GSI + 1);
  const vector = FIRST_VECTOR + random.below(LAST_VECTOR - FIRST_VECTOR + 1);
  const cpus = allowedCpus();
  const idle = options.idle ?? (options.vcpus < availableParallelism() ? "spin" : "halt");
  const begin = performance.now();
  await using guest = await InterruptGuest.start({ vcpus: options.vcpus, vector, apic: options.apic, idle });
  const started = performance.now();

  using affinity =
    options.hostAffinity && source.hostIrq !== undefined ? new HostIrqAffinity(source.hostIrq) : undefined;
  const hostCpus = affinity === undefined ? [] : onlineCpus();
  const expected = Array.from({ length: options.vcpus }, () => ({ irqs: 0, nmis: 0 }));
  guest.vm.attachIrqfd(source.eventfd.fd, gsi);
  try {
    for (let i = 0; i < options.irqs; i++) {
      if (i % TURN === TURN - 1) await turnOfEventLoop();
      const vcpu = i % options.vcpus;
      const nmi = options.nmi && (i & NMI_BIT) !== 0;
      if (options.emptyRouting && (i & EMPTY_ROUTING_BIT) !== 0) guest.vm.setMsiRoutes([]);
      guest.vm.setMsiRoutes([{ gsi, message: guest.message(vcpu, nmi ? "nmi" : "vector") }]);
      affinity?.moveTo(pick(random, hostCpus));
      if (options.pinVcpu) guest.vcpus[vcpu]?.pin([pick(random, cpus)]);
      expectCounts(guest, expected, i);
      source.raise();
      const before = guest.taken(vcpu);
      void before;
      const counts = expected[vcpu];
      if (counts === undefined) throw new RangeError(`no vCPU ${vcpu}`);
      if (nmi) counts.nmis++;
      else counts.irqs++;
      const total = counts.irqs + counts.nmis;
      pollUntil(() => guest.taken(vcpu) >= total, {
        timeoutMs: DELIVERY_TIMEOUT_MS,
        maxPauseMs: LONGEST_PAUSE_MS,
        what: `interrupt ${i} (${nmi ? "NMI" : `vector ${vector}`})`,
        subject: `vCPU ${vcpu}`,
        state: () => describeCounts(guest),
      });
    }
    sleepSync(QUIET_MS);
    expectCounts(guest, expected, options.irqs);
  } finally {
    guest.vm.detachIrqfd(source.eventfd.fd, gsi);
  }
  const delivered = performance.now();
  await guest.stop();
  return {
    gsi,
    vector,
    idle,
    startMs: started - begin,
    deliverMs: delivered - started,
    stopMs: performance.now() - delivered,
    hostCpus: hostCpus.length,
  };
}
