import type { Outcome } from "../descriptors/completion-record";
import { Flag } from "../descriptors/flags";
import { Status } from "../descriptors/status";
import { type Job, type Operation, type Work } from "./operation";

/** Drain (section 8.3.3). GENCAP's Drain Descriptor Readback Address Support is 0, so readback addresses are reserved. */
export const drain: Operation = {
  code: 0x02,
  name: "DRAIN",
  flags: Flag.suppressReadbackA | Flag.suppressReadbackB,
  required: 0,
  reserved: [
    [16, 35],
    [38, 63],
  ],
  size: "none",
  batchable: false,
  // Without a notification nobody would learn of its end.
  refusedFlags: (descriptor) =>
    descriptor.has(Flag.requestCompletionRecord | Flag.requestCompletionInterrupt) ? 0 : Flag.requestCompletionRecord,
  start: (job) => new Drain(job),
};

class Drain implements Work {
  outcome: Outcome | undefined;
  readonly #job: Job;

  constructor(job: Job) {
    this.#job = job;
  }

  get blocked(): boolean {
    return this.#job.olderInFlight();
  }

  advance(): number {
    if (!this.blocked) this.outcome = { status: Status.success };
    return 0;
  }
}
