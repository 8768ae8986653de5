import { availableParallelism } from "node:os";
import { setImmediate as turnOfEventLoop } from "node:timers/promises";
import { sleepSync } from "@vfio-selftests/core/driver";
import { systemError } from "@vfio-selftests/core/errors";
import { assertNoInterrupt } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { PseudoRandom } from "../../dma/pseudo-random";
import { HostIrqAffinity, onlineCpus } from "./host-irq";
import type { InterruptSource } from "./interrupt-source";
import type { IrqTestOptions } from "./irq-test-options";
import type { Guest, IdleMode, Kvm } from "./kvm";
import { TakenInterrupts } from "./taken-interrupts";

/** GSIs that no chip of the VM uses, up to KVM's last (KVM_IRQCHIP_NUM_PINS, KVM_MAX_IRQ_ROUTES). */
const FIRST_GSI = 24;
const LAST_GSI = 4095;
/** Bits of the iteration's number, as upstream has them. */
const NMI_BIT = 1 << 2;
const EMPTY_ROUTING_BIT = 1 << 3;
/** Milliseconds for a surplus interrupt to show at the end. */
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
}

/**
 * Lets the source interrupt a guest again and again, each time routed to the next vCPU. That vCPU must take the
 * interrupt within two seconds, exactly once, and as it was sent (interrupt or NMI). Throws when it does not, when
 * another vCPU takes one, or when the guest does not end as it should.
 */
export async function deliverInterrupts(
  kvm: Kvm,
  source: InterruptSource,
  options: IrqTestOptions & { readonly seed: number },
): Promise<IrqTestReport> {
  const random = new PseudoRandom(options.seed);
  const gsi = FIRST_GSI + random.below(LAST_GSI - FIRST_GSI + 1);
  const vector = kvm.firstVector + random.below(kvm.lastVector - kvm.firstVector + 1);
  const { vcpus, apic, idle = vcpus < availableParallelism() ? "spin" : "halt" } = options;
  const begin = performance.now();
  await using guest = await kvm.startGuest({ vcpus, vector, apic, idle });
  const started = performance.now();
  guest.vm.attachIrqfd(source.eventfd.fd, gsi);
  await sendAll(guest, source, options, gsi, random);
  guest.vm.detachIrqfd(source.eventfd.fd, gsi);
  // KVM took every count. One that is left did not reach the guest.
  assertNoInterrupt(source.eventfd);
  const delivered = performance.now();
  await guest.stop();
  return {
    gsi,
    vector,
    idle,
    startMs: started - begin,
    deliverMs: delivered - started,
    stopMs: performance.now() - delivered,
  };
}

async function sendAll(
  guest: Guest,
  source: InterruptSource,
  options: IrqTestOptions,
  gsi: number,
  random: PseudoRandom,
): Promise<void> {
  using affinity =
    options.hostAffinity && source.hostIrq !== undefined ? new HostIrqAffinity(source.hostIrq) : undefined;
  const hostCpus = onlineCpus();
  const threadCpus = allowedCpus();
  const taken = new TakenInterrupts(guest);
  for (let i = 0; i < options.irqs; i++) {
    if (i % TURN === TURN - 1) await turnOfEventLoop();
    const vcpu = i % options.vcpus;
    const delivery = options.nmi && (i & NMI_BIT) !== 0 ? "nmi" : "vector";
    if (options.emptyRouting && (i & EMPTY_ROUTING_BIT) !== 0) guest.vm.setMsiRoutes([]);
    guest.vm.setMsiRoutes([{ gsi, message: guest.message(vcpu, delivery) }]);
    affinity?.moveTo(random.oneOf(hostCpus));
    if (options.pinVcpu) guest.vcpus[vcpu]?.pin([random.oneOf(threadCpus)]);
    taken.check();
    source.raise();
    taken.waitForOne(vcpu, delivery, i);
  }
  sleepSync(QUIET_MS);
  taken.check();
}

function allowedCpus(): number[] {
  const cpus = native.getAffinity(0);
  if (typeof cpus === "number") throw systemError(cpus, "sched_getaffinity");
  return cpus;
}
