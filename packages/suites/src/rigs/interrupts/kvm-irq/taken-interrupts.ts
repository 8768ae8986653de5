import { VfioError } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import type { Delivery, InterruptCounters } from "./kvm";

/** Milliseconds that an interrupt may take. */
const DELIVERY_TIMEOUT_MS = 2000;
/** The longest pause between two reads of the guest's counter. A thread that never pauses keeps vCPUs off its CPU. */
const LONGEST_PAUSE_MS = 0.2;

/** Compares what each vCPU of a guest should have taken so far with what it has. */
export class TakenInterrupts {
  readonly #guest: InterruptCounters;
  readonly #timeoutMs: number;
  readonly #irqs: Int32Array;
  readonly #nmis: Int32Array;

  constructor(guest: InterruptCounters, timeoutMs = DELIVERY_TIMEOUT_MS) {
    this.#guest = guest;
    this.#timeoutMs = timeoutMs;
    this.#irqs = new Int32Array(guest.vcpus.length);
    this.#nmis = new Int32Array(guest.vcpus.length);
  }

  /**
   * Waits until the vCPU has taken one more. Throws ETIMEDOUT. {@link check} finds out whether it was the right one.
   */
  waitForOne(vcpu: number, delivery: Delivery, iteration: number): void {
    const kind = delivery === "nmi" ? this.#nmis : this.#irqs;
    kind[vcpu] = (kind[vcpu] ?? 0) + 1;
    const total = this.#total(vcpu);
    pollUntil(() => this.#guest.taken(vcpu) >= total, {
      timeoutMs: this.#timeoutMs,
      maxPauseMs: LONGEST_PAUSE_MS,
      what: `interrupt ${iteration} (${delivery})`,
      subject: `vCPU ${vcpu}`,
      state: () => this.#describe(),
    });
  }

  /** Throws when a vCPU has taken more, less or something else than it should. */
  check(): void {
    for (let vcpu = 0; vcpu < this.#irqs.length; vcpu++) {
      if (this.#guest.irqs(vcpu) !== this.#irqs[vcpu] || this.#guest.nmis(vcpu) !== this.#nmis[vcpu]) {
        throw new VfioError(`an interrupt went wrong: ${this.#describe()}`, {
          code: "ERR_UNEXPECTED_EVENT",
          operation: "deliver interrupts",
          subject: `vCPU ${vcpu}`,
        });
      }
    }
  }

  #total(vcpu: number): number {
    return (this.#irqs[vcpu] ?? 0) + (this.#nmis[vcpu] ?? 0);
  }

  /** Describes the vCPUs that differ. */
  #describe(): string {
    return Array.from(this.#irqs, (irqs, vcpu) => ({ vcpu, irqs, nmis: this.#nmis[vcpu] ?? 0 }))
      .map((expected) => ({ ...expected, counts: this.#guest.counts(expected.vcpu) }))
      .filter(({ irqs, nmis, counts }) => counts.irqs !== irqs || counts.nmis !== nmis || counts.unexpected !== 0)
      .map(
        ({ vcpu, irqs, nmis, counts }) =>
          `vCPU ${vcpu} took ${counts.irqs} interrupts and ${counts.nmis} NMIs instead of ${irqs} and ${nmis}` +
          (counts.unexpected === 0 ? "" : ", and an interrupt or exception that nobody sent"),
      )
      .join("; ");
  }
}
