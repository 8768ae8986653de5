import { native, type NativeBinding, type NativePoller } from "@vfio-selftests/native";
import { closedError, systemError, VfioError } from "../errors/vfio-error";
import { type AsyncWaitOptions, LONGEST_WAIT_MS, waitLimit } from "./time-out";

/** poll(2). */
const POLLIN = 1;
const ECANCELED = -125;

/** How waits for a file tell of it. */
export interface FileReadinessOptions {
  /** The file's name in errors: `0000:01:00.0 MSI-X vector 3`. */
  readonly label: string;
  /** The error of a wait that took `timeoutMs` in vain. */
  readonly timeOut: (operation: string, timeoutMs: number) => VfioError;
  /** For tests. Default: the addon's. */
  readonly createPoller?: NativeBinding["createPoller"];
}

/** What a wait is for. */
export interface Awaited<T> {
  /** Takes what is there now, if anything. */
  readonly take: () => T | undefined;
  /**
   * Starts one wait of the poller, which calls `ended` with the events or a negative errno. A poller that takes by itself
   * calls `taken` instead. The result is 0 or a negative errno. Default: the file can be read.
   */
  readonly start?: (
    poller: NativePoller,
    timeoutMs: number,
    ref: boolean,
    taken: (value: T) => void,
    ended: (result: number) => void,
  ) => number;
}

/**
 * Waits on the event loop until a file has something to read. Only one wait may be under way. Does not close the file.
 */
export class FileReadiness {
  readonly #descriptor: (operation: string) => number;
  readonly #options: FileReadinessOptions;
  #poller: NativePoller | undefined;
  /** Ends the newest wait with the events or a negative errno. Without effect on a wait that has ended. */
  #settle: ((result: number) => void) | undefined;
  #closed = false;

  /** `descriptor` returns the file's descriptor, or throws `ERR_CLOSED` once its owner is closed. */
  constructor(descriptor: (operation: string) => number, options: FileReadinessOptions) {
    this.#descriptor = descriptor;
    this.#options = options;
  }

  /**
   * Takes what is awaited, now or as soon as the file can be read. Rejects with the error of
   * {@link FileReadinessOptions.timeOut} after `limitMs` (default {@link waitLimit}; Infinity: never), with the signal's
   * reason, with `EBUSY` while another wait is under way, with `ERR_CLOSED` when closed meanwhile, and with any error of
   * `take`.
   *
   * The promise is the only one between the event and the caller, and a poller that takes by itself resolves it without
   * any other JavaScript. Each further promise or function delays an interrupt by a microsecond.
   */
  until<T>(operation: string, awaited: Awaited<T>, options: AsyncWaitOptions = {}, limitMs?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal, ref = true } = options;
      const { take, start = untilReadable } = awaited;
      const limit = limitMs ?? waitLimit(operation, options);
      signal?.throwIfAborted();
      if (!this.#closed && this.#poller?.waiting() === true) throw this.#busy(operation);
      const deadline = performance.now() + limit;
      const onAbort = (): void => {
        this.#poller?.stop();
      };
      const stopListening = (): void => signal?.removeEventListener("abort", onAbort);
      const succeed =
        signal === undefined
          ? resolve
          : (taken: T): void => {
              stopListening();
              resolve(taken);
            };
      /** Tries once. Waits for the next event if there was nothing to take. */
      const attempt = (): void => {
        const taken = take();
        if (taken !== undefined) {
          succeed(taken);
          return;
        }
        const left = deadline - performance.now();
        if (left <= 0) throw this.#options.timeOut(operation, limit);
        const timeoutMs = Math.min(Math.ceil(left), LONGEST_WAIT_MS);
        const started = start(this.#openPoller(), timeoutMs, ref, succeed, settle);
        if (started < 0) throw this.#pollError(started);
      };
      const settle = (result: number): void => {
        try {
          signal?.throwIfAborted();
          if (this.#closed) throw closedError(operation, this.#options.label);
          if (result < 0) throw this.#pollError(result);
          attempt();
        } catch (error) {
          stopListening();
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a signal's reason may be anything
          reject(error);
        }
      };
      this.#settle = settle;
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        attempt();
      } catch (error) {
        stopListening();
        throw error;
      }
    });
  }

  /** Rejects a wait under way with `ERR_CLOSED`. Idempotent. Close the file afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller?.close();
    this.#settle?.(ECANCELED);
  }

  #openPoller(): NativePoller {
    if (this.#poller === undefined) {
      const { createPoller = native.createPoller, label } = this.#options;
      const poller = createPoller(this.#descriptor("wait"));
      if (typeof poller === "number") throw systemError(poller, "epoll", { subject: label });
      this.#poller = poller;
    }
    return this.#poller;
  }

  #pollError(result: number): VfioError {
    return systemError(result, "poll", { subject: this.#options.label });
  }

  #busy(operation: string): VfioError {
    const { label } = this.#options;
    return new VfioError(`${operation}: another wait for ${label} is under way`, {
      code: "EBUSY",
      operation,
      subject: label,
      remedy: "await the first one, or end it with its AbortSignal",
    });
  }
}

function untilReadable(
  poller: NativePoller,
  timeoutMs: number,
  ref: boolean,
  _taken: unknown,
  ended: (result: number) => void,
): number {
  return poller.start(POLLIN, timeoutMs, ref, ended);
}
