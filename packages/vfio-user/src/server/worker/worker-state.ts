/** What a model's thread and its owner share without messages: either may be blocked in a system call. */

import type { ModelModule } from "./load-model";

/** What the thread is started with. */
export interface WorkerInput extends ModelModule {
  readonly state: SharedArrayBuffer;
  /** A listening socket, the owner's: its clients are served one after the other. */
  readonly listenFd: number | undefined;
  /** The connection of the only client, taken over. Without either the owner sends connected sockets. */
  readonly clientFd: number | undefined;
  readonly trustClients: boolean;
}

/** Sent by the thread once it serves or has failed. */
export const STARTED = "started";

/** Sent instead of a socket: nothing more will come. */
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

  /** `memory`: the other side's; without it a new state is made. */
  constructor(memory = new SharedArrayBuffer(WORDS * 4 + MESSAGE_BYTES)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, WORDS);
  }

  /** The connection that the thread serves: a thread that is ended by force does not close it. -1: none. */
  get clientFd(): number {
    return Atomics.load(this.#words, CLIENT) - 1;
  }

  set clientFd(fd: number) {
    Atomics.store(this.#words, CLIENT, fd + 1);
  }

  /** The kernel's number of the thread, by which a system call that blocks it is interrupted; 0: none. */
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

  /** Blocks until the status is another one than `status`, at most `timeoutMs`. */
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

  /** What {@link fail} was called with. */
  get failure(): string | undefined {
    if (this.status !== "failed") return undefined;
    const length = Atomics.load(this.#words, MESSAGE_LENGTH);
    return new TextDecoder().decode(new Uint8Array(this.memory, WORDS * 4, length).slice());
  }
}
