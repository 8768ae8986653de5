import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { LentSpace } from "@vfio-selftests/iommu-modes";
import { GO, type InitAnswer, type InitMessage, type InitTiming } from "./init-request";

/** Milliseconds for all threads to reach the barrier. The first time includes their start (slow under emulation). */
const BARRIER_TIMEOUT_MS = 60_000;

/** Threads that initialise devices at the same time. They live for several rounds: their start takes longest. */
export class InitThreads {
  readonly #workers: Worker[] = [];

  /** Starts `count` threads, without waiting for them. */
  constructor(count: number) {
    for (let i = 0; i < count; i++) this.#workers.push(new Worker(join(__dirname, "init-worker.js")));
  }

  /**
   * One round: all threads start at once, and each initialises its devices. Resolves with the timings when all devices
   * are closed again. Rejects with the message of the first thread that failed.
   */
  async initialise(parts: readonly (readonly string[])[], space: LentSpace): Promise<InitTiming[]> {
    const barrier = new SharedArrayBuffer(4);
    const workers = this.#workers.slice(0, parts.length);
    const answers = workers.map((worker, index) => {
      return ask(worker, { kind: "initialise", addresses: parts[index] ?? [], space, barrier });
    });
    // A thread that fails before the barrier ends the wait for the others.
    await Promise.race([arrived(barrier, workers.length), Promise.all(answers)]);
    openBarrier(barrier);
    const results = await Promise.all(answers);
    await Promise.all(workers.map((worker) => ask(worker, { kind: "close" })));
    return results.flatMap((answer) => {
      if (answer.event === "failed") throw new Error(answer.message);
      return answer.event === "initialised" ? answer.timings : [];
    });
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker) => {
        if (worker.threadId === -1) return;
        const ended = once(worker, "exit");
        worker.postMessage({ kind: "end" } satisfies InitMessage);
        await ended;
      }),
    );
  }
}

async function ask(worker: Worker, message: InitMessage): Promise<InitAnswer> {
  const answer = once(worker, "message") as Promise<[InitAnswer]>;
  worker.postMessage(message);
  return (await answer)[0];
}

async function arrived(barrier: SharedArrayBuffer, count: number): Promise<void> {
  const word = new Int32Array(barrier);
  const deadline = performance.now() + BARRIER_TIMEOUT_MS;
  while (Atomics.load(word, 0) < count) {
    if (performance.now() > deadline) throw new Error(`a thread did not start within ${BARRIER_TIMEOUT_MS} ms`);
    await sleep(1);
  }
}

function openBarrier(barrier: SharedArrayBuffer): void {
  const word = new Int32Array(barrier);
  Atomics.store(word, 0, GO);
  Atomics.notify(word, 0);
}
