import { errorWithCode } from "@vfio-selftests/harness";
import type { InterruptCounters } from "./kvm";
import { TakenInterrupts } from "./taken-interrupts";

/** A guest of two vCPUs whose counters the test sets. */
class Guest implements InterruptCounters {
  readonly vcpus = { length: 2 };
  readonly #counts = [
    { irqs: 0, nmis: 0, unexpected: 0 },
    { irqs: 0, nmis: 0, unexpected: 0 },
  ];

  counts(vcpu: number): { irqs: number; nmis: number; unexpected: number } {
    const counts = this.#counts[vcpu];
    if (counts === undefined) throw new RangeError(`no vCPU ${vcpu}`);
    return counts;
  }

  irqs(vcpu: number): number {
    return this.counts(vcpu).irqs;
  }

  nmis(vcpu: number): number {
    return this.counts(vcpu).nmis;
  }

  taken(vcpu: number): number {
    return this.irqs(vcpu) + this.nmis(vcpu);
  }
}

const TIMEOUT_MS = 20;
const wrong = errorWithCode("ERR_UNEXPECTED_EVENT");

let guest: Guest;
let taken: TakenInterrupts;
beforeEach(() => {
  guest = new Guest();
  taken = new TakenInterrupts(guest, TIMEOUT_MS);
});

describe("TakenInterrupts", () => {
  it("is content with what was sent, where it was sent", () => {
    guest.counts(1).irqs++;
    taken.waitForOne(1, "vector", 0);
    guest.counts(0).nmis++;
    taken.waitForOne(0, "nmi", 1);
    taken.check();
  });

  it("misses an interrupt that does not come, or goes to another vCPU", () => {
    guest.counts(0).irqs++;
    const wait = () => {
      taken.waitForOne(1, "vector", 7);
    };
    expect(wait).toThrow(errorWithCode("ETIMEDOUT"));
    expect(wait).toThrow(/interrupt 7.*vCPU 0 took 1 interrupts and 0 NMIs instead of 0 and 0/);
  });

  it("sees an interrupt that came as an NMI, came twice, or reached another vCPU as well", () => {
    guest.counts(0).nmis++;
    taken.waitForOne(0, "vector", 0);
    expect(() => {
      taken.check();
    }).toThrow(wrong);
    guest.counts(0).nmis--;
    guest.counts(0).irqs++;
    taken.check();
    guest.counts(0).irqs++;
    expect(() => {
      taken.check();
    }).toThrow(/vCPU 0 took 2 interrupts and 0 NMIs instead of 1 and 0$/);
    guest.counts(0).irqs--;
    guest.counts(1).nmis++;
    expect(() => {
      taken.check();
    }).toThrow(wrong);
  });
});
