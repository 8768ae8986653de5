import type { Socket } from "node:net";
import { createInterface } from "node:readline";

/** What QEMU sends on its monitor's socket (docs/interop/qmp-spec.rst). Events are left out. */
interface QmpMessage {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** QEMU's monitor, by its machine protocol. QEMU answers commands in their order. */
export class QmpClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready: Promise<unknown>;
  #lastId = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    createInterface({ input: socket }).on("line", (line) => this.#receive(JSON.parse(line) as QmpMessage));
    socket.once("close", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("QEMU has ended"));
      this.#waiting.clear();
    });
    // Before this QEMU takes no command.
    this.#ready = this.#send("qmp_capabilities", {});
    this.#ready.catch(() => undefined);
  }

  /** Resolves with the command's result. Rejects with QEMU's description of the error. */
  async execute(command: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown> {
    await this.#ready;
    return this.#send(command, parameters);
  }

  #send(execute: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute, arguments: parameters, id })}\n`);
    });
  }

  #receive({ id, return: result, error }: QmpMessage): void {
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (id === undefined || waiting === undefined) return;
    this.#waiting.delete(id);
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(new Error(error.desc));
  }
}
