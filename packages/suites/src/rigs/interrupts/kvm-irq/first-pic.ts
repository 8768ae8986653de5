import { pollUntil } from "@vfio-selftests/core/driver";
import { outcome } from "../../raw/ask-kernel";
import type { BareVm } from "./kvm";

/** Requests of linux/kvm.h. */
const KVM_GET_IRQCHIP = 0xc208_ae62;
const KVM_SET_IRQCHIP = 0x8208_ae63;
const INJECT_MS = 2000;

/** struct kvm_irqchip: number, then the state; of a PIC: last lines, requests, mask, in service, …, level bits. */
const IRQCHIP_BYTES = 520;
const PIC = { state: 8, requests: 1, inService: 3, levels: 14 } as const;
/** The VM's first interrupt controller, whose state KVM shows and lets a test set. */
export class FirstPic {
  readonly #vm: BareVm;
  readonly #bytes = new Uint8Array(IRQCHIP_BYTES);

  constructor(vm: BareVm) {
    this.#vm = vm;
  }

  /** Lines that ask for service, as bits. */
  get requested(): number {
    this.#get();
    return this.#bytes[PIC.state + PIC.requests] ?? 0;
  }

  /** Waits, because KVM raises the line in a worker of its own. */
  waitForRequest(line: number): void {
    pollUntil(() => (this.requested & (1 << line)) !== 0, {
      timeoutMs: INJECT_MS,
      what: "the interrupt",
      subject: `line ${line}`,
    });
  }

  clear(): void {
    this.#change({ [PIC.requests]: 0 });
  }

  makeLevel(line: number): void {
    this.#change({ [PIC.levels]: 1 << line });
  }

  /** Makes the controller believe that the CPU has taken the line's interrupt. */
  serve(line: number): void {
    this.#change({ [PIC.inService]: 1 << line });
  }

  #change(values: Readonly<Record<number, number>>): void {
    this.#get();
    for (const [offset, value] of Object.entries(values)) this.#bytes[PIC.state + Number(offset)] = value;
    const result = this.#vm.request(KVM_SET_IRQCHIP, this.#bytes);
    if (result < 0) throw new Error(`KVM_SET_IRQCHIP: ${outcome(result)}`);
  }

  #get(): void {
    this.#bytes.fill(0);
    const result = this.#vm.request(KVM_GET_IRQCHIP, this.#bytes);
    if (result < 0) throw new Error(`KVM_GET_IRQCHIP: ${outcome(result)}`);
  }
}
