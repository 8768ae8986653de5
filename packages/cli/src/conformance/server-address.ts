import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { sleepSync } from "@vfio-selftests/core/driver";
import { systemError, type VfioError } from "@vfio-selftests/core/errors";
import { connectTo, type Peer } from "@vfio-selftests/vfio-user/conformance";
import { signalTree } from "./process-tree";

const { EAGAIN, ECONNREFUSED, ENOENT } = constants.errno;

/** How long a server may take to listen, or to accept its next client, in milliseconds. */
const PATIENCE_MS = 5_000;
/** A server that ends with its client has ended after this time. */
const SETTLED_MS = 50;
const PAUSE_MS = 5;

/** Where a server listens, and the program that starts it where it may have to be started again. */
export class ServerAddress implements Disposable {
  readonly #path: string;
  readonly #command: readonly string[];
  #child: ChildProcess | undefined;
  #started = 0;
  #crash: string | undefined;

  constructor(path: string, command: readonly string[]) {
    this.#path = path;
    this.#command = command.map((word) => word.replaceAll("{socket}", path));
  }

  /** Throws connect(2)'s error where nobody listens. */
  requireListening(): void {
    closeSync(this.connect().fd);
  }

  /** Connects. A queue that is full means that the server has not taken the client before; a started server may still begin. */
  readonly connect = (): Peer => {
    if (this.#command.length > 0) sleepSync(SETTLED_MS);
    const deadline = performance.now() + PATIENCE_MS;
    let asked = false;
    for (;;) {
      const fd = connectTo(this.#path);
      if (fd >= 0) return { fd, server: this.#started };
      const absent = fd === -ECONNREFUSED || fd === -ENOENT;
      if (absent && this.#command.length > 0 && !asked) {
        asked = true;
        this.#start();
      } else if ((!absent || this.#command.length === 0) && fd !== -EAGAIN) throw this.#failure(fd);
      if (performance.now() > deadline) throw this.#failure(fd);
      sleepSync(PAUSE_MS);
    }
  };

  /** How a server ended that was not told to, if one did so since the last call. */
  takeCrash(): string | undefined {
    const crash = this.#crash;
    this.#crash = undefined;
    return crash;
  }

  [Symbol.dispose](): void {
    this.#child?.removeAllListeners();
    if (this.#child !== undefined) signalTree(this.#child, "SIGKILL");
    if (this.#command.length > 0) rmSync(this.#path, { force: true });
  }

  #start(): void {
    // What an ended server left behind would keep the next one from listening.
    rmSync(this.#path, { force: true });
    const [program = "", ...args] = this.#command;
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
    child.once("error", (error) => (this.#crash = error.message));
    // A server may end with its client, and may call that a failure, but no client may crash it.
    child.once("exit", (_code, signal) => {
      if (signal !== null) this.#crash = `the server was ended by ${signal}`;
    });
    this.#child = child;
    this.#started += 1;
  }

  #failure(result: number): VfioError {
    return systemError(result, "connect", {
      subject: this.#path,
      remedy: "start the server there, or let this command start it: -- command {socket}",
    });
  }
}
