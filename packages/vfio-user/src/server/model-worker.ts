import { native } from "@vfio-selftests/native";
import { VfioError } from "@vfio-selftests/core";
import { closedError, systemError } from "@vfio-selftests/core/errors";
import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { END, WorkerState } from "./worker-state";
import type { WorkerInput } from "./worker-state";

export interface ModelWorkerOptions {
  /** Absolute path (or package specifier that resolves from here) of a CommonJS module. */
  readonly module: string;
  /** The module's function that makes the model: `(options) => DeviceModel`. Default `createModel`. */
  readonly exportName?: string;
  /** Handed to that function; anything that structuredClone takes. */
  readonly options?: unknown;
  /** Where to listen for clients. Without it, only {@link ModelWorker.connect} makes connections. */
  readonly socketPath?: string;
  /** See {@link ServedDeviceOptions.trustClients}. Default false. */
  readonly trustClients?: boolean;
  /** Node options of the thread. */
  readonly execArgv?: readonly string[];
}

/** How long a thread may take to load its model, in milliseconds. */
const START_TIMEOUT_MS = 20_000;
/** How long it may take to end (it looks every few milliseconds whether it shall) before it is terminated. */
const STOP_TIMEOUT_MS = 2_000;

const running = new Set<WorkerState>();
let exitHook = false;

/**
 * A device model in a thread of its own, serving vfio-user. The thread never keeps the process alive: unless the program
 * does something else, it ends.
 */
export class ModelWorker implements Disposable {
  readonly #state = new WorkerState();
  readonly #worker: Worker;
  readonly #name: string;
  #closed: Promise<void> | undefined;

  /** Starts the thread and returns at once; see {@link ready}. */
  constructor(options: ModelWorkerOptions) {
    const input: WorkerInput = {
      state: this.#state.memory,
      module: options.module,
      exportName: options.exportName ?? "createModel",
      options: options.options,
      socketPath: options.socketPath,
      trustClients: options.trustClients ?? false,
    };
    this.#name = `model of ${options.module}`;
    this.#worker = new Worker(join(__dirname, `worker-main${extname(__filename)}`), {
      workerData: input,
      ...(options.execArgv === undefined ? {} : { execArgv: [...options.execArgv] }),
    });
    this.#worker.on("error", (error) => {
      if (this.#state.status !== "ended") this.#state.fail(error instanceof Error ? error.message : String(error));
    });
    this.#worker.unref();
    running.add(this.#state);
    if (!exitHook) {
      exitHook = true;
      // A thread that is not told would go on serving, and hold up the end of the process.
      process.once("exit", () => {
        for (const state of running) state.stop();
      });
    }
  }

  /** Why there is no model, once that is known. */
  get failure(): string | undefined {
    return this.#state.failure;
  }

  /** Blocks until the model is loaded (and, with a socket path, listening). Throws what went wrong. */
  ready(): void {
    const status = this.#state.waitWhile("starting", START_TIMEOUT_MS);
    if (status === "serving") return;
    throw new VfioError(
      `${this.#name}: ${this.failure ?? (status === "starting" ? "not loaded in time" : "has ended")}`,
      {
        code: status === "starting" ? "ETIMEDOUT" : "ERR_MODEL",
        operation: "ModelWorker",
        subject: this.#name,
      },
    );
  }

  /**
   * Makes a connection: gives the client's end, which the caller owns. The model serves one client at a time and keeps
   * its state; the next one is served when the one before has closed.
   */
  connect(): number {
    if (this.#closed !== undefined) throw closedError("ModelWorker.connect", this.#name);
    const pair = native.socketpair();
    if (typeof pair === "number") throw systemError(pair, "socketpair", { subject: this.#name });
    this.#worker.postMessage(pair[1]);
    return pair[0];
  }

  /** Stops serving and ends the thread. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  async #end(): Promise<void> {
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    this.#worker.ref();
    this.#state.stop();
    this.#worker.postMessage(END);
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    running.delete(this.#state);
  }
}
