import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

/** 32-bit words that both threads share. */
export const LOCKING_WORDS = { stop: 0, rounds: 1, failed: 2 } as const;
const START_TIMEOUT_MS = 20_000;

export interface LockingRequest {
  readonly memory: SharedArrayBuffer;
}

/** A thread that locks a page and frees it as fast as it can: the kernel counts it in the same place as mapped memory. */
export class LockingThread {
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * Object.keys(LOCKING_WORDS).length));
  readonly #worker: Worker;

  /** Returns when the thread is at it. */
  constructor() {
    const workerData: LockingRequest = { memory: this.#words.buffer };
    this.#worker = new Worker(join(__dirname, "locking-worker.js"), { workerData });
    if (Atomics.wait(this.#words, LOCKING_WORDS.rounds, 0, START_TIMEOUT_MS) === "timed-out") {
      throw new Error(`the locking thread did not lock a page in ${START_TIMEOUT_MS} ms`);
    }
  }

  /** Pages locked and freed so far. */
  get rounds(): number {
    return Atomics.load(this.#words, LOCKING_WORDS.rounds);
  }

  /** How often the kernel refused. */
  get failed(): number {
    return Atomics.load(this.#words, LOCKING_WORDS.failed);
  }

  /** Ends the thread, between two pages. */
  async stop(): Promise<void> {
    const ended = once(this.#worker, "exit");
    Atomics.store(this.#words, LOCKING_WORDS.stop, 1);
    await ended;
  }
}
