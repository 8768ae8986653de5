import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** Milliseconds for a write that nothing holds up any more. */
const END_MS = 20_000;

/**
 * A write to a file of the kernel that may return only when this process closes a device. Another process makes it.
 * At disposal the write must be free to end.
 */
export class PendingWrite implements AsyncDisposable {
  readonly path: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #messages = "";

  constructor(path: string, value: string) {
    this.path = path;
    this.#process = spawn("sh", ["-c", 'printf "%s\\n" "$2" >"$1"', "sh", path, value], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#messages += text));
    this.#ended = once(this.#process, "close");
  }

  /** Whether the kernel still holds the write up. It lets events come in first, and the process's end is one. */
  async waits(): Promise<boolean> {
    await delay(0);
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Looks for this many milliseconds whether the kernel holds the write up. */
  async waitsFor(milliseconds: number): Promise<boolean> {
    await Promise.race([this.#ended, delay(milliseconds)]);
    return this.waits();
  }

  /** Asks the process to end. One that waits in the kernel may not be able to. */
  interrupt(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits for the end. Resolves with `ok`, the shell's words about the error, or a signal's name. */
  async end(): Promise<string> {
    const ended = await Promise.race([this.#ended.then(() => true), delay(END_MS, false, { ref: false })]);
    if (!ended) throw new Error(`the write to ${this.path} did not return within ${END_MS} ms`);
    const { exitCode, signalCode } = this.#process;
    return exitCode === 0 ? "ok" : (signalCode ?? this.#messages.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}
