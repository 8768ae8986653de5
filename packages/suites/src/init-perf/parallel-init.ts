import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { GO, type InitAnswer, type InitRequest, type InitTiming, type SharedSpace } from "./init-request";

/** Milliseconds for all threads to start (slow under emulation). */
const START_TIMEOUT_MS = 20_000;

/**
 * Initialises groups of devices at the same time, a thread per group, into one address space; gives the timings when
 * all devices are closed again. Throws what the first failing thread said.
 */
export async function initialiseInParallel(
  groups: readonly (readonly string[])[],
  space: SharedSpace,
): Promise<InitTiming[]> {
  const barrier = new SharedArrayBuffer(4);
  const word = new Int32Array(barrier);
  const workers = groups.map(
    (addresses) =>
      new Worker(join(__dirname, "init-worker.js"), {
        workerData: { addresses, space, barrier } satisfies InitRequest,
      }),
  );
  try {
    const answers = workers.map((worker) => once(worker, "message") as Promise<[InitAnswer]>);
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (Atomics.load(word, 0) < workers.length) {
      if (performance.now() > deadline) throw new Error(`a worker thread did not start in ${START_TIMEOUT_MS} ms`);
      await sleep(1);
    }
    Atomics.store(word, 0, GO);
    Atomics.notify(word, 0);
    const timings: InitTiming[] = [];
    for (const [answer] of await Promise.all(answers)) {
      if (answer.event === "failed") throw new Error(answer.message);
      timings.push(...answer.timings);
    }
    return timings;
  } finally {
    Atomics.store(word, 0, GO);
    Atomics.notify(word, 0);
    await Promise.all(workers.map(endWorker));
  }
}

async function endWorker(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return;
  const ended = once(worker, "exit");
  worker.postMessage("close");
  await ended;
}
