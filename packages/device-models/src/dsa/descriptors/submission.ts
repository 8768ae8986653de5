import type { Descriptor } from "./descriptor";

/** How software wrote a descriptor. MOVDIR64B and plain stores are posted. ENQCMD waits for an answer. */
export type WriteKind = "posted" | "deferrable";

/** A descriptor in the device, and how it came in. */
export interface Submission {
  readonly descriptor: Descriptor;
  /** Index of the work queue. */
  readonly workQueue: number;
  /**
   * The address space: a shared queue's descriptor names it, or the dedicated queue has it. Undefined without PASID.
   */
  readonly pasid: number | undefined;
  readonly privileged: boolean;
  /** Position in its batch; undefined if software submitted it directly. */
  readonly batchIndex: number | undefined;
}
