import type { DmaSpace } from "@vfio-selftests/vfio-user";
import type { Submission } from "../descriptors/submission";
import type { DeviceParts } from "../device-parts";
import { Arbiter } from "./arbiter";
import { Engine } from "./engine";
import type { WorkQueue } from "./work-queue";
import type { WorkQueues } from "./work-queues";

/** Work queues and engines that belong together (section 3.4). */
export interface GroupMembers {
  readonly workQueues: readonly WorkQueue[];
  readonly engines: number;
}

/** Bytes of copying that one engine may do before the next one gets its turn. */
const TURN = 1024 * 1024;

/** Gives the engines turns. In its turn, an engine takes descriptors from its group's queues and works on them. */
export class Dispatcher {
  readonly #workQueues: WorkQueues;
  readonly #parts: DeviceParts;
  #engines: Engine[] = [];
  #turn = 0;
  /** How often work was dropped. It tells an aborted access whether its work is gone already. */
  #drops = 0;

  constructor(workQueues: WorkQueues, parts: DeviceParts) {
    this.#workQueues = workQueues;
    this.#parts = parts;
  }

  /** Makes the engines of these groups. Without groups, the device does nothing. */
  configure(groups: readonly GroupMembers[]): void {
    this.#engines = groups.flatMap(({ workQueues, engines }) => {
      const arbiter = new Arbiter(workQueues);
      return Array.from({ length: engines }, () => new Engine(arbiter, this.#parts));
    });
  }

  /** Whether an engine could do something now. */
  get busy(): boolean {
    return this.#engines.some((engine) => engine.busy);
  }

  get drops(): number {
    return this.#drops;
  }

  /** Works for about `budget` bytes of copying. */
  step(dma: DmaSpace, budget: number): void {
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
      left -= engine.work(dma, Math.min(left, TURN));
    }
  }

  /** Makes queues and engines drop the descriptors that `doomed` names. */
  abandon(doomed: (submission: Submission) => boolean): void {
    this.#drops++;
    for (const engine of this.#engines) engine.abandon(doomed);
    this.#workQueues.abandon(doomed);
  }
}
