import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { VfioError } from "@vfio-selftests/core";
import { closedError, systemError } from "@vfio-selftests/core/errors";
import { native } from "@vfio-selftests/native";
import { inheritedSocket } from "../listen/inherited-socket";
import { ListeningSocket } from "../listen/listening-socket";
import type { WorkerInput, WorkerStatus } from "./worker-state";
import { END, WorkerState } from "./worker-state";

/** The module of a model, and where to serve it. */
export interface ModelWorkerOptions {
  /** Absolute path (or package specifier that resolves from here) of a module, CommonJS or ES. */
  readonly module: string;
  /**
   * The module's function that makes the model: `(options) => DeviceModel`, or a promise of one. The default is
   * `createModel`, or the default export if that is missing.
   */
  readonly exportName?: string;
  /** The argument for that function: anything that structuredClone takes. */
  readonly options?: unknown;
  /** Where to listen for clients. Without it and `fd`, only {@link ModelWorker.connect} makes connections. */
  readonly socketPath?: string;
  /**
   * A Unix stream socket that somebody else made, instead of a path. The caller keeps a listening one. The worker owns
   * the connection of a client, and the thread ends when that client has gone.
   */
  readonly fd?: number;
  /** See {@link ServedDeviceOptions.trustClients}. Default false. */
  readonly trustClients?: boolean;
  /** Node options of the thread. */
  readonly execArgv?: readonly string[];
}

/** How long a thread may take to load its model, in milliseconds. */
const START_TIMEOUT_MS = 20_000;
/** How long it may take to end before it is terminated. It checks every few milliseconds whether to end. */
const STOP_TIMEOUT_MS = 2_000;

/** How often to interrupt a system call that may block a thread that is to end, in milliseconds. */
const INTERRUPT_MS = 20;

const running = new Set<ModelWorker>();
let exitHook = false;

/** A device model in a thread of its own, serving vfio-user. The thread never keeps the process alive. */
export class ModelWorker implements Disposable {
  readonly #state = new WorkerState();
  readonly #worker: Worker;
  readonly #name: string;
  readonly #socket: ListeningSocket | undefined;
  readonly #started: Promise<void>;
  readonly #exited: Promise<void>;
  #closed: Promise<void> | undefined;

  /** Starts the thread and returns at once; see {@link ready}. Throws when it cannot make the socket. */
  constructor(options: ModelWorkerOptions) {
    const { fd } = options;
    const role = fd === undefined ? undefined : inheritedSocket(fd);
    this.#socket = options.socketPath === undefined ? undefined : new ListeningSocket(options.socketPath);
    const input: WorkerInput = {
      state: this.#state.memory,
      module: options.module,
      exportName: options.exportName ?? "createModel",
      options: options.options,
      listenFd: role === "listening" ? fd : this.#socket?.fd,
      clientFd: role === "connected" ? fd : undefined,
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
    this.#exited = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
    const said = new Promise<void>((resolve) => this.#worker.once("message", () => resolve()));
    this.#started = Promise.race([said, this.#exited]);
    void this.#exited.then(() => {
      this.#state.tid = 0;
      this.#socket?.close();
      const { clientFd } = this.#state;
      if (clientFd >= 0) native.close(clientFd);
      running.delete(this);
    });
    this.#worker.unref();
    running.add(this);
    if (!exitHook) {
      exitHook = true;
      // Without this signal, the thread would go on serving and hold up the end of the process.
      process.once("exit", () => {
        for (const worker of running) worker.#stop();
      });
    }
  }

  /** Why there is no model, once that is known. */
  get failure(): string | undefined {
    return this.#state.failure;
  }

  /** Blocks until the model is loaded (and, with a socket path, listening). Throws the reason of a failure. */
  ready(): void {
    this.#requireServing(this.#state.waitWhile("starting", START_TIMEOUT_MS), "not loaded in time");
  }

  #requireServing(status: WorkerStatus, unfinished: string): void {
    if (status === "serving") return;
    throw new VfioError(`${this.#name}: ${this.failure ?? (status === "starting" ? unfinished : "has ended")}`, {
      code: status === "starting" ? "ETIMEDOUT" : "ERR_MODEL",
      operation: "ModelWorker",
      subject: this.#name,
    });
  }

  /** Waits until the model is loaded. Rejects with the reason of a failure. */
  async whenReady(): Promise<void> {
    await this.#started;
    this.#requireServing(this.#state.status, "ended while it was loaded");
  }

  /** Fulfilled when the thread has ended, in any way. */
  get ended(): Promise<void> {
    return this.#exited;
  }

  /**
   * Makes a connection and returns the client's end, which the caller owns. The model serves one client at a time and
   * keeps its state. It serves the next one after the one before has closed.
   */
  connect(): number {
    if (this.#closed !== undefined) throw closedError("ModelWorker.connect", this.#name);
    const pair = native.socketpair();
    if (typeof pair === "number") throw systemError(pair, "socketpair", { subject: this.#name });
    this.#worker.postMessage(pair[1]);
    return pair[0];
  }

  /**
   * Stops serving, removes the socket file and ends the thread. After `graceMs` it ends the thread by force (a callback
   * of the model does not return, say). Idempotent.
   */
  close({ graceMs = STOP_TIMEOUT_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#end(graceMs);
    return this.#closed;
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  /** Tells the thread to end, and closes the way for new clients. */
  #stop(): void {
    this.#state.stop();
    this.#socket?.removeFile();
    this.#interrupt();
  }

  /**
   * Interrupts a system call that blocks the thread. Inside one, a thread neither hears the order to end nor can be
   * terminated.
   */
  #interrupt(): void {
    const { tid } = this.#state;
    if (tid > 0) native.interruptThread(tid);
  }

  async #end(graceMs: number): Promise<void> {
    this.#worker.ref();
    this.#stop();
    this.#worker.postMessage(END);
    const timer = setTimeout(() => void this.#worker.terminate(), graceMs);
    // Repeated, because the thread may have been on its way into the call, or may make the next one.
    const interrupts = setInterval(() => this.#interrupt(), INTERRUPT_MS);
    await this.#exited;
    clearTimeout(timer);
    clearInterval(interrupts);
  }
}
