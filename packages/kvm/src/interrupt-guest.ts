import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { VfioError } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  type ApicMode,
  type IdleMode,
  loadGuestProgram,
  MAX_VCPUS,
  MEMORY_SIZE,
  Port,
  Slot,
  slotAddress,
  stackTop,
  WAKE_VECTOR,
} from "./guest-program";
import { Vcpu } from "./vcpu";
import { type MsiMessage, VirtualMachine } from "./virtual-machine";

/** The lowest vector that a device may use, and the highest that the guest program leaves free. */
export const FIRST_VECTOR = 32;
/** The highest vector that a device may use: the one after it wakes vCPUs. */
export const LAST_VECTOR = WAKE_VECTOR - 1;
/** An xAPIC id has eight bits, and 255 is the broadcast id. */
const MAX_XAPIC_VCPUS = 255;
const READY_TIMEOUT_MS = 30_000;
const NMI_DELIVERY_MODE = 4 << 8;
const MSI_ADDRESS_BASE = 0xfee00000;

/** The guest's vCPUs, and how they take the interrupt. */
export interface InterruptGuestOptions {
  /** How many vCPUs. */
  readonly vcpus: number;
  /** The vector that they take: `FIRST_VECTOR` to `LAST_VECTOR`. */
  readonly vector: number;
  /** How the guest programs its interrupt controller. */
  readonly apic: ApicMode;
  /** `spin` needs a CPU for each vCPU; `halt` does with less. */
  readonly idle: IdleMode;
}

/** What one vCPU has taken so far. */
export interface InterruptCounts {
  /** Interrupts with the guest's vector. */
  readonly irqs: number;
  /** Non-maskable interrupts. */
  readonly nmis: number;
  /** Exceptions, and vectors that nobody should have sent. */
  readonly unexpected: number;
}

/** A VM whose vCPUs only take interrupts and count them. */
export class InterruptGuest implements AsyncDisposable {
  /** The VM, for its routes and eventfds. */
  readonly vm: VirtualMachine;
  /** By their ids. */
  readonly vcpus: readonly Vcpu[];
  readonly #options: InterruptGuestOptions;
  readonly #words: Int32Array;

  private constructor(vm: VirtualMachine, vcpus: readonly Vcpu[], options: InterruptGuestOptions) {
    this.vm = vm;
    this.vcpus = vcpus;
    this.#options = options;
    this.#words = new Int32Array(vm.memory.buffer);
  }

  /** Starts all vCPUs and waits until each is ready to take interrupts. */
  static async start(options: InterruptGuestOptions): Promise<InterruptGuest> {
    checkOptions(options);
    const vm = new VirtualMachine(MEMORY_SIZE);
    const vcpus: Vcpu[] = [];
    try {
      const entry = loadGuestProgram(vm.memory.buffer, options.apic, options.idle, options.vector);
      // As many at a time as there are CPUs, because starting a thread is mostly loading code.
      const together = availableParallelism();
      for (let first = 0; first < options.vcpus; first += together) {
        const ids = Array.from({ length: Math.min(together, options.vcpus - first) }, (_, i) => first + i);
        const started = await Promise.allSettled(
          ids.map((id) =>
            Vcpu.start(vm, id, { entry, stack: stackTop(id), slot: slotAddress(id), apic: options.apic }),
          ),
        );
        for (const result of started) if (result.status === "fulfilled") vcpus.push(result.value);
        for (const result of started) if (result.status === "rejected") throw result.reason;
      }
      const guest = new InterruptGuest(vm, vcpus, options);
      await guest.#ready();
      return guest;
    } catch (error) {
      await Promise.all(vcpus.map((vcpu) => vcpu.close()));
      vm.close();
      throw error;
    }
  }

  /** The MSI that reaches this vCPU, as the guest's vector or as an NMI. */
  message(vcpu: number, delivery: "vector" | "nmi" = "vector"): MsiMessage {
    return msiMessage(vcpu, delivery === "nmi" ? 2 | NMI_DELIVERY_MODE : this.#options.vector);
  }

  /** What the vCPU has taken so far. */
  counts(vcpu: number): InterruptCounts {
    return {
      irqs: this.irqs(vcpu),
      nmis: this.nmis(vcpu),
      unexpected: this.#load(vcpu, Slot.unexpected),
    };
  }

  /** Interrupts that the vCPU has taken. This method and the next two make no object, for polling. */
  irqs(vcpu: number): number {
    return this.#load(vcpu, Slot.irqs);
  }

  /** NMIs that the vCPU has taken. */
  nmis(vcpu: number): number {
    return this.#load(vcpu, Slot.nmis);
  }

  /** Interrupts and NMIs. */
  taken(vcpu: number): number {
    return this.irqs(vcpu) + this.nmis(vcpu);
  }

  /** Asks the guest to end by itself, checks that each vCPU did, and frees everything. */
  async stop(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const problems: string[] = [];
    for (const { id } of this.vcpus) {
      Atomics.store(this.#words, (slotAddress(id) + Slot.stop) / 4, 1);
      if (this.#options.idle === "halt") this.vm.signalMsi(msiMessage(id, WAKE_VECTOR));
    }
    for (const vcpu of this.vcpus) {
      const exit = await vcpu.exited(timeoutMs);
      if (exit?.port !== Port.stopped) {
        problems.push(`vCPU ${vcpu.id}: ${exit === undefined ? "still runs" : describeExit(exit.port, exit.reason)}`);
      }
    }
    await this[Symbol.asyncDispose]();
    if (problems.length > 0) {
      throw new VfioError(`the guest did not end as it should: ${problems.join("; ")}`, {
        code: "ERR_GUEST",
        operation: "KVM_RUN",
      });
    }
  }

  /** Calls {@link stop}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.vcpus.map((vcpu) => vcpu.close()));
    this.vm.close();
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    for (const vcpu of this.vcpus) {
      while (this.#load(vcpu.id, Slot.ready) === 0) {
        const exit = await vcpu.exited(1);
        if (exit !== undefined || Date.now() > deadline) {
          const why = exit === undefined ? `not ready in ${READY_TIMEOUT_MS} ms` : describeExit(exit.port, exit.reason);
          throw new VfioError(`vCPU ${vcpu.id} of the guest: ${why}`, { code: "ERR_GUEST", operation: "KVM_RUN" });
        }
        await sleep(1);
      }
    }
  }

  #load(vcpu: number, field: number): number {
    return Atomics.load(this.#words, (slotAddress(vcpu) + field) / 4);
  }
}

/** Address and data of an MSI to one APIC id. Ids above 255 go into the upper half, by X2APIC_API. */
function msiMessage(apicId: number, data: number): MsiMessage {
  return {
    addressLow: (MSI_ADDRESS_BASE | ((apicId & 0xff) << 12)) >>> 0,
    addressHigh: (apicId & 0xffffff00) >>> 0,
    data,
  };
}

function describeExit(port: number | undefined, reason: string): string {
  return port === Port.unexpected ? "took an interrupt or exception that nobody sent" : reason;
}

function checkOptions({ vcpus, vector, apic }: InterruptGuestOptions): void {
  const most = apic === "xapic" ? MAX_XAPIC_VCPUS : MAX_VCPUS;
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > most) {
    throw argumentError("InterruptGuest.start", "vcpus", vcpus, `1 to ${most} with ${apic}`);
  }
  if (!Number.isInteger(vector) || vector < FIRST_VECTOR || vector > LAST_VECTOR) {
    throw argumentError("InterruptGuest.start", "vector", vector, `${FIRST_VECTOR} to ${LAST_VECTOR}`);
  }
}
