import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Eventfd } from "@vfio-selftests/core";
import { ADDRESS_OFFSET, awaitChange, FAULT_BYTES, FAULT_WORDS, type FaultRequest, STOP } from "./fault-memory";

const START_TIMEOUT_MS = 20_000;
const ROUND_TIMEOUT_MS = 20_000;

/** A second thread that touches memory of this process at the same moment as this one. */
export class FaultRacer implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #memory = new SharedArrayBuffer(FAULT_BYTES);
  readonly #words = new Int32Array(this.#memory, 0, ADDRESS_OFFSET / 4);
  readonly #address = new BigUint64Array(this.#memory, ADDRESS_OFFSET, 1);
  /** The descriptor that the thread's requests go to; they need one, and change nothing but its O_NONBLOCK. */
  readonly #eventfd = new Eventfd("fault race");
  #round = 0;

  static start(): FaultRacer {
    const racer = new FaultRacer();
    if (Atomics.wait(racer.#words, FAULT_WORDS.ready, 0, START_TIMEOUT_MS) === "timed-out") {
      throw new Error(`the faulting thread did not start in ${START_TIMEOUT_MS} ms`);
    }
    return racer;
  }

  private constructor() {
    const workerData: FaultRequest = { memory: this.#memory, fd: this.#eventfd.fd };
    this.#worker = new Worker(join(__dirname, "fault-worker.js"), { workerData });
  }

  /** The other thread touches `address` while `meanwhile` runs here. The kernel's answer to it: 0 or `-errno`. */
  race(address: bigint, meanwhile: () => void): number {
    const words = this.#words;
    this.#address[0] = address;
    Atomics.store(words, FAULT_WORDS.round, ++this.#round);
    Atomics.notify(words, FAULT_WORDS.round);
    try {
      meanwhile();
    } finally {
      this.#waitForRound();
    }
    return Atomics.load(words, FAULT_WORDS.result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#worker, "exit");
    Atomics.store(this.#words, FAULT_WORDS.round, STOP);
    Atomics.notify(this.#words, FAULT_WORDS.round);
    await ended;
    this.#eventfd.close();
  }

  #waitForRound(): void {
    const finished = awaitChange(this.#words, FAULT_WORDS.finished, this.#round - 1, ROUND_TIMEOUT_MS);
    if (finished !== this.#round) throw new Error(`the faulting thread did not end in ${ROUND_TIMEOUT_MS} ms`);
  }
}
