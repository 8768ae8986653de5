import type { LentSpace } from "@vfio-selftests/iommu-modes";

/** What an init worker is told, and what it answers; all of it crosses a thread boundary. */
export type InitMessage = InitRequest | { readonly kind: "close" } | { readonly kind: "end" };

/** One round: the devices stay open until `close`. */
interface InitRequest {
  readonly kind: "initialise";
  /** Devices of one IOMMU group are opened one after the other: a group has one file. */
  readonly addresses: readonly string[];
  /** The one address space of all threads. */
  readonly space: LentSpace;
  /** One 32-bit word: threads that have come to the barrier; the main thread sets {@link GO} to let them run. */
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
