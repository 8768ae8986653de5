import { native } from "@vfio-selftests/native";
import { VfioError, argumentError, closedError, systemError } from "../errors/vfio-error";
import { FileReadiness } from "../waits/file-readiness";
import { DEFAULT_WAIT_MS, checkTimeout, waitLimit, type AsyncWaitOptions, type WaitOptions } from "../waits/time-out";

/** eventfd(2), fcntl(2): `<asm-generic/fcntl.h>`. */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
/** poll(2). */
const POLLIN = 1;
/** The longest one blocking native wait may last, in milliseconds. */
const LONGEST_BLOCK_MS = 60_000;
const EAGAIN = -11;
const EINTR = -4;

/**
 * A Linux eventfd: a 64-bit counter that others (the kernel, a device) add to and a read takes and resets.
 * Every read gives the count as a bigint of at least 1.
 */
export class Eventfd implements Disposable, AsyncIterable<bigint> {
  /** What it stands for, in errors: `0000:01:00.0 MSI-X vector 3`. */
  readonly label: string;
  readonly #fd: number;
  readonly #bytes = new Uint8Array(8);
  readonly #counter = new DataView(this.#bytes.buffer);
  readonly #readiness: FileReadiness;
  readonly #take = (): bigint | undefined => this.tryRead();
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
    this.#readiness = new FileReadiness(fd, {
      label,
      timeOut: (operation, timeoutMs) => this.#timeOut(operation, timeoutMs),
    });
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
    const limit = waitLimit(operation, options);
    return this.#readiness.until(operation, this.#take, limit, options.signal, options.ref ?? true);
  }

  /**
   * The counts, as they come. The iteration ends when the eventfd is closed: that, or a `break`, is its bound. It throws
   * the signal's reason, and `ETIMEDOUT` when no count comes for `timeoutMs`.
   */
  async *counts(options: AsyncWaitOptions = {}): AsyncGenerator<bigint, void, undefined> {
    const operation = "Eventfd.counts";
    this.#checkOpen(operation);
    const { timeoutMs, signal, ref = true } = options;
    const limit = timeoutMs === undefined ? Infinity : checkTimeout(operation, timeoutMs);
    while (!this.#closed) {
      let count: bigint;
      try {
        count = await this.#readiness.until(operation, this.#take, limit, signal, ref);
      } catch (error) {
        if (isClosed(error)) return;
        throw error;
      }
      yield count;
    }
  }

  /** `for await (const count of vector)`: see {@link counts}. */
  [Symbol.asyncIterator](): AsyncGenerator<bigint, void, undefined> {
    return this.counts();
  }

  /** Rejects a wait under way with `ERR_CLOSED`, then closes. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.close();
    native.close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
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

function isClosed(error: unknown): boolean {
  return error instanceof VfioError && error.code === "ERR_CLOSED";
}
