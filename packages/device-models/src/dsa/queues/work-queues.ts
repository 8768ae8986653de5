import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import { WorkQueueState } from "../registers/bar0";
import { DSA } from "../registers/capabilities";
import { WorkQueue } from "./work-queue";

/** All work queues of the device. Commands name several by a bit mask. */
export class WorkQueues {
  readonly all: readonly WorkQueue[];

  constructor(parts: DeviceParts) {
    this.all = Array.from({ length: DSA.workQueues }, (_, i) => new WorkQueue(i, parts));
  }

  selected(mask: number): readonly WorkQueue[] {
    return this.all.filter(({ index }) => ((mask >>> index) & 1) === 1);
  }

  /** The mask of the enabled queues. */
  get enabled(): number {
    return this.all.reduce(
      (mask, { index, state }) => (state === WorkQueueState.enabled ? mask | (1 << index) : mask),
      0,
    );
  }

  /** Whether descriptors that match are waiting or in an engine. */
  holds(matches: (submission: Submission) => boolean): boolean {
    return this.all.some((workQueue) => workQueue.holds(matches));
  }

  /** Forgets all descriptors that `doomed` names. */
  abandon(doomed: (submission: Submission) => boolean): void {
    for (const workQueue of this.all) workQueue.abandon(doomed);
  }

  reset(): void {
    for (const workQueue of this.all) workQueue.reset();
  }
}
