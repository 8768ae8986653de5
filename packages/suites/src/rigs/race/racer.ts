import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { closeAll, type OwnedDescriptor } from "@vfio-selftests/core/backend";
import { errnoName } from "@vfio-selftests/core/errors";
import {
  argumentOffset,
  ERRNO_WORDS,
  type RacerRequest,
  type RacerStep,
  RESULT_COUNT,
  resultWord,
  WORD_COUNT,
  WORDS,
} from "./racer-memory";

const START_TIMEOUT_MS = 20_000;
const ROUND_TIMEOUT_MS = 20_000;
const STOP = -1;

/** An ioctl that the other thread makes. */
export interface RacerCall {
  readonly file: Pick<OwnedDescriptor, "duplicate">;
  readonly request: number;
  readonly argument: Uint8Array;
}

/** How often a call succeeded and failed, over all rounds. */
interface RacerResult {
  readonly succeeded: number;
  readonly failed: number;
  /** Names of the errnos that it failed with, by number. */
  readonly errors: readonly string[];
}

/** A second thread that makes ioctls while this one does something else: the kernel sees both at the same time. */
export class Racer implements AsyncDisposable {
  readonly #worker: Worker;
  /** Duplicates of the files' descriptors. The thread gets only their numbers. */
  readonly #lent: readonly OwnedDescriptor[];
  readonly #steps: readonly RacerStep[];
  readonly #memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  #round = 0;

  /** Starts the thread. The files stay open until the racer is disposed of. */
  static start(calls: readonly RacerCall[]): Racer {
    const racer = new Racer(calls);
    if (Atomics.wait(racer.#words, WORDS.ready, 0, START_TIMEOUT_MS) === "timed-out") {
      throw new Error(`the racing thread did not start in ${START_TIMEOUT_MS} ms`);
    }
    return racer;
  }

  private constructor(calls: readonly RacerCall[]) {
    this.#lent = calls.map(({ file }) => file.duplicate());
    this.#steps = calls.map(({ request, argument }, index) => ({
      fd: this.#lent[index]?.descriptor("race") ?? -1,
      request,
      length: argument.length,
    }));
    this.#memory = new SharedArrayBuffer(argumentOffset(this.#steps, calls.length));
    this.#words = new Int32Array(this.#memory, 0, WORD_COUNT + calls.length * RESULT_COUNT);
    calls.forEach(({ argument }, index) => this.setArgument(index, argument));
    const workerData: RacerRequest = { steps: this.#steps, memory: this.#memory };
    this.#worker = new Worker(join(__dirname, "racer-worker.js"), { workerData });
  }

  /** Sets a call's argument, from the next round on. It must be as long as the first one. */
  setArgument(call: number, argument: Uint8Array): void {
    new Uint8Array(this.#memory, argumentOffset(this.#steps, call), argument.length).set(argument);
  }

  /** Makes the other thread make its calls `repeats` times while `meanwhile` runs here. Returns when both are done. */
  race(repeats: number, meanwhile: () => void): void {
    const words = this.#words;
    Atomics.store(words, WORDS.repeats, repeats);
    Atomics.store(words, WORDS.round, ++this.#round);
    Atomics.notify(words, WORDS.round);
    try {
      meanwhile();
    } finally {
      this.#waitForRound();
    }
  }

  /** Whether the other thread is still at it. */
  get running(): boolean {
    return Atomics.load(this.#words, WORDS.finished) !== this.#round;
  }

  result(call: number): RacerResult {
    const word = (name: Parameters<typeof resultWord>[1]) => Atomics.load(this.#words, resultWord(call, name));
    const errnos = Array.from({ length: 32 * ERRNO_WORDS }, (_, errno) => errno).filter((errno) => {
      const bits = Atomics.load(this.#words, resultWord(call, "errnos") + (errno >> 5));
      return ((bits >>> (errno & 31)) & 1) === 1;
    });
    return { succeeded: word("succeeded"), failed: word("failed"), errors: errnos.map(errnoName) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#worker, "exit");
    Atomics.store(this.#words, WORDS.round, STOP);
    Atomics.notify(this.#words, WORDS.round);
    await ended;
    closeAll(
      "the racing thread",
      this.#lent.map((file) => () => file.close()),
    );
  }

  #waitForRound(): void {
    const deadline = performance.now() + ROUND_TIMEOUT_MS;
    for (;;) {
      const finished = Atomics.load(this.#words, WORDS.finished);
      if (finished === this.#round) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`the racing thread did not end its round in ${ROUND_TIMEOUT_MS} ms`);
      Atomics.wait(this.#words, WORDS.finished, finished, left);
    }
  }
}
