import { native } from "@vfio-selftests/native";
import { argumentError, systemError, VfioError } from "../errors/vfio-error";
import { OwnedDescriptor } from "../ownership/owned-descriptor";
import { type Awaited, FileReadiness } from "../waits/file-readiness";
import { type AsyncWaitOptions, checkTimeout, DEFAULT_WAIT_MS, type WaitOptions } from "../waits/time-out";

/** eventfd(2), fcntl(2): `<asm-generic/fcntl.h>`. */
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
/** poll(2). */
const POLLIN = 1;
/** The longest single wait in native code that blocks, in milliseconds. */
const LONGEST_BLOCK_MS = 60_000;
const EAGAIN = -11;
const EINTR = -4;

/**
 * A Linux eventfd: a 64-bit counter. Others (the kernel, a device) add to it; a read takes the count and resets it.
 * Every read gives the count as a bigint of at least 1.
 */
export class Eventfd implements Disposable, AsyncIterable<bigint> {
  /** Its name in errors: `0000:01:00.0 MSI-X vector 3`. */
  readonly label: string;
  readonly #file: OwnedDescriptor;
  readonly #bytes = new Uint8Array(8);
  readonly #counter = new DataView(this.#bytes.buffer);
  readonly #readiness: FileReadiness;
  readonly #count: Awaited<bigint> = {
    take: () => this.tryRead(),
    start: (poller, timeoutMs, ref, taken, ended) => poller.take(timeoutMs, ref, taken, ended),
  };

  /** Makes the eventfd (EFD_NONBLOCK). Throws VfioError with the kernel's errno (`EMFILE`). */
  constructor(label = "eventfd") {
    const fd = native.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
      throw systemError(fd, "eventfd", {
        subject: label,
        ...(fd === -24 ? { remedy: "raise the limit of open files (`ulimit -n`): every vector takes one" } : {}),
      });
    }
    this.label = label;
    this.#file = new OwnedDescriptor(fd, label);
    this.#readiness = new FileReadiness((operation) => this.#file.descriptor(operation), {
      label,
      timeOut: (operation, timeoutMs) => this.#timeOut(operation, timeoutMs),
    });
    this.#file.adopt(this.#readiness);
  }

  /** The file descriptor, for the kernel. This object owns it. */
  get fd(): number {
    return this.#file.descriptor("Eventfd.fd");
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#file.closed;
  }

  /** Takes the count if there is one. Never blocks. */
  tryRead(): bigint | undefined {
    const result = native.read(this.#file.descriptor("Eventfd.tryRead"), this.#bytes);
    if (result === 8) return this.#counter.getBigUint64(0, true);
    if (result === EAGAIN) return undefined;
    throw systemError(result, "read", { subject: this.label });
  }

  /** Adds to the counter, as a device's interrupt does. */
  signal(count = 1n): void {
    const descriptor = this.#file.descriptor("Eventfd.signal");
    // The counter holds at most 2^64 - 2, and adding 0 wakes nobody (eventfd(2)).
    if (typeof (count as unknown) !== "bigint" || count < 1n || count > 0xffff_ffff_ffff_fffen) {
      throw argumentError("Eventfd.signal", "count", count, "a bigint from 0x1 to 0xfffffffffffffffe");
    }
    this.#counter.setBigUint64(0, count, true);
    const result = native.write(descriptor, this.#bytes);
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
      const result = native.pollBlocking(
        this.#file.descriptor("Eventfd.waitSync"),
        POLLIN,
        Math.min(Math.ceil(left), LONGEST_BLOCK_MS),
      );
      if (result < 0 && result !== EINTR) throw systemError(result, "poll", { subject: this.label });
    }
  }

  /**
   * Waits on the event loop until there is a count, and takes it. Only one wait may be under way. Rejects with
   * `ETIMEDOUT`, with the signal's reason, or with `ERR_CLOSED` when closed meanwhile.
   */
  wait(options: AsyncWaitOptions = {}): Promise<bigint> {
    return this.#readiness.until("Eventfd.wait", this.#count, options);
  }

  /**
   * The counts, as they come. The iteration is bounded by closing the eventfd, or by a `break`. It throws the signal's
   * reason, or `ETIMEDOUT` when no count comes for `timeoutMs`.
   */
  async *counts(options: AsyncWaitOptions = {}): AsyncGenerator<bigint, void, undefined> {
    const operation = "Eventfd.counts";
    this.#file.descriptor(operation);
    const { timeoutMs } = options;
    const limit = timeoutMs === undefined ? Infinity : checkTimeout(operation, timeoutMs);
    while (!this.closed) {
      let count: bigint;
      try {
        count = await this.#readiness.until(operation, this.#count, options, limit);
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
    this.#file.close();
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
}

function isClosed(error: unknown): boolean {
  return error instanceof VfioError && error.code === "ERR_CLOSED";
}
