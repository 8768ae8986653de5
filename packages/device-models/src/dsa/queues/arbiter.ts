import type { WorkQueue } from "./work-queue";

/** Section 4.1: each queue may dispatch as many descriptors as its priority says. Then all counters start anew. */
export class Arbiter {
  readonly #workQueues: readonly WorkQueue[];
  readonly #credits: number[];
  #position = 0;

  constructor(workQueues: readonly WorkQueue[]) {
    this.#workQueues = workQueues;
    this.#credits = workQueues.map(() => 0);
  }

  get ready(): boolean {
    return this.#workQueues.some(({ occupancy }) => occupancy > 0);
  }

  /** The queue whose turn it is, among those that hold descriptors. */
  choose(): WorkQueue | undefined {
    if (!this.ready) return undefined;
    const next = this.#withCredit();
    if (next !== undefined) return next;
    this.#workQueues.forEach(({ priority }, i) => (this.#credits[i] = Math.max(priority, 1)));
    return this.#withCredit();
  }

  #withCredit(): WorkQueue | undefined {
    for (let tried = 0; tried < this.#workQueues.length; tried++) {
      const i = this.#position;
      const workQueue = this.#workQueues[i] as WorkQueue;
      this.#position = (i + 1) % this.#workQueues.length;
      const credits = this.#credits[i] as number;
      if (workQueue.occupancy === 0 || credits === 0) continue;
      this.#credits[i] = credits - 1;
      return workQueue;
    }
    return undefined;
  }
}
