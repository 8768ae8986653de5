import { DescriptorRun, type Execution } from "./descriptor-run";
import type { Submission } from "./submission";
import type { WorkQueue } from "./work-queue";

/** Work queues and engines that belong together (section 3.4). */
export interface GroupMembers {
  readonly workQueues: readonly WorkQueue[];
  readonly engines: number;
}

/** Bytes of copying that one engine may do before the next has its turn. */
const TURN = 1024 * 1024;

/** Takes descriptors from the queues, by priority, and has the engines work on them in turns. */
export class Dispatcher {
  #engines: Engine[] = [];
  #turn = 0;

  constructor(private readonly executionFor: (workQueue: WorkQueue) => Execution) {}

  /** From Enable Device on. */
  configure(groups: readonly GroupMembers[]): void {
    this.#engines = groups.flatMap(({ workQueues, engines }) => {
      const arbiter = new Arbiter(workQueues);
      return Array.from({ length: engines }, () => new Engine(arbiter, this.executionFor));
    });
  }

  /** Whether an engine could do something now. */
  get busy(): boolean {
    return this.#engines.some((engine) => engine.busy);
  }

  /** Works for about `budget` bytes of copying. */
  step(budget: number): void {
    let left = budget;
    let idle = 0;
    while (left > 0 && idle < this.#engines.length) {
      const engine = this.#engines[this.#turn % this.#engines.length] as Engine;
      this.#turn++;
      if (!engine.busy) {
        idle++;
        continue;
      }
      idle = 0;
      left -= engine.work(Math.min(left, TURN));
    }
  }

  /** Engines drop what they work on of the descriptors that `doomed` names. */
  abandon(doomed: (submission: Submission) => boolean): void {
    for (const engine of this.#engines) engine.abandon(doomed);
  }
}

/** What an engine works on. */
interface Assignment {
  readonly submission: Submission;
  readonly workQueue: WorkQueue;
  readonly run: DescriptorRun;
}

/** One engine: a descriptor at a time. */
class Engine {
  #current: Assignment | undefined;

  constructor(
    private readonly arbiter: Arbiter,
    private readonly executionFor: (workQueue: WorkQueue) => Execution,
  ) {}

  get busy(): boolean {
    return this.#current === undefined ? this.arbiter.ready : !this.#current.run.blocked;
  }

  /** Until `budget` is used or there is nothing more to do; gives what it used. */
  work(budget: number): number {
    let used = 0;
    while (used < budget && this.busy) {
      const current = (this.#current ??= this.#take());
      if (current === undefined) break;
      used += current.run.advance(budget - used);
      if (current.run.status === undefined) continue;
      this.#current = undefined;
      current.workQueue.finish(current.submission);
    }
    return used;
  }

  abandon(doomed: (submission: Submission) => boolean): void {
    if (this.#current !== undefined && doomed(this.#current.submission)) this.#current = undefined;
  }

  #take(): Assignment | undefined {
    const workQueue = this.arbiter.choose();
    const submission = workQueue?.take();
    if (workQueue === undefined || submission === undefined) return undefined;
    return { submission, workQueue, run: new DescriptorRun(submission, this.executionFor(workQueue)) };
  }
}

/** Section 4.1: each queue may dispatch as many descriptors as its priority before all counters start anew. */
class Arbiter {
  readonly #credits: number[];
  #position = 0;

  constructor(private readonly workQueues: readonly WorkQueue[]) {
    this.#credits = workQueues.map(() => 0);
  }

  get ready(): boolean {
    return this.workQueues.some(({ occupancy }) => occupancy > 0);
  }

  /** The queue whose turn it is, of those that hold descriptors. */
  choose(): WorkQueue | undefined {
    if (!this.ready) return undefined;
    const next = this.#withCredit();
    if (next !== undefined) return next;
    this.workQueues.forEach(({ priority }, i) => (this.#credits[i] = Math.max(priority, 1)));
    return this.#withCredit();
  }

  #withCredit(): WorkQueue | undefined {
    for (let tried = 0; tried < this.workQueues.length; tried++) {
      const i = this.#position;
      const workQueue = this.workQueues[i] as WorkQueue;
      this.#position = (i + 1) % this.workQueues.length;
      const credits = this.#credits[i] as number;
      if (workQueue.occupancy === 0 || credits === 0) continue;
      this.#credits[i] = credits - 1;
      return workQueue;
    }
    return undefined;
  }
}
