import { native } from "@vfio-selftests/native";
import { demand } from "../check";

/** poll(2): POLLHUP comes whether one asks for it or not. */
const POLLHUP = 16;
/** How long a peer may keep a descriptor that it has no use for. */
const CLOSED_WITHIN_MS = 2_000;

/** A descriptor to send, and a way to see whether anybody still has it open: it is one end of a socket pair. */
export class Witness implements Disposable {
  readonly fd: number;
  readonly #watched: number;
  #sent = false;

  constructor() {
    const pair = native.socketpair();
    if (typeof pair === "number") throw new Error("no socket pair: the process has too many descriptors open");
    [this.#watched, this.fd] = pair;
  }

  /** The peer must have closed its copy. Closes ours. */
  requireClosed(what: string, working: () => void): void {
    this.#closeOwn();
    let events = 0;
    const deadline = performance.now() + CLOSED_WITHIN_MS;
    while ((events & POLLHUP) === 0 && performance.now() < deadline) {
      working();
      events = native.pollBlocking(this.#watched, 0, 20);
    }
    demand((events & POLLHUP) !== 0, `${what} closed`, `still open after ${CLOSED_WITHIN_MS / 1000} s`);
  }

  [Symbol.dispose](): void {
    this.#closeOwn();
    native.close(this.#watched);
  }

  #closeOwn(): void {
    if (this.#sent) return;
    this.#sent = true;
    native.close(this.fd);
  }
}
