import type { Availability } from "@vfio-selftests/core";

/** APIC mode of the guest: memory-mapped registers, or MSRs with 32-bit ids. */
export type ApicMode = "xapic" | "x2apic";
/** What the guest does between interrupts: spin (the vCPU stays in guest mode) or halt (it blocks in the kernel). */
export type IdleMode = "spin" | "halt";
/** How an MSI reaches a vCPU. */
export type Delivery = "vector" | "nmi";

/** What the KVM interrupt test needs to make guests. `kvm` of @vfio-selftests/kvm is one. */
export interface Kvm {
  /** Whether guests can be made on this machine. Probes at each call. */
  availability(): Availability;
  /** The first and last vector that a guest can take. */
  readonly firstVector: number;
  /** See `firstVector`. */
  readonly lastVector: number;
  /** Starts a guest. Resolves when each vCPU is ready to take interrupts. */
  startGuest(options: GuestOptions): Promise<Guest>;
  /** Opens a VM for the test's own requests. Without this method the tests of KVM's eventfds skip. */
  openVm?(): BareVm;
}

/** A VM with the kernel's interrupt controllers and one vCPU, which runs only in `execute`. */
export interface BareVm extends Disposable {
  /** Makes one ioctl on the VM. Returns its result or `-errno`. The kernel may write into bytes. */
  request(request: number, argument: Uint8Array | number): number;
  /** Runs straight-line machine code in flat 32-bit protected mode. Throws when the guest leaves before its end. */
  execute(code: readonly number[]): void;
}

export interface GuestOptions {
  readonly vcpus: number;
  /** The one vector that the guest expects. */
  readonly vector: number;
  readonly apic: ApicMode;
  readonly idle: IdleMode;
}

/** Address and data of an MSI, as KVM_SET_GSI_ROUTING takes them. */
export interface Msi {
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly data: number;
}

/** Counts what the vCPUs of a guest have taken so far. */
export interface InterruptCounters {
  readonly vcpus: { readonly length: number };
  counts(vcpu: number): { readonly irqs: number; readonly nmis: number; readonly unexpected: number };
  /** These three make no object, for polling. */
  irqs(vcpu: number): number;
  nmis(vcpu: number): number;
  taken(vcpu: number): number;
}

/** A VM whose vCPUs do nothing but take interrupts and count them. */
export interface Guest extends InterruptCounters, AsyncDisposable {
  readonly vm: {
    /** Makes each write to the eventfd raise the GSI. */
    attachIrqfd(eventfd: number, gsi: number): void;
    detachIrqfd(eventfd: number, gsi: number): void;
    /** Replaces the whole routing table. */
    setMsiRoutes(routes: readonly { readonly gsi: number; readonly message: Msi }[]): void;
  };
  readonly vcpus: readonly { pin(cpus: readonly number[]): void }[];
  /** The MSI that reaches this vCPU. */
  message(vcpu: number, delivery: Delivery): Msi;
  /** Asks the guest to end by itself, and frees everything. Rejects when a vCPU did not end. */
  stop(): Promise<void>;
}
