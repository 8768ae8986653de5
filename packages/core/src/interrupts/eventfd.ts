import { native, type NativePoller } from "@vfio-selftests/native";
import { VfioError, argumentError, closedError, systemError } from "../errors/vfio-error";
import { DEFAULT_WAIT_MS, checkTimeout } from "./time-out";

/** eventfd(2), fcntl(2): `<asm-generic/fcntl.h>`. */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
/** poll(2). */
const POLLIN = 1;
/** The longest one blocking native wait may last, in milliseconds. */
const LONGEST_BLOCK_MS = 60_000;
const EAGAIN = -11;
const EINTR = -4;
const ECANCELED = -125;

export interface WaitOptions {
  /** Milliseconds to wait at most; default 5000. */
  readonly timeoutMs?: number;
}

export interface AsyncWaitOptions extends WaitOptions {
  /** Ends the wait: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether the wait keeps the process alive; default true. */
  readonly ref?: boolean;
}

/**
 * A Linux eventfd: a 64-bit counter that others (the kernel, a device) add to and a read takes and resets.
 * Every read gives the count as a bigint of at least 1.
 */
export class Eventfd implements Disposable {
  /** What it stands for, in errors: `0000:01:00.0 MSI-X vector 3`. */
  readonly label: string;
  readonly #fd: number;
  readonly #bytes = new Uint8Array(8);
  readonly #counter = new DataView(this.#bytes.buffer);
  #poller: NativePoller | undefined;
  /** Ends the wait under way, with the events or a negative errno. */
  #settleWait: ((result: number) => void) | undefined;
  #closed = false;

  constructor(label = "eventfd") {
    const fd = native.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
      throw systemError(fd, "eventfd", {
        subject: label,
        ...(fd === -24 ? { remedy: "raise the limit of open files (`ulimit -n`): every vector takes one" } : {}),
      });
    }
    this.label = label;
    this.#fd = fd;
  }

  /** The file descriptor, to hand to the kernel; owned by this object. */
  get fd(): number {
    this.#checkOpen("Eventfd.fd");
    return this.#fd;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Takes the count when there is one; never blocks. */
  tryRead(): bigint | undefined {
    this.#checkOpen("Eventfd.tryRead");
    const result = native.read(this.#fd, this.#bytes);
    if (result === 8) return this.#counter.getBigUint64(0, true);
    if (result === EAGAIN) return undefined;
    throw systemError(result, "read", { subject: this.label });
  }

  /** Adds to the counter, as a device's interrupt does. */
  signal(count = 1n): void {
    this.#checkOpen("Eventfd.signal");
    // The counter holds at most 2^64 - 2, and adding 0 wakes nobody (eventfd(2)).
    if (count < 1n || count > 0xffff_ffff_ffff_fffen) {
      throw argumentError("Eventfd.signal", "count", count, "0x1 to 0xfffffffffffffffe");
    }
    this.#counter.setBigUint64(0, count, true);
    const result = native.write(this.#fd, this.#bytes);
    if (result < 0) throw systemError(result, "write", { subject: this.label });
  }

  /** Blocks the thread until there is a count, and takes it. Throws `ETIMEDOUT`. */
  waitSync(options: WaitOptions = {}): bigint {
    const timeoutMs = checkTimeout("Eventfd.waitSync", options.timeoutMs ?? DEFAULT_WAIT_MS);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const count = this.tryRead();
      if (count !== undefined) return count;
      const left = deadline - performance.now();
      if (left <= 0) throw this.#timeOut("Eventfd.waitSync", timeoutMs);
      const result = native.pollBlocking(this.#fd, POLLIN, Math.min(Math.ceil(left), LONGEST_BLOCK_MS));
      if (result < 0 && result !== EINTR) throw systemError(result, "poll", { subject: this.label });
    }
  }

  /**
   * Waits on the event loop until there is a count, and takes it. One wait at a time. Rejects with `ETIMEDOUT`, with the
   * signal's reason, and with `ERR_CLOSED` when closed meanwhile.
   */
  async wait(options: AsyncWaitOptions = {}): Promise<bigint> {
    const operation = "Eventfd.wait";
    const timeoutMs = checkTimeout(operation, options.timeoutMs ?? DEFAULT_WAIT_MS);
    const { signal, ref = true } = options;
    signal?.throwIfAborted();
    if (this.#settleWait !== undefined) throw this.#busy(operation);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const count = this.tryRead();
      if (count !== undefined) return count;
      const left = deadline - performance.now();
      if (left <= 0) throw this.#timeOut(operation, timeoutMs);
      const result = await this.#readable(left, ref, signal);
      signal?.throwIfAborted();
      if (this.#closed) throw closedError(operation, this.label);
      if (result < 0) throw systemError(result, "poll", { subject: this.label });
    }
  }

  /** Throws `ERR_UNEXPECTED_EVENT` when there is a count now, or within `withinMs` (default 0: only now). Takes it. */
  assertNone(options: { readonly withinMs?: number } = {}): void {
    const deadline = performance.now() + checkTimeout("Eventfd.assertNone", options.withinMs ?? 0);
    for (;;) {
      const count = this.tryRead();
      if (count !== undefined) {
        throw new VfioError(`${this.label} was signalled ${count} time(s), expected none`, {
          code: "ERR_UNEXPECTED_EVENT",
          operation: "Eventfd.assertNone",
          subject: this.label,
        });
      }
      const left = deadline - performance.now();
      if (left <= 0) return;
      const result = native.pollBlocking(this.#fd, POLLIN, Math.min(Math.ceil(left), LONGEST_BLOCK_MS));
      if (result < 0 && result !== EINTR) throw systemError(result, "poll", { subject: this.label });
    }
  }

  /** Rejects a wait under way with `ERR_CLOSED`, then closes. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller?.close();
    this.#settleWait?.(ECANCELED);
    native.close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Resolves once: with the ready events, 0 at the time-out, or a negative errno. */
  #readable(timeoutMs: number, ref: boolean, signal: AbortSignal | undefined): Promise<number> {
    const poller = this.#openPoller();
    return new Promise((resolve) => {
      const onAbort = (): void => {
        poller.stop();
      };
      const settle = (result: number): void => {
        this.#settleWait = undefined;
        signal?.removeEventListener("abort", onAbort);
        resolve(result);
      };
      this.#settleWait = settle;
      signal?.addEventListener("abort", onAbort, { once: true });
      const started = poller.start(POLLIN, Math.ceil(timeoutMs), ref, settle);
      if (started < 0) settle(started);
    });
  }

  #openPoller(): NativePoller {
    if (this.#poller === undefined) {
      const poller = native.createPoller(this.#fd);
      if (typeof poller === "number") throw systemError(poller, "epoll", { subject: this.label });
      this.#poller = poller;
    }
    return this.#poller;
  }

  #busy(operation: string): VfioError {
    return new VfioError(`${operation}: another wait for ${this.label} is under way`, {
      code: "EBUSY",
      operation,
      subject: this.label,
      remedy: "await the first one, or end it with its AbortSignal",
    });
  }

  #timeOut(operation: string, timeoutMs: number): VfioError {
    return new VfioError(`${operation}: ${this.label} was not signalled within ${timeoutMs} ms`, {
      code: "ETIMEDOUT",
      errno: 110,
      operation,
      subject: this.label,
    });
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw closedError(operation, this.label);
  }
}
