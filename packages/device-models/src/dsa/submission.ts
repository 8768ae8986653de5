import type { Descriptor } from "./descriptor";

/** A descriptor in the device, and how it came in. */
export interface Submission {
  readonly descriptor: Descriptor;
  /** Index of the work queue. */
  readonly workQueue: number;
  /** The address space: of a shared queue's descriptor, or the dedicated queue's; undefined without PASID. */
  readonly pasid: number | undefined;
  readonly privileged: boolean;
  /** Position in its batch; undefined when it was submitted directly. */
  readonly batchIndex: number | undefined;
}
