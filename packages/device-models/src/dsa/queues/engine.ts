import type { DmaSpace } from "@vfio-selftests/vfio-user";
import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import type { Arbiter } from "./arbiter";
import { DescriptorRun } from "./descriptor-run";
import type { WorkQueue } from "./work-queue";

/** What an engine works on. */
interface Assignment {
  readonly workQueue: WorkQueue;
  readonly run: DescriptorRun;
}

/** One engine: a descriptor at a time. */
export class Engine {
  readonly #arbiter: Arbiter;
  readonly #parts: DeviceParts;
  #current: Assignment | undefined;

  constructor(arbiter: Arbiter, parts: DeviceParts) {
    this.#arbiter = arbiter;
    this.#parts = parts;
  }

  /** Whether it could do something now. */
  get busy(): boolean {
    return this.#current === undefined ? this.#arbiter.ready : !this.#current.run.blocked;
  }

  /** Works until it has used `budget` bytes of copying or has nothing more to do. Returns what it used. */
  work(dma: DmaSpace, budget: number): number {
    let used = 0;
    while (used < budget && this.busy) {
      const current = (this.#current ??= this.#take(dma));
      if (current === undefined) break;
      used += current.run.advance();
      if (current.run.status === undefined) continue;
      this.#current = undefined;
      current.workQueue.finish(current.run.submission);
    }
    return used;
  }

  abandon(doomed: (submission: Submission) => boolean): void {
    if (this.#current !== undefined && doomed(this.#current.run.submission)) this.#current = undefined;
  }

  #take(dma: DmaSpace): Assignment | undefined {
    const workQueue = this.#arbiter.choose();
    const submission = workQueue?.take();
    if (workQueue === undefined || submission === undefined) return undefined;
    return { workQueue, run: new DescriptorRun(submission, workQueue, this.#parts, dma) };
  }
}
