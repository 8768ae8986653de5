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
  readonly createPoller?: NativeBinding["createPoller"];
}

/**
 * Waits on the event loop until a file has something to read. Only one wait may be under way. Does not close the file.
 */
export class FileReadiness {
  readonly #descriptor: (operation: string) => number;
  readonly #options: FileReadinessOptions;
  #poller: NativePoller | undefined;
  /** Ends the wait under way, with the events or a negative errno. */
  #settle: ((result: number) => void) | undefined;
  #closed = false;

  /** `descriptor` returns the file's descriptor, or throws `ERR_CLOSED` once its owner is closed. */
  constructor(descriptor: (operation: string) => number, options: FileReadinessOptions) {
    this.#descriptor = descriptor;
    this.#options = options;
  }

  /**
   * Calls `take`, now and whenever the file can be read, until it returns something. Rejects with the error of
   * {@link FileReadinessOptions.timeOut} after `limitMs` (default {@link waitLimit}; Infinity: never), with the signal's
   * reason, with `EBUSY` while another wait is under way, with `ERR_CLOSED` when closed meanwhile, and with any error of
   * `take`.
   *
   * The promise is the only one between the event and the caller. Each further one delays an interrupt by a microsecond.
   */
  until<T>(operation: string, take: () => T | undefined, options: AsyncWaitOptions = {}, limitMs?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal, ref = true } = options;
      const limit = limitMs ?? waitLimit(operation, options);
      signal?.throwIfAborted();
      if (this.#settle !== undefined) throw this.#busy(operation);
      const deadline = performance.now() + limit;
      const onAbort = (): void => {
        this.#poller?.stop();
      };
      /** Tries once. Waits for the next event if there was nothing to take. */
      const attempt = (): void => {
        const taken = take();
        if (taken !== undefined) {
          end();
          resolve(taken);
          return;
        }
        const left = deadline - performance.now();
        if (left <= 0) throw this.#options.timeOut(operation, limit);
        const started = this.#openPoller().start(POLLIN, Math.min(Math.ceil(left), LONGEST_WAIT_MS), ref, settle);
        if (started < 0) throw this.#pollError(started);
      };
      const settle = (result: number): void => {
        try {
          signal?.throwIfAborted();
          if (this.#closed) throw closedError(operation, this.#options.label);
          if (result < 0) throw this.#pollError(result);
          attempt();
        } catch (error) {
          end();
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a signal's reason may be anything
          reject(error);
        }
      };
      const end = (): void => {
        this.#settle = undefined;
        signal?.removeEventListener("abort", onAbort);
      };
      this.#settle = settle;
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        attempt();
      } catch (error) {
        end();
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
