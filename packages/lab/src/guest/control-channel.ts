import type { Socket } from "node:net";
import { createInterface } from "node:readline";

/** A message of the guest's init. */
export type GuestMessage =
  | { kind: "ready"; uptimeSeconds: number }
  | { kind: "alive" }
  | { kind: "failed"; reason: string }
  | { kind: "jump" }
  | { kind: "exit"; status: number };

export function parseGuestMessage(line: string): GuestMessage | undefined {
  const [, word = "", rest = ""] = /^(\w+) ?(.*)$/.exec(line) ?? [];
  if (word === "ready") return { kind: "ready", uptimeSeconds: Number(rest) };
  if (word === "alive") return { kind: "alive" };
  if (word === "jump") return { kind: "jump" };
  if (word === "failed") return { kind: "failed", reason: rest };
  if (word === "exit" && /^\d+$/.test(rest)) return { kind: "exit", status: Number(rest) };
  return undefined;
}

/** The line-based conversation with the guest's init. */
export class ControlChannel {
  readonly #socket: Socket;

  constructor(socket: Socket, onMessage: (message: GuestMessage) => void) {
    this.#socket = socket;
    createInterface({ input: socket }).on("line", (line) => {
      const message = parseGuestMessage(line);
      if (message !== undefined) onMessage(message);
    });
  }

  /** Sends a signal to the command's process group. `name` is as in `SIGINT`. */
  signal(name: NodeJS.Signals): void {
    this.#socket.write(`signal ${name.slice("SIG".length)}\n`);
  }

  /** Lets the guest's kernel switch the VM off. */
  powerOff(): void {
    this.#socket.write("off\n");
  }

  resize(rows: number, columns: number): void {
    this.#socket.write(`size ${rows} ${columns}\n`);
  }
}
