/**
 * The state that a model's thread and its owner share without messages, because either may be blocked in a system call.
 */

import type { ModelModule } from "./load-model";

/** What the thread gets at its start. */
export interface WorkerInput extends ModelModule {
  readonly state: SharedArrayBuffer;
  /** The owner's listening socket. The thread serves its clients one after the other. */
  readonly listenFd: number | undefined;
  /** The connection of the only client, which the thread owns. Without either, the owner sends connected sockets. */
  readonly clientFd: number | undefined;
  readonly trustClients: boolean;
}

/** The thread sends it once it serves or has failed. */
export const STARTED = "started";

/** The owner sends it instead of a socket when nothing more will come. */
export const END = -1;

/** Words of the shared memory. */
const STOP = 0;
const STATUS = 1;
const MESSAGE_LENGTH = 2;
const CLIENT = 3;
const THREAD = 4;
const WORDS = 5;
const MESSAGE_BYTES = 2048;

export type WorkerStatus = "starting" | "serving" | "failed" | "ended";
const STATUSES: readonly WorkerStatus[] = ["starting", "serving", "failed", "ended"];

export class WorkerState {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** `memory`: the other side's. Without it the constructor makes a new state. */
  constructor(memory = new SharedArrayBuffer(WORDS * 4 + MESSAGE_BYTES)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, WORDS);
  }

  /** The connection that the thread serves, because a thread that is ended by force does not close it. -1: none. */
  get clientFd(): number {
    return Atomics.load(this.#words, CLIENT) - 1;
  }

  set clientFd(fd: number) {
    Atomics.store(this.#words, CLIENT, fd + 1);
  }

  /** The kernel's number of the thread, for interrupting its system calls. 0: none. */
  get tid(): number {
    return Atomics.load(this.#words, THREAD);
  }

  set tid(tid: number) {
    Atomics.store(this.#words, THREAD, tid);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  get status(): WorkerStatus {
    return STATUSES[Atomics.load(this.#words, STATUS)] ?? "failed";
  }

  set status(status: WorkerStatus) {
    Atomics.store(this.#words, STATUS, STATUSES.indexOf(status));
    Atomics.notify(this.#words, STATUS);
  }

  /** Blocks until the status differs from `status`, at most for `timeoutMs`. */
  waitWhile(status: WorkerStatus, timeoutMs: number): WorkerStatus {
    Atomics.wait(this.#words, STATUS, STATUSES.indexOf(status), timeoutMs);
    return this.status;
  }

  fail(message: string): void {
    const text = new TextEncoder().encode(message).subarray(0, MESSAGE_BYTES);
    new Uint8Array(this.memory, WORDS * 4).set(text);
    Atomics.store(this.#words, MESSAGE_LENGTH, text.length);
    this.status = "failed";
  }

  /** The argument of {@link fail}. */
  get failure(): string | undefined {
    if (this.status !== "failed") return undefined;
    const length = Atomics.load(this.#words, MESSAGE_LENGTH);
    return new TextDecoder().decode(new Uint8Array(this.memory, WORDS * 4, length).slice());
  }
}
