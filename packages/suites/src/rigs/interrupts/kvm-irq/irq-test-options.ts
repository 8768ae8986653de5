import { argumentError } from "@vfio-selftests/core/errors";
import type { ApicMode, IdleMode } from "./kvm";

/** One run of the KVM interrupt test; docs/kvm-interrupts.md maps them to upstream's options. */
export interface IrqTestOptions {
  /** How many interrupts, one after the other. */
  readonly irqs: number;
  /** How many vCPUs the guest has. */
  readonly vcpus: number;
  /** How the guest programs its interrupt controller. */
  readonly apic: ApicMode;
  /** What the guest does between interrupts. Default: spin if every vCPU can have a CPU of its own, else halt. */
  readonly idle?: IdleMode;
  /** Iterations with bit 2 set send an NMI. */
  readonly nmi: boolean;
  /** Iterations with bit 3 set start with an empty routing table. */
  readonly emptyRouting: boolean;
  /** Moves the target vCPU's thread to a random CPU before each interrupt. */
  readonly pinVcpu: boolean;
  /** Moves the host's interrupt to a random CPU before each interrupt; devices only. */
  readonly hostAffinity: boolean;
  /** Repeats a run's random choices. Default: a new seed each time, which the test's notes name. */
  readonly seed?: number;
}

/** What the C program does without options. */
export const DEFAULT_IRQ_TEST: IrqTestOptions = {
  irqs: 1000,
  vcpus: 1,
  apic: "x2apic",
  nmi: false,
  emptyRouting: false,
  pinVcpu: false,
  hostAffinity: false,
};

const MOST_IRQS = 2 ** 31 - 1;
const MOST_VCPUS = 512;

type Apply = (options: IrqTestOptions, value: number) => IrqTestOptions;

interface OptionRule {
  /** The range of the option's value. Absent: the option takes no value. */
  readonly range?: readonly [first: number, last: number];
  readonly apply: Apply;
}

/** Upstream's letters (tools/testing/selftests/kvm/irq_test.c), and words for what upstream lacks. */
const RULES: Readonly<Record<string, OptionRule>> = {
  "-a": { apply: (options) => ({ ...options, hostAffinity: true }) },
  "-e": { apply: (options) => ({ ...options, emptyRouting: true }) },
  "-i": { range: [1, MOST_IRQS], apply: (options, irqs) => ({ ...options, irqs }) },
  "-m": { apply: (options) => ({ ...options, pinVcpu: true }) },
  "-n": { apply: (options) => ({ ...options, nmi: true }) },
  "-v": { range: [1, MOST_VCPUS], apply: (options, vcpus) => ({ ...options, vcpus }) },
  "-x": { apply: (options) => ({ ...options, apic: "xapic" }) },
  "--halt": { apply: (options) => ({ ...options, idle: "halt" }) },
  "--spin": { apply: (options) => ({ ...options, idle: "spin" }) },
  "--seed": { range: [0, 2 ** 32 - 1], apply: (options, seed) => ({ ...options, seed }) },
};

/** Options of upstream's program that belong to the run here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "-d": "the run's -d or VFIO_SELFTESTS_BDF",
  "-t": "the run's --mode or VFIO_SELFTESTS_MODE",
};

/** Reads options as upstream's program takes them: `-a -e -i 5000 -v 4`. Throws ERR_INVALID_ARGUMENT. */
export function parseIrqTestOptions(text: string): IrqTestOptions {
  const words = text.split(/\s+/).filter((word) => word !== "");
  let options = DEFAULT_IRQ_TEST;
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const rule = RULES[word];
    if (rule === undefined) throw badOption(word, ELSEWHERE[word] ?? Object.keys(RULES).join(" "));
    if (rule.range === undefined) {
      options = rule.apply(options, 0);
      continue;
    }
    const [first, last] = rule.range;
    const value = words.shift() ?? "";
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (!(number >= first && number <= last)) throw badOption(`${word} ${value}`, `${word} ${first} to ${last}`);
    options = rule.apply(options, number);
  }
  return options;
}

function badOption(value: string, allowed: string): Error {
  return argumentError("KVM interrupt test", "option", value, allowed);
}
