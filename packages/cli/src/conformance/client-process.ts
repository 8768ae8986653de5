import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { signalTree } from "./process-tree";

/** How a process ended by itself. */
export interface ProcessEnding {
  readonly code: number | null;
  readonly signal: string | null;
}

/** How long a client may take to end when its server has gone, and when it is told to, in milliseconds. */
const END_MS = 2_000;
const SLICE_MS = 10;
/** A client that was alive until this command ended it. */
const ALIVE: ProcessEnding = { code: null, signal: null };

/** A client that this command started. */
export class ClientProcess implements Disposable {
  readonly #child: ChildProcess;
  #ending: ProcessEnding | undefined;

  constructor(command: readonly string[], socket: string) {
    const [program = "", ...args] = command.map((word) => word.replaceAll("{socket}", socket));
    this.#child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
    this.#child.once("error", () => (this.#ending = { code: 127, signal: null }));
    this.#child.once("exit", (code, signal) => (this.#ending = { code, signal }));
  }

  /** Undefined while it runs. */
  get ending(): ProcessEnding | undefined {
    return this.#ending;
  }

  /** Waits for its end, and ends it where it goes on without its server, as it may. */
  async end(): Promise<ProcessEnding> {
    await this.#wait();
    if (this.#ending !== undefined) return this.#ending;
    signalTree(this.#child, "SIGTERM");
    await this.#wait();
    return ALIVE;
  }

  [Symbol.dispose](): void {
    if (this.#ending === undefined) signalTree(this.#child, "SIGKILL");
  }

  async #wait(): Promise<void> {
    const deadline = performance.now() + END_MS;
    while (this.#ending === undefined && performance.now() < deadline) await delay(SLICE_MS);
  }
}
