import type { LentSpace } from "@vfio-selftests/iommu-modes";

/** The messages to an init worker and its answers. All of them cross a thread boundary. */
export type InitMessage = InitRequest | { readonly kind: "close" } | { readonly kind: "end" };

/** One round: the devices stay open until `close`. */
interface InitRequest {
  readonly kind: "initialise";
  /** The worker opens these one after the other. Devices of one IOMMU group need that: the group has one file. */
  readonly addresses: readonly string[];
  /** The one address space of all threads. */
  readonly space: LentSpace;
  /** One 32-bit word counts the threads at the barrier. The main thread sets {@link GO} to let them run. */
  readonly barrier: SharedArrayBuffer;
}

/** Value of the barrier that starts the threads. */
export const GO = -1;

export type InitAnswer =
  | { readonly event: "initialised"; readonly timings: readonly InitTiming[] }
  | { readonly event: "closed" }
  | { readonly event: "failed"; readonly message: string };

/** Start and end of one device's init, in nanoseconds of CLOCK_MONOTONIC. */
export interface InitTiming {
  readonly address: string;
  readonly start: bigint;
  readonly end: bigint;
  /** What the init found: BAR mappings, MSI and MSI-X vectors. */
  readonly mappings: number;
  readonly vectors: number;
}
