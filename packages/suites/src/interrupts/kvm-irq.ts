import { randomInt } from "node:crypto";
import { defaultMode, fixture, notChecked, note, requireMode, skip, targetOptions } from "@vfio-selftests/harness";
import { deliverInterrupts } from "../rigs/interrupts/kvm-irq/deliver-interrupts";
import { hostIrqCounts, onlineCpus } from "../rigs/interrupts/kvm-irq/host-irq";
import { deviceSource, eventfdSource, type InterruptSource } from "../rigs/interrupts/kvm-irq/interrupt-source";
import { DEFAULT_IRQ_TEST, type IrqTestOptions } from "../rigs/interrupts/kvm-irq/irq-test-options";
import type { Kvm } from "../rigs/interrupts/kvm-irq/kvm";
import { requireKvm } from "../rigs/interrupts/kvm-irq/require-kvm";
import type { SuiteTarget } from "../suite-target";

const FIXTURE = "kvm_irq_test";
/** Milliseconds for the device, for each vCPU's thread to start (slow under emulation), and for each interrupt. */
const BASE_TIMEOUT_MS = 60_000;
const TIMEOUT_PER_VCPU_MS = 2000;
const TIMEOUT_PER_IRQ_MS = 20;

interface Variant {
  readonly name: string;
  readonly options: Partial<IrqTestOptions>;
}

/** Iterations. Each option that depends on the iteration's number takes effect many times, on each of three vCPUs. */
const FEW = 256;

/** The default, each of upstream's options alone, then together. */
const VARIANTS: readonly Variant[] = [
  { name: "irqs", options: {} },
  { name: "nmis", options: { irqs: FEW, nmi: true } },
  { name: "empty_routing", options: { irqs: FEW, emptyRouting: true } },
  { name: "moving_vcpu", options: { irqs: FEW, pinVcpu: true } },
  { name: "moving_host_irq", options: { irqs: FEW, hostAffinity: true } },
  { name: "several_vcpus", options: { irqs: FEW, vcpus: 3 } },
  { name: "xapic", options: { irqs: FEW, apic: "xapic" } },
  { name: "halted_vcpu", options: { irqs: FEW, idle: "halt" } },
  {
    name: "everything",
    options: { vcpus: 3, nmi: true, emptyRouting: true, pinVcpu: true, hostAffinity: true },
  },
  {
    name: "everything_xapic",
    options: { vcpus: 3, nmi: true, emptyRouting: true, pinVcpu: true, hostAffinity: true, apic: "xapic" },
  },
];

/**
 * tools/testing/selftests/kvm/irq_test.c: interrupts reach exactly the vCPU of a KVM guest that they are routed to, from
 * an eventfd and from a device through VFIO. A target with options of its own (`kvmIrq`) gets one variant with those.
 */
export function kvmIrqSuite(target: SuiteTarget): void {
  const variants =
    target.kvmIrq === undefined ? VARIANTS : [{ name: "as_asked", options: target.kvmIrq } satisfies Variant];

  describe(FIXTURE, () => {
    describe("eventfd", () => {
      const kvm = kvmOfBlock(target);
      // An eventfd is no interrupt of the host. Where the user asked to move one, the test skips with that reason.
      const own = variants.filter(({ options }) => target.kvmIrq !== undefined || options.hostAffinity !== true);
      for (const variant of own) defineTest(variant, kvm, eventfdSource);
    });
  });

  fixture(FIXTURE, target, (address) => {
    const mode = defaultMode(target);
    for (const each of target.modes) {
      describe(each.name, () => {
        const kvm = kvmOfBlock(target);
        requireMode(each);
        // The way from host to guest does not depend on the mode. One test per mode shows that interrupts arrive.
        for (const variant of each === mode ? variants : variants.slice(0, 1)) {
          defineTest(variant, kvm, () => deviceSource(target, each, address));
        }
      });
    }
  });
}

/** Skips the tests of the enclosing block where KVM cannot be used. Returns a function that gives KVM to the others. */
function kvmOfBlock(target: SuiteTarget): () => Kvm {
  beforeEach(() => void requireKvm(target));
  return () => requireKvm(target);
}

function defineTest({ name, options: changes }: Variant, kvm: () => Kvm, open: () => InterruptSource): void {
  const options = { ...DEFAULT_IRQ_TEST, seed: targetOptions().seed ?? randomInt(2 ** 32), ...changes };
  it(
    name,
    async () => {
      using source = open();
      if (options.hostAffinity && source.hostIrq === undefined) {
        skip({ reason: "-a moves a host interrupt, and an eventfd has none", remedy: "see the test with a device" });
      }
      note(`seed ${options.seed}`);
      const before = source.hostIrq === undefined ? [] : hostIrqCounts(source.hostIrq);
      const report = await deliverInterrupts(kvm(), source, options);
      note(describeReport(options, report));
      if (source.hostIrq !== undefined) note(describeHostIrq(source.hostIrq, before));
      if (options.hostAffinity && onlineCpus().length === 1) {
        notChecked("moving the host interrupt", "the machine has one CPU");
      }
    },
    BASE_TIMEOUT_MS + options.vcpus * TIMEOUT_PER_VCPU_MS + options.irqs * TIMEOUT_PER_IRQ_MS,
  );
}

function describeReport(
  { irqs, vcpus, apic }: IrqTestOptions,
  { gsi, vector, idle, startMs, deliverMs, stopMs }: Awaited<ReturnType<typeof deliverInterrupts>>,
): string {
  const times = `${irqs} in ${deliverMs.toFixed(0)} ms; start ${startMs.toFixed(0)} ms, stop ${stopMs.toFixed(0)} ms`;
  return `${vcpus} vCPU(s), ${apic}, idle ${idle}, GSI ${gsi}, vector ${vector}: ${times}`;
}

/** How often each CPU took the host interrupt. With posted interrupts the device reaches the guest past the CPUs. */
function describeHostIrq(irq: number, before: readonly number[]): string {
  const counts = hostIrqCounts(irq).map((count, cpu) => `CPU ${cpu} ${count - (before[cpu] ?? 0)} times`);
  return `host interrupt ${irq}: ${counts.join(", ")}`;
}
